"""The Markdown of `benchmarks/training.py`."""

from datetime import UTC, datetime
from itertools import groupby
from typing import Any

from loading import LIKE, PLAIN

# Dense bf16 TFLOP/s by the makers' data sheets; the first name found in the device's name counts.
PEAK_TFLOPS = {
    "H100 PCIe": 756, "H100 NVL": 835, "H100": 989, "H200": 989, "GH200": 989, "B200": 2250, "A100": 312,
    "L40S": 362, "L40": 181, "L4": 121, "A10G": 70, "A10": 125, "RTX 4090": 165, "RTX 3090": 71,
}  # fmt: skip


def report(result: dict[str, Any]) -> str:
    """Return the Markdown of a result."""
    peak = next((tflops for name, tflops in PEAK_TFLOPS.items() if name in result["hardware"]), None)
    lines = [
        f"# Training speed on {result['hardware']}",
        "",
        f"`python benchmarks/training.py`, {datetime.now(UTC):%Y-%m-%d}, PyTorch {result['torch']}, views of "
        f"{result['height']} x {4 * result['height']}, {result['pairs']} pairs of a generated town "
        f"({result['tile_px']} px tiles, {result['panorama'][0]} x {result['panorama'][1]} panoramas). Pairs a second, "
        f"best of rounds of {result['seconds']:g} s or more; every row comes from this one run.",
        "",
        *_loaders(result["loader"]),
    ]
    for (backbone, threads), rows in groupby(result["ways"], lambda row: (row["backbone"], row["threads"])):
        lines += ["", f"{backbone} with triplet attention and MHNW, {threads} thread(s):", ""]
        lines += _table(list(rows), result, peak)
    if result["device"] == "cuda":
        lines += ["", "Convolutions in fp32 use TF32, as PyTorch has it; a step counts as 3 forward passes."]
    if result.get("sweep"):
        lines += ["", "Batch sizes up to the largest that fits, bf16 channels_last:", ""]
        lines += _table(result["sweep"], result, peak)
    return "\n".join(lines) + "\n"


def _loaders(speeds: dict[str, float]) -> list[str]:
    """One line per loader, against both references."""
    return [
        "| loader alone, one reading thread | pairs/s | times the plain reference | times the augmented reference |",
        "|---|---:|---:|---:|",
        *(
            f"| {name} | {speed:,.0f} | {speed / speeds[PLAIN]:.1f} | {speed / speeds[LIKE]:.1f} |"
            for name, speed in speeds.items()
        ),
        "",
        f"The references decode both JPEGs of a pair with Pillow, resize and polar-transform in every epoch. The plain "
        f"one, `{PLAIN}`, does nothing more: `packed` is like it. The augmented one, `{LIKE}`, also changes colours "
        "with torchvision's ColorJitter, mirrors and turns: `packed, turned, coloured` is like it.",
    ]


def _table(rows: list[dict[str, Any]], result: dict[str, Any], peak: float | None) -> list[str]:
    """One line per way: three throughputs, memory, and on a known GPU the share of its bf16 peak."""
    base = rows[0]
    head = (
        f"| way | batch | compute only | joint | joint/compute | times {base['way']} | behind the reference | RSS MiB |"
    )
    cuda = any(row.get("cuda_mib") for row in rows)
    lines = [head + (" GPU MiB | GPU busy % | bf16 peak % |" if cuda else "")]
    lines.append("|---|" + "---:|" * (lines[0].count("|") - 2))
    for row in rows:
        if "joint" not in row:
            lines.append(f"| {row['way']} | {row['batch_size']} | does not fit |")
            continue
        joint = row["joint"]
        # Decoding in the training process, as with no workers, and augmented as ours are.
        both = 1 / (1 / row["compute"] + 1 / result["loader"][LIKE])
        cells = [row["way"], row["batch_size"], f"{row['compute']:,.1f}", f"{joint:,.1f}"]
        cells += [f"{100 * joint / row['compute']:.1f} %", f"{joint / base.get('joint', float('nan')):.2f}"]
        cells += [f"{both:,.1f}", f"{row['rss_mib']:,.0f}"]
        if cuda:
            share = "-" if peak is None else f"{joint * row['flop_per_pair'] / peak / 1e10:.1f}"
            cells += [f"{row['cuda_mib']:,.0f}", f"{row['utilisation']:.0f}", share]
        lines.append("| " + " | ".join(str(cell) for cell in cells) + " |")
    return lines
