"""The report's sentences and numbers, as HTML; every text that users named is escaped here."""

import html
import os

import pandas as pd

from aenet.serving.galleries.gallery import Gallery
from aenet.serving.jobs.job import Job
from aenet.serving.jobs.summary import NEAR_M, Summary
from aenet.serving.report.reasons import reason_kinds

_TEXT_MAX = 400  # characters of a name, reason or note


def lede(gallery: Gallery) -> str:
    """Say in one sentence what a place means here."""
    manifest = gallery.manifest
    tiles = f"{manifest.tiles:,} tiles of {manifest.tile_size_m:g} m"
    source = html.escape(manifest.source)
    if manifest.spacing_m is None:
        return f"Each photo stands where the most similar of {tiles} from {source} is centred."
    return (
        f"Each photo stands at the centre of the most similar of {tiles}, one every "
        f"{manifest.spacing_m:g} m over {source}."
    )


def facts(job: Job, gallery: Gallery, summary: Summary) -> str:
    """What ran, how fast, on what."""
    entries = {
        "Ran on": summary.runs_on,
        "Throughput": f"{summary.photos_per_second:,.1f} photos a second",
        "Model": gallery.manifest.model[:12],
        "Job": job.key[:12],
    }
    if summary.ignored:
        entries["Left aside"] = f"{summary.ignored:,} files that are not photos by name"
    return "".join(f"<dt>{html.escape(name)}</dt><dd>{html.escape(value)}</dd>" for name, value in entries.items())


def numbers(summary: Summary) -> str:
    """The key numbers, each error beside its floor."""
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


def notice(summary: Summary) -> str:
    """Say it where errors cannot be known."""
    if summary.known:
        return ""
    return (
        '<p class="notice">No photo carries its true position, so errors are unknown. Add <code>latitude</code> and '
        "<code>longitude</code> columns to a table of photos, or use photos with GPS, to see them. A small margin "
        "means that another place looks as good.</p>"
    )


def pictures(count: int, placed: int) -> str:
    """Say which photos have their pictures in the file."""
    if count >= placed:
        return "Pictures show what the model sees of a photo; the five best tiles stand beside it."
    return (
        f"To keep this file small it holds the pictures of {count:,} of {placed:,} photos: half of them the "
        "farthest off (or the least certain), the rest spread evenly. All rows are here; the pictures are capped."
    )


def footer(gallery: Gallery) -> str:
    """Explain the floor, and name who made the imagery."""
    floor, credits_ = gallery.manifest.floor, gallery.manifest.credits
    imagery = f" Imagery: {html.escape('; '.join(credits_))}." if credits_ else ""
    if floor is None:
        return f"Tiles of a data set are centred on their photographs: errors have no floor and flatter.{imagery}"
    return (
        f"Floor: tiles every {gallery.manifest.spacing_m:g} m leave {floor.median:.1f} m median error, "
        f"{floor.p95:.1f} m at the 95th percentile and {floor.max:.1f} m at most, "
        f"even if every photo is given its nearest tile.{imagery}"
    )


def prepare(rows: pd.DataFrame) -> pd.DataFrame:
    """Return places as the report takes them: shorter names, and the `kind` of every reason."""
    rows = rows.assign(photo=[cut(name) for name in _short(list(rows["photo"]))], kind=None)
    told = rows["reason"].notna() & (rows["status"] != "ok")
    rows.loc[told, "kind"] = reason_kinds([cut(reason) for reason in rows.loc[told, "reason"]])
    return rows


def cut(text: str) -> str:
    """Shorten a text that a user named to what the report shows of it."""
    return text if len(text) <= _TEXT_MAX else text[: _TEXT_MAX - 1] + "…"


def _short(names: list[str]) -> list[str]:
    """Drop the folders that all names share; a table may list absolute paths."""
    folders = {name.rpartition("/")[0] for name in names}
    try:
        shared = os.path.commonpath(folders)
    except ValueError:  # absolute and relative ones mixed
        return names
    return [name.removeprefix(shared).lstrip("/") for name in names] if shared else names
