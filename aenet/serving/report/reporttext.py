"""The report's sentences and numbers, as HTML; every text that users named is escaped here."""

import html
from typing import assert_never

from aenet.serving.galleries.gallery import Gallery
from aenet.serving.jobs.job import Job, LocateOptions
from aenet.serving.jobs.summary import NEAR_M, Summary
from aenet.serving.search.prior import Box, Near, OwnGps


def lede(gallery: Gallery, refined: bool) -> str:
    """Say in one sentence what a place means here; `refined` places lie between the tiles' centres."""
    manifest = gallery.manifest
    tiles = f"{manifest.tiles:,} tiles of {manifest.tile_size_m:g} m"
    source = html.escape(manifest.source)
    if manifest.spacing_m is None:
        return f"Each photo stands where the most similar of {tiles} from {source} is centred."
    grid = f"{tiles}, one every {manifest.spacing_m:g} m over {source}"
    if refined:
        return (
            f"Each photo stands between the tiles around the most similar of {grid}, weighted by their "
            "probability: errors can be below the grid's floor."
        )
    return f"Each photo stands at the centre of the most similar of {grid}."


def facts(job: Job, gallery: Gallery, summary: Summary) -> str:
    """What ran, how fast, on what."""
    entries = {
        "Ran on": summary.runs_on,
        "Throughput": f"{summary.photos_per_second:,.1f} photos a second",
        "Model": gallery.manifest.model[:12],
        "Job": job.key[:12],
        "Asked for": _asked(job.options),
    }
    if summary.ignored:
        entries["Left aside"] = f"{summary.ignored:,} files that are not photos by name"
    if summary.newcomers:
        entries["Came since"] = f"{summary.newcomers:,} photos, not in this report"
    return "".join(f"<dt>{html.escape(name)}</dt><dd>{html.escape(value)}</dd>" for name, value in entries.items())


def _asked(options: LocateOptions) -> str:
    """Say what a reader must know of the options to judge the numbers."""
    headings = {"auto": "headings as photos say, else unknown", "north": "headings as photos say, else north"}
    parts = [headings.get(options.heading, "headings unknown")]
    if options.refine:
        parts.append("refined places")
    if options.min_confidence is not None:
        parts.append(f"no answer below {options.min_confidence:.0%}")
    match options.prior:
        case None:
            pass
        case Near(radius_m=radius):
            parts.append(f"searched within {radius:,.0f} m of {options.prior.latitude:g}, {options.prior.longitude:g}")
        case Box():
            parts.append("searched in a box")
        case OwnGps(radius_m=radius):
            parts.append(f"searched within {radius:,.0f} m of each photo's own position")
        case _:
            assert_never(options.prior)
    return ", ".join(parts)


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
    if summary.within_floor is not None:
        reach = f"within {summary.floor_max_m:.1f} m, the farthest a nearest tile can be"
        cards.append(_number("Within floor's reach", f"{100 * summary.within_floor:.1f}", "%", reach))
    if summary.median_heading_error_deg is not None:
        found = f"median, where placed within {NEAR_M:g} m"
        cards.append(_number("Heading error", f"{summary.median_heading_error_deg:.1f}", "°", found))
    if summary.calibration_error is not None:
        off = f"share within {NEAR_M:g} m, expected against observed"
        cards.append(_number("Calibration error", f"{100 * summary.calibration_error:.1f}", "%", off))
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
    """Say where photos are missing, and where errors cannot be known."""
    return _came_since(summary) + _listed(summary) + ("" if summary.known else _no_truth())


def _came_since(summary: Summary) -> str:
    if not summary.newcomers:
        return ""
    came = f"{summary.newcomers:,} photo{'s' if summary.newcomers > 1 else ''} came"
    return (
        f'<p class="notice">{came} to the source after this job was planned, and are not in this report. '
        "<code>--new-since</code> places them in another job.</p>"
    )


def _listed(summary: Summary) -> str:
    return "".join(f'<p class="notice">{html.escape(notice)}.</p>' for notice in summary.notices)


def _no_truth() -> str:
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
