"""The Markdown of `benchmarks/serving.py`."""

from datetime import UTC, datetime
from typing import Any


def report(result: dict[str, Any]) -> str:
    """Return the Markdown of a result."""
    peaks = (
        f"Peak {name}: {1e-12 * found['flops']:.3g} TFLOP/s, {1e-9 * found['bandwidth']:.3g} GB/s ({found['source']})."
        for name, found in result["peaks"].items()
    )
    lines = [
        f"# Serving speed on {result['hardware']}",
        "",
        f"`python benchmarks/serving.py`, {datetime.now(UTC):%Y-%m-%d}, PyTorch {result['torch_version']}. Images a "
        "second. Session, reading and pipeline took turns; their ratios are medians over the turns.",
        "",
        *peaks,
    ]
    for case in result["cases"]:
        lines += ["", *_case(case)]
    return "\n".join(lines) + "\n"


def _case(case: dict[str, Any]) -> list[str]:
    size = f"{case['height']} x {4 * case['height']}"
    network = case["model"] or f"{case['backbone']}, untrained, with triplet attention and flatten head, at {size}"
    photos = case["photos"] or f"of a generated town, {case['panorama'][1]} x {case['panorama'][0]} px JPEG"
    activations = "; ".join(f"{size / 1e6:.1f} MB of activations in {name}" for name, size in case["bytes"].items())
    lines = [
        f"## {case['backbone'] if not case['model'] else network}",
        "",
        f"Ground branch of {network}: {case['operations'] / 1e9:.2f} G operations an image; {activations}. "
        f"{case['count']} photos {photos}, {case['photo_bytes'] / 1e3:.0f} kB each, sought among "
        f"{case['tiles']:,} tiles; {case['rounds']} rounds; "
        f"{case['threads']} thread(s) for a session on the CPU, {case['decoders']} decoder(s).",
        "",
        "| session | batch | precision | session alone | slowest - fastest | share of roofline | reading alone "
        "| pipeline | pipeline/session | pipeline/slower of the two |",
        "|---|---:|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for row in case["sessions"]:
        cells = [row["runs_on"], row["batch_size"], row["precision"], f"{row['session']:,.1f}"]
        cells += [f"{row['slowest']:,.1f} - {row['fastest']:,.1f}", _share(case, row, "session")]
        if "pipeline" in row:
            cells += [f"{row[name]:,.1f}" for name in ("reading", "pipeline")]
            cells += [f"{row[name]:.1%}" for name in ("ratio", "slower_ratio")]
        lines.append(_line([*cells, *[""] * (10 - len(cells))]))
    for row in case["sessions"]:
        if "pipeline" in row:
            lines += ["", _limit(case, row)]
    return lines + _torch(case)


def _limit(case: dict[str, Any], row: dict[str, Any]) -> str:
    """Say what limits the pipeline, and how near it comes to that."""
    slower = "reading" if row["reading"] < row["session"] else "the session"
    text = (
        f"Batch {row['batch_size']}: {slower} is the slower of the two, and the pipeline reaches "
        f"{row['slower_ratio']:.1%} of it. "
    )
    busy, read, whole = row["core_ms"], row["reading_core_ms"], row["pipeline_core_ms"]
    if case["device"] == "cuda":
        return text + f"Reading takes {read:.2f} ms of one core a photo, with {case['decoders']} decoders."
    cores = max(case["threads"], case["decoders"])
    parts = {"the session": busy, "reading": read, "search, rows and the shard's file": max(0.0, whole - busy - read)}
    largest = max(parts, key=parts.__getitem__)
    costs = ", ".join(f"{name} {cost:.2f} ms" for name, cost in parts.items())
    best = 1e3 * cores / (busy + read)
    return text + (
        f"All share {cores} core(s); of one core a photo takes: {costs} (so the limit is {largest}). Session and "
        f"reading alone would leave {best:,.1f} images a second, {busy / (busy + read):.1%} of a session that has the "
        f"cores to itself; with everything the cores allow {1e3 * cores / whole:,.1f}, of which the pipeline has "
        f"{row['pipeline'] * whole / (1e3 * cores):.1%}."
    )


def _torch(case: dict[str, Any]) -> list[str]:
    if not case["torch"]:
        return []
    lines = ["", "| torch | batch | precision | alone | share of roofline | session/torch |"]
    lines.append("|---|---:|---|---:|---:|---:|")
    sessions = {(row["batch_size"], row["precision"]): row["session"] for row in case["sessions"]}
    for row in case["torch"]:
        session = sessions.get((row["batch_size"], row["precision"]))
        cells = [row["way"], row["batch_size"], row["precision"], f"{row['speed']:,.1f}", _share(case, row, "speed")]
        lines.append(_line([*cells, f"{session / row['speed']:.2f}" if session else ""]))
    return lines


def _share(case: dict[str, Any], row: dict[str, Any], key: str) -> str:
    """Return the share of the roofline; on a CPU by processor time, as the peak is."""
    if "bound" not in row:
        return "-"
    speed = row[key] if case["device"] == "cuda" else 1e3 * case["threads"] / row["core_ms"]
    return f"{speed / row['bound']:.1%}"


def _line(cells: list[Any]) -> str:
    return "| " + " | ".join(str(cell) for cell in cells) + " |"
