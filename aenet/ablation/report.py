"""The ablation's report: our rows in the layout of the paper's Tables 3 to 6, its figures beside them."""

from collections.abc import Iterable, Sequence

import pandas as pd

from aenet.ablation.variants import (
    KEYS,
    METHODS,
    NAMES,
    RECALLS,
    TABLE_5,
    TABLE_6,
    VARIANTS,
    Recalls,
    Row,
    markdown_table,
)

# What was measured on the heat maps, as a table over the variants.

HEAT_METHODS = {"activation": "channel-mean activation", "similarity": "similarity-gradient CAM"}
REGIONS = {
    "sky": "sky",
    "cars": "cars",
    "pedestrians": "pedestrians",
    "unseen": "from above: ground the camera cannot see",
}


def heat_section(rows: Sequence[Row]) -> list[str]:
    """Return the parts of the report on where the heat falls; none where nothing was measured."""
    parts: list[str] = []
    for method, title in HEAT_METHODS.items():
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


def frame(rows: Sequence[Row]) -> pd.DataFrame:
    """Return one line a variant: means over the seeds, their spread, and the paper's figures."""
    lines = []
    for row in rows:
        line: dict[str, object] = {"variant": row.label}
        line |= {column: row.mean(key) for key, column in KEYS.items()}
        line |= {f"{column} spread": row.spread(key) for key, column in KEYS.items() if column in RECALLS}
        for data, title in NAMES.items():
            paper = VARIANTS.get(row.name, {}).get(data, (None,) * 4)
            line |= {f"{column} paper {title}": value for column, value in zip(RECALLS, paper, strict=True)}
        lines.append(line | {"seeds": len(row.seeds), "epochs": row.epochs, "places": row.places, **row.network})
    return pd.DataFrame(lines)


def markdown(rows: Sequence[Row]) -> str:
    """Return the whole report."""
    first, by_name = rows[0], {row.name: row for row in rows}
    runs = f"{len(first.seeds)} seed{'s' if len(first.seeds) > 1 else ''} of {first.epochs} epochs"
    parts = [
        f"# Ablation on {title(first.data)}: {first.places} test places, {runs}",
        _how_to_read(first),
        "## Every variant",
        markdown_table(["variant", *KEYS.values()], ([row.label, *(_cell(row, key) for key in KEYS)] for row in rows)),
    ]
    for heading, names in (("Table 5: attention", TABLE_5), ("Table 6: loss", TABLE_6)):
        if present := [by_name[name] for name in names if name in by_name]:
            parts += [f"## {heading}", _beside(present)]
    if best := by_name.get("ta_mhnw"):
        parts += ["## Tables 3 and 4: among published methods", _methods(best)]
    return "\n\n".join([*parts, *heat_section(rows), "## What each costs", _cost(rows)]) + "\n"


def title(data: str) -> str:
    """Return the name a reader knows a data set by."""
    return NAMES.get(data, "the town" if data in ("town", "city") else data)


def _how_to_read(row: Row) -> str:
    share = row.mean("recall_at_1") / 100
    error = 100 * (share * (1 - share) / row.places) ** 0.5
    lines = [
        f"R@1 of {row.places} places has a standard error of about {error:.1f} points by the choice of places alone.",
        "`+-` is the standard deviation over seeds." if len(row.seeds) > 1 else "One seed shows no spread over seeds.",
    ]
    if row.data not in NAMES:
        lines.append("The paper's figures are of other data: they show the order of its rows, not a value to reach.")
    return " ".join(lines)


def _cell(row: Row, key: str) -> str:
    spread = row.spread(key)
    return f"{row.mean(key):.2f}" + (f" +- {spread:.2f}" if spread is not None else "")


def _beside(rows: Sequence[Row]) -> str:
    """Our recalls, then the paper's for the same data set, or its R@1 on both where ours is another."""
    data = rows[0].data
    if data in NAMES:
        columns = [*RECALLS, *(f"{column}, paper" for column in RECALLS)]
        papers = [_numbers(VARIANTS[row.name][data]) for row in rows]
    else:
        columns = [*RECALLS, *(f"R@1, paper on {name}" for name in NAMES.values())]
        papers = [_numbers([VARIANTS[row.name][data][0] for data in ("cvusa", "cvact")]) for row in rows]
    keys = list(KEYS)[: len(RECALLS)]
    body = ([row.label, *(_cell(row, k) for k in keys), *paper] for row, paper in zip(rows, papers, strict=True))
    return markdown_table(["variant", *columns], body)


def _methods(row: Row) -> str:
    columns = [f"{column}, {name}" for name in NAMES.values() for column in RECALLS]
    published = {**METHODS, "AENet (paper)": VARIANTS["ta_mhnw"]}
    body = [[name, *_numbers(both["cvusa"]), *_numbers(both["cvact"]), ""] for name, both in published.items()]
    here = [_cell(row, key) for key in list(KEYS)[: len(RECALLS)]]
    empty = [""] * len(RECALLS)
    ours = {"cvusa": [*here, *empty], "cvact": [*empty, *here]}.get(row.data, [*empty, *empty])
    note = "" if row.data in NAMES else f"R@1 {here[0]} on {title(row.data)}"
    return markdown_table(["method", *columns, "elsewhere"], [*body, ["AENet (this run)", *ours, note]])


def _cost(rows: Sequence[Row]) -> str:
    columns = list(rows[0].network)
    return markdown_table(
        ["variant", *columns], ([row.label, *(f"{row.network[c]:.6g}" for c in columns)] for row in rows)
    )


def _numbers(values: Iterable[float | None] | Recalls) -> list[str]:
    return ["" if value is None else f"{value:.2f}" for value in values]
