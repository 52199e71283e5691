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

import numpy as np
import pandas as pd
import pyarrow as pa
from jaxtyping import Float

from aenet.io.atomic import write_bytes
from aenet.serving.galleries.backdrop import backdrop_bytes
from aenet.serving.galleries.gallery import Gallery
from aenet.serving.jobs.job import Job
from aenet.serving.jobs.summary import NEAR_M, Summary
from aenet.serving.report import reporttext
from aenet.serving.report.chart import error_curve, heading_curve, recall_bars
from aenet.serving.report.reliability import calibration, risk_card, score_histogram, trust_bars
from aenet.serving.report.reportdata import report_data
from aenet.serving.report.reportpictures import data_uri
from aenet.serving.report.reportrows import reason_table, report_rows

_SCRIPTS = ("base.js", "map.js", "strip.js", "list.js", "keys.js")  # one script: later ones use what earlier ones name


def write_report(
    path: Path, job: Job, places: pa.Table, photos: pd.DataFrame, gallery: Gallery, summary: Summary
) -> None:
    """Write the report of a job.

    Args:
        path: the HTML file; written wholly or not at all.
        job: what was asked.
        places: rows as in `outputs.SCHEMA`.
        photos: the job's photo list, for the pictures.
        gallery: what the photos were placed in.
        summary: its results.
    """
    rows = report_rows(places.to_pandas())
    data, pictures = report_data(rows, photos, gallery, job)
    style = _template("report.css")
    script = '"use strict";\n(() => {\n' + "".join(map(_template, _SCRIPTS)) + "})();\n"
    values = {
        "title": f"{summary.ok:,} of {summary.photos:,} photos placed",
        "lede": reporttext.lede(gallery, job.options.refine),
        "facts": reporttext.facts(job, gallery, summary),
        "numbers": reporttext.numbers(summary),
        "notice": reporttext.notice(summary),
        "charts": _charts(rows, photos, gallery.manifest.spacing_m),
        "pictures": html.escape(reporttext.pictures(pictures, int(rows["latitude"].notna().sum()))),
        "footer": reporttext.footer(gallery),
        "backdrop": _backdrop(gallery),
        "data": _json(data),
        "style": style,
        "script": script,
        "style_hash": _csp_hash(style),
        "script_hash": _csp_hash(script),
    }
    page = re.sub(r"\{\{(\w+)\}\}", lambda match: values[match[1]], _template("report.html"))
    write_bytes(path, page.encode("utf-8", "backslashreplace"))


def _charts(rows: pd.DataFrame, photos: pd.DataFrame, spacing_m: float | None) -> str:
    """Every chart that these rows can fill."""
    ok = (rows["status"] == "ok").to_numpy()
    errors, margins, scores = (rows[name].to_numpy(dtype=float) for name in ("error_m", "margin", "score"))
    placed = errors[ok & np.isfinite(errors)]
    parts = [error_curve(placed, spacing_m), recall_bars(placed, spacing_m)]
    confidence = rows["confidence"].to_numpy(dtype=float) if "confidence" in rows else np.full(len(rows), np.nan)
    if np.isfinite(confidence).any():
        judged = np.isfinite(confidence) & np.isfinite(errors)
        answered = float(ok[judged].mean()) if judged.any() else None
        parts += [risk_card(confidence, errors, "confidence", answered), calibration(confidence, errors)]
    else:
        parts += [risk_card(margins, errors, "margin"), trust_bars(margins, errors)]
    parts.append(_headings(rows, photos, errors))
    return "".join([*parts, score_histogram(scores, errors), reason_table(rows)])


def _headings(rows: pd.DataFrame, photos: pd.DataFrame, errors: Float[np.ndarray, " n"]) -> str:
    """Compare the headings that were matched with those of the table, where both are there."""
    if "heading_deg" not in rows or "heading_from" not in rows:
        return ""
    off = rows["heading_deg"].to_numpy(dtype=float) - photos["heading_deg"].to_numpy(dtype=float)
    off = np.abs((off + 180) % 360 - 180)
    judged = np.isfinite(off) & (rows["heading_from"] == "matched").to_numpy(dtype=bool)
    return heading_curve(off[judged], errors[judged] <= NEAR_M)


def _backdrop(gallery: Gallery) -> str:
    backdrop = gallery.manifest.backdrop
    return data_uri(backdrop_bytes(gallery.folder, backdrop)) if backdrop else "data:,"


def _template(name: str) -> str:
    return (files("aenet.serving.report") / "templates" / name).read_text(encoding="utf-8")


def _csp_hash(content: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()


def _json(value: Any) -> str:
    """JSON that cannot end its script element, whatever the names of files hold."""
    text = json.dumps(value, allow_nan=False, separators=(",", ":"), ensure_ascii=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
