"""The Markdown of `benchmarks/serving.py`."""

from datetime import UTC, datetime
from typing import Any


def report(result: dict[str, Any]) -> str:
    """Return the Markdown of a result."""
    network = result.get("model") or f"{result['backbone']} (untrained) with triplet attention and flatten head at " + (
        f"{result['height']} x {4 * result['height']}"
    )
    photos = result.get("photos") or f"of a generated town, {result['panorama'][1]} x {result['panorama'][0]} px JPEG"
    lines = [
        f"# Serving speed on {result['hardware']}",
        "",
        f"`python benchmarks/serving.py`, {datetime.now(UTC):%Y-%m-%d}. Ground branch of {network}; "
        f"{result['count']} photos {photos}, {result['photo_bytes'] / 1e3:.0f} kB each. Images a second, median of "
        f"{result['rounds']} rounds in which session and pipeline took turns; {result['threads']} thread(s) for a "
        f"session on the CPU, {result['decoders']} decoder(s).",
        "",
        f"One image: {result['operations'] / 1e9:.2f} G operations; "
        + "; ".join(f"{name} {size / 1e6:.1f} MB of activations" for name, size in result["bytes"].items())
        + ". "
        + "".join(
            f"Peak {name}: {1e-12 * found['flops']:.3g} TFLOP/s, {1e-9 * found['bandwidth']:.3g} GB/s "
            f"({found['source']}). "
            for name, found in result["peaks"].items()
        ),
        "",
        "| session | batch | precision | alone | slowest - fastest | share of roofline | pipeline | pipeline/session |",
        "|---|---:|---|---:|---:|---:|---:|---:|",
    ]
    for row in result["sessions"]:
        spread = f"{row['slowest']:,.1f} - {row['fastest']:,.1f}"
        placed = (f"{row['pipeline']:,.1f}", f"{row['ratio']:.1%}") if "pipeline" in row else ("", "")
        cells = [row["runs_on"], row["batch_size"], row["precision"], f"{row['session']:,.1f}", spread]
        lines.append(_line([*cells, _share(result, row, "session"), *placed]))
    lines += ["", *_floor(result)]
    if result["torch"]:
        lines += ["", "| torch | batch | precision | alone | share of roofline | session/torch |"]
        lines.append("|---|---:|---|---:|---:|---:|")
        sessions = {(row["batch_size"], row["precision"]): row["session"] for row in result["sessions"]}
        for row in result["torch"]:
            session = sessions.get((row["batch_size"], row["precision"]))
            ratio = f"{session / row['speed']:.2f}" if session else ""
            cells = [
                row["way"],
                row["batch_size"],
                row["precision"],
                f"{row['speed']:,.1f}",
                _share(result, row, "speed"),
            ]
            lines.append(_line([*cells, ratio]))
    return "\n".join(lines) + "\n"


def _floor(result: dict[str, Any]) -> list[str]:
    """Say what reading photos costs and how fast a pipeline that wastes nothing would be."""
    reading = result["reading_ms"]
    lines = [f"Reading a photo (file, digest, metadata, decoding, view) takes {reading:.2f} ms of one core."]
    if result["device"] == "cuda":
        cores = result["decoders"]
        lines.append(f"{cores} decoders can feed {1e3 * cores / reading:,.0f} images a second.")
        return lines
    cores = max(result["threads"], result["decoders"])
    for row in result["sessions"]:
        if "pipeline" not in row:
            continue
        busy = row["core_ms"]
        best = 1e3 * cores / (busy + reading)
        rest = row["pipeline_core_ms"] - busy - reading
        lines += [
            "",
            f"Batch {row['batch_size']}: a session costs {busy:.2f} ms of one core an image, the pipeline "
            f"{row['pipeline_core_ms']:.2f}; search, rows and the shard's file are the {rest:.2f} between. Where "
            f"reading and network share {cores} core(s) all of the time, {best:,.1f} images a second are possible: "
            f"{busy / (busy + reading):.1%} of a session that has all cores to itself.",
        ]
    return lines


def _share(result: dict[str, Any], row: dict[str, Any], key: str) -> str:
    """Return the share of the roofline; on a CPU by processor time, as the peak is."""
    if "bound" not in row:
        return "-"
    speed = row[key] if result["device"] == "cuda" else 1e3 * result["threads"] / row["core_ms"]
    return f"{speed / row['bound']:.1%}"


def _line(cells: list[Any]) -> str:
    return "| " + " | ".join(str(cell) for cell in cells) + " |"
