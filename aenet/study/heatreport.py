"""What the heat maps' measurement came to, as a table over the variants."""

from collections.abc import Sequence

from aenet.study.tables import markdown_table
from aenet.study.variants import Row

METHODS = {"activation": "channel-mean activation", "similarity": "similarity-gradient CAM"}
REGIONS = {
    "sky": "sky",
    "cars": "cars",
    "pedestrians": "pedestrians",
    "unseen": "from above: ground the camera cannot see",
}


def heat_section(rows: Sequence[Row]) -> list[str]:
    """Return the parts of the report on where the heat falls; none where nothing was measured."""
    parts: list[str] = []
    for method, title in METHODS.items():
        names = [name for name in REGIONS if all(row.has(f"heat_{method}_{name}_ratio") for row in rows)]
        if not names:
            continue
        pixels = [f"{100 * rows[0].mean(f'heat_{method}_{name}_pixels'):.1f} %" for name in names]
        limits = [_limits(rows[0], f"heat_{method}_{name}") for name in names]
        body = [
            ["share of pixels", *pixels],
            ["ratios this map can reach", *limits],
            *_lines(rows, method, names),
        ]
        parts += [f"### {title[0].upper()}{title[1:]}", markdown_table(["", *(REGIONS[name] for name in names)], body)]
    if not parts:
        return []
    return [
        "## Where the heat falls",
        "Share of the heat on a region divided by its share of pixels: 1 is what looking everywhere alike gives, below "
        "1 looks away. Mean over seeds; in brackets the lowest and the highest bound of the seeds' 95 % bootstrap "
        "intervals over places. Borders and padding make a pattern of their own, so each network stands there with "
        "random weights, too. The paper shows pictures (Figs. 10 and 11) and no such numbers.",
        *parts,
    ]


def _lines(rows: Sequence[Row], method: str, names: Sequence[str]) -> list[list[str]]:
    """Each variant, and the same network before any training."""
    lines = []
    for row in rows:
        lines.append([row.label, *(_ratio(row, f"heat_{method}_{name}") for name in names)])
        if row.has(f"untrained_heat_{method}_{names[0]}_ratio"):
            lines.append(
                [f"{row.label}, untrained", *(_ratio(row, f"untrained_heat_{method}_{name}") for name in names)]
            )
    return lines


def _ratio(row: Row, key: str) -> str:
    low = min(values[f"{key}_ratio_low"] for values in row.seeds.values())
    high = max(values[f"{key}_ratio_high"] for values in row.seeds.values())
    return f"{row.mean(f'{key}_ratio'):.2f} [{low:.2f}, {high:.2f}]"


def _limits(row: Row, key: str) -> str:
    return f"{row.mean(f'{key}_ratio_least'):.2f} to {row.mean(f'{key}_ratio_most'):.2f}"
