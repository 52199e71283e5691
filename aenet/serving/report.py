"""The report: one HTML file that asks nothing of the network.

Everything is inside it: style, script, data, pictures. Its own Content-Security-Policy forbids any request and any
script but ours; what users named (photos, reasons) reaches the page as escaped text or as JSON, never as markup.
"""

import base64
import hashlib
import html
import json
import re
from importlib.resources import files
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from aenet.artifacts import write_bytes
from aenet.serving.curve import error_curve
from aenet.serving.gallery import BACKDROP, Gallery
from aenet.serving.job import Job
from aenet.serving.reportdata import report_data
from aenet.serving.summary import NEAR_M, Summary

_MAX_REASONS = 20


def write_report(
    path: Path, job: Job, places: pa.Table, photos: pd.DataFrame, gallery: Gallery, summary: Summary
) -> None:
    """Write the report of a job.

    Args:
        path: the HTML file; written wholly or not at all.
        job: what was asked.
        places: rows as in `places.SCHEMA`.
        photos: the job's photo list, for the pictures.
        gallery: what the photos were placed in.
        summary: what it came to.
    """
    rows = places.to_pandas()
    data, pictures = report_data(rows, photos, gallery, job.options.thumbnails, job.options.decoders)
    style, script = (_template(name) for name in ("report.css", "report.js"))
    values = {
        "title": f"{summary.ok:,} of {summary.photos:,} photos placed",
        "lede": _lede(gallery),
        "facts": _facts(job, gallery, summary),
        "numbers": _numbers(summary),
        "notice": _notice(summary),
        "curve": error_curve(rows["error_m"].dropna().to_numpy(dtype=float), gallery.manifest.spacing_m),
        "reasons": _reasons(rows),
        "pictures": html.escape(_pictures(pictures, summary)),
        "footer": _footer(gallery),
        "backdrop": _data_uri((gallery.folder / BACKDROP).read_bytes()) if gallery.manifest.backdrop else "data:,",
        "data": _json(data),
        "style": style,
        "script": script,
        "style_hash": _csp_hash(style),
        "script_hash": _csp_hash(script),
    }
    page = re.sub(r"\{\{(\w+)\}\}", lambda match: values[match[1]], _template("report.html"))
    write_bytes(path, page.encode("utf-8", "backslashreplace"))


def _template(name: str) -> str:
    return (files("aenet.serving") / "templates" / name).read_text(encoding="utf-8")


def _csp_hash(content: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()


def _data_uri(jpeg: bytes) -> str:
    return "data:image/jpeg;base64," + base64.b64encode(jpeg).decode()


def _json(value: Any) -> str:
    """JSON that cannot end its script element, whatever the names of files hold."""
    text = json.dumps(value, allow_nan=False, separators=(",", ":"), ensure_ascii=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _lede(gallery: Gallery) -> str:
    manifest = gallery.manifest
    tiles = f"{manifest.tiles:,} tiles of {manifest.tile_size_m:g} m"
    source = html.escape(manifest.source)
    if manifest.spacing_m is None:
        return f"Each photo stands where the most similar of {tiles} from {source} is centred."
    return (
        f"Each photo stands at the centre of the most similar of {tiles}, one every "
        f"{manifest.spacing_m:g} m over {source}."
    )


def _facts(job: Job, gallery: Gallery, summary: Summary) -> str:
    facts = {
        "Ran on": summary.runs_on,
        "Throughput": f"{summary.photos_per_second:,.1f} photos a second",
        "Model": gallery.manifest.model[:12],
        "Job": job.key[:12],
    }
    if summary.ignored:
        facts["Left aside"] = f"{summary.ignored:,} files that are not photos by name"
    return "".join(f"<dt>{html.escape(name)}</dt><dd>{html.escape(value)}</dd>" for name, value in facts.items())


def _numbers(summary: Summary) -> str:
    cards = [_number("Placed", f"{summary.ok:,}", f"of {summary.photos:,}", _left(summary))]
    if summary.median_error_m is not None and summary.p95_error_m is not None and summary.within_25m is not None:
        floor, p95 = summary.floor_median_m, summary.floor_p95_m
        none = "no floor: tiles are centred on photos"
        share = f"{100 * summary.within_25m:.1f}"
        cards += [
            _number("Median error", f"{summary.median_error_m:.1f}", "m", f"floor {floor:.1f} m" if floor else none),
            _number("95th percentile", f"{summary.p95_error_m:,.1f}", "m", f"floor {p95:.1f} m" if p95 else none),
            _number(f"Within {NEAR_M:g} m", share, "%", f"of {summary.known:,} photos with a known place"),
        ]
    return "".join(cards)


def _left(summary: Summary) -> str:
    parts = {"error" if summary.errors == 1 else "errors": summary.errors, "abstained": summary.abstain}
    return ", ".join(f"{count:,} {name}" for name, count in parts.items() if count) or "no errors"


def _number(label: str, value: str, unit: str, below: str) -> str:
    return (
        f'<div class="number"><span class="label">{label}</span><b>{value}<small>{unit}</small></b>'
        f"<span>{below}</span></div>"
    )


def _notice(summary: Summary) -> str:
    if summary.known:
        return ""
    return (
        '<p class="notice">No photo carries its true position, so errors are unknown. Add <code>latitude</code> and '
        "<code>longitude</code> columns to a table of photos, or use photos with GPS, to see them. A small margin "
        "means that another place looks as good.</p>"
    )


def _reasons(rows: pd.DataFrame) -> str:
    failed = rows[rows["status"] == "error"]
    if failed.empty:
        return ""
    groups = failed.groupby("reason", sort=False)["photo"].agg(["size", "first"]).sort_values("size", ascending=False)
    lines = [
        f'<tr><td class="n">{group["size"]:,}</td><td>{html.escape(str(reason))}</td>'
        f"<td>{html.escape(str(group['first']))}</td></tr>"
        for reason, group in groups.head(_MAX_REASONS).iterrows()
    ]
    more = len(groups) - _MAX_REASONS
    rest = f"<p>and {more:,} more kinds: see places.csv</p>" if more > 0 else ""
    return (
        f'<div class="card"><h2>Why {len(failed):,} could not be placed</h2><p>The others were placed all the same.</p>'
        '<table><thead><tr><th class="n">Photos</th><th>Reason</th><th>For example</th></tr></thead>'
        f"<tbody>{''.join(lines)}</tbody></table>{rest}</div>"
    )


def _pictures(count: int, summary: Summary) -> str:
    if count >= summary.ok:
        return "The five best tiles stand beside each photo, with their scores and their distance from the true place."
    return (
        f"To keep this file small it holds the pictures of {count:,} of {summary.ok:,} photos: half of them the "
        "farthest off (or the least certain), the rest spread evenly. All rows are here; the pictures are capped."
    )


def _footer(gallery: Gallery) -> str:
    floor = gallery.manifest.floor
    if floor is None:
        return "Tiles of a data set are centred on their photographs: errors have no floor and flatter."
    return (
        f"Floor: tiles every {gallery.manifest.spacing_m:g} m leave {floor.median:.1f} m median error, {floor.p95:.1f} m "
        f"at the 95th percentile and {floor.max:.1f} m at most, even if every photo is given its nearest tile."
    )
