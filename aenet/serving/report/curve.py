"""The share of photos within a distance, drawn beside what the grid allows, as SVG."""

import numpy as np
from jaxtyping import Bool, Float

from aenet.serving.galleries.floor import share_within
from aenet.serving.jobs.summary import NEAR_M
from aenet.serving.report.chart import SHARES, Axes, card, text

RECALL_M = (5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0)
HEADING_DEG = (5.0, 10.0, 30.0, 90.0)
_TICKS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 100_000, 1_000_000, 10_000_000)


def error_curve(errors: Float[np.ndarray, " n"], spacing_m: float | None) -> str:
    """Return a card with the cumulative distribution of `errors` (metres); empty without errors.

    The dashed curve is what a perfect ranking reaches on a grid of `spacing_m`; None draws none.
    """
    if len(errors) == 0:
        return ""
    farthest = max(float(np.max(errors)), 2 * NEAR_M)
    end = float(next((tick for tick in _TICKS if tick >= farthest), _TICKS[-1]))
    axes = Axes(1.0, end, logarithmic=True)
    ordered = np.sort(errors)
    # A step at every photo, thinned to what the width can show.
    keep = np.unique(np.linspace(0, len(ordered) - 1, min(len(ordered), 400)).round().astype(int))
    share = (keep + 1) / len(ordered)
    metres = np.repeat(np.append(ordered[keep], axes.high), 2)[:-1]
    steps = np.concatenate([[0.0], np.repeat(share, 2)])
    shown = [t for t in _TICKS if t <= axes.high and (end <= 1000 or not str(t).startswith("2"))]  # no words collide
    ticks = {float(t): f"{t // 1000} km" if t >= 1000 else str(t) for t in shown}
    parts = [axes.frame(ticks, SHARES, "error, metres (logarithmic)"), axes.line(metres, steps, "curve")]
    at_near = float(np.mean(errors <= NEAR_M))
    share_near = f"{100 * at_near:.1f} % within {NEAR_M:g} m"
    parts.append(axes.upright(NEAR_M, "mark"))
    parts.append(text(axes.x(NEAR_M) + 5, axes.y(0.06), share_near, "limit", "start"))
    caption = "Solid: these photos."
    if spacing_m is not None:
        distances = np.geomspace(1.0, axes.high, 160)
        perfect = [share_within(distance / spacing_m) for distance in distances]
        parts.append(axes.line(distances, perfect, "perfect"))
        caption += f" Dashed: the floor, what a perfect ranking reaches on a grid of {spacing_m:g} m."
    levels = (5, 25, 50, 75, 90, 95, 100)
    rows = [(f"{level} %", f"{float(np.percentile(errors, level)):,.1f} m") for level in levels]
    label = f"Cumulative distribution of the error of {len(errors):,} photos in metres; {share_near}"
    title = "Share of photos within a distance of the true place"
    return card(title, caption, parts, label, ("Share of photos", "Error at most"), rows)


def recall_bars(errors: Float[np.ndarray, " n"], spacing_m: float | None) -> str:
    """Return a card with the share of photos within each of `RECALL_M` metres; empty without errors.

    A dashed stroke over each bar is what a perfect ranking reaches on a grid of `spacing_m`.
    """
    if len(errors) == 0:
        return ""
    axes = Axes(0.0, float(len(RECALL_M)))
    parts = [axes.frame({}, SHARES, "metres from the true place")]
    rows = []
    for number, metres in enumerate(RECALL_M):
        share = float(np.mean(errors <= metres))
        left, right, y = axes.x(number + 0.18), axes.x(number + 0.82), axes.y(share)
        parts.append(
            f'<rect class="bar" x="{left:.1f}" y="{y:.1f}" width="{right - left:.1f}" '
            f'height="{axes.y(0.0) - y:.1f}" rx="3"/>'
        )
        row = [f"{metres:g} m", f"{share:.1%}"]
        if spacing_m is not None:
            best = share_within(metres / spacing_m)
            at = axes.y(best)
            parts.append(
                f'<line class="perfect" x1="{left - 8:.1f}" x2="{right + 8:.1f}" y1="{at:.1f}" y2="{at:.1f}"/>'
            )
            row.append(f"{best:.1%}")
        parts.append(text((left + right) / 2, y - 6, f"{share:.1%}", "strong halo"))
        parts.append(text((left + right) / 2, axes.y(0.0) + 20, f"{metres:g}"))
        rows.append(row)
    caption = f"Recall of {len(errors):,} photos with a known place, first answer only."
    if spacing_m is not None:
        caption += " Dashed: a perfect ranking on this grid."
    columns = ("Within", "Photos", "Perfect ranking")[: len(rows[0])]
    label = "Recall: " + "; ".join(f"{row[1]} within {row[0]}" for row in rows)
    return card("Recall within metres", caption, parts, label, columns, rows)


def heading_curve(errors_deg: Float[np.ndarray, " n"], near: Bool[np.ndarray, " n"]) -> str:
    """Return a card with the cumulative distribution of heading errors; empty without any.

    Args:
        errors_deg: degrees in [0, 180] between a heading that was found and the true one.
        near: True where the place was found within 25 m: elsewhere a heading means little.
    """
    if len(errors_deg) == 0:
        return ""
    axes = Axes(0.0, 180.0)
    ticks = {float(degrees): str(degrees) for degrees in (0, 10, 30, 60, 90, 120, 150, 180)}
    parts, rows = [axes.frame(ticks, SHARES, "heading error, degrees")], []
    for name, kind, chosen in (("all", "perfect", errors_deg), (f"within {NEAR_M:g} m", "curve", errors_deg[near])):
        if len(chosen) == 0:
            continue
        ordered = np.quantile(chosen, np.linspace(0, 1, min(len(chosen), 400)))
        share = np.linspace(1 / len(chosen), 1, len(ordered))
        steps = [0.0, *np.repeat(ordered, 2), 180.0], [0.0, 0.0, *np.repeat(share, 2)]
        parts.append(axes.line(*steps, kind))
        shares = (f"{float(np.mean(chosen <= degrees)):.1%}" for degrees in HEADING_DEG)
        rows.append((name, f"{len(chosen):,}", f"{float(np.median(chosen)):.1f}°", *shares))
    columns = ("Photos", "Count", "Median", *(f"Within {degrees:g}°" for degrees in HEADING_DEG))
    label = "Heading error: " + "; ".join(f"median {row[2]} for {row[0]}" for row in rows)
    caption = (
        f"Headings that were found, against those the table tells. Solid: placed within {NEAR_M:g} m. Dashed: all."
    )
    return card("Share of photos within an angle of the true heading", caption, parts, label, columns, rows)
