"""Charts of the report: inline SVG that needs no script, each with its numbers as a table for who cannot see it."""

import html
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from aenet.serving.galleries.manifest import share_within
from aenet.serving.jobs.summary import NEAR_M

WIDTH, HEIGHT = 640.0, 312.0
LEFT, RIGHT, TOP, BOTTOM = 56.0, 20.0, 24.0, 54.0  # room for the larger words of a narrow window
SHARES = {0.0: "0%", 0.25: "25%", 0.5: "50%", 0.75: "75%", 1.0: "100%"}


@dataclass(frozen=True)
class Axes:
    """From values to pixels of a chart: x from `low` to `high`, y from 0 to `top`; what lies outside ends at the edge.

    `logarithmic` spaces x by its logarithm; `low` is then above 0.
    """

    low: float
    high: float
    top: float = 1.0
    logarithmic: bool = False

    def x(self, value: float) -> float:
        """Return the pixel column of a value."""
        if self.logarithmic:
            part = math.log(max(value, self.low) / self.low) / math.log(self.high / self.low)
        else:
            part = (value - self.low) / (self.high - self.low)
        return LEFT + min(max(part, 0.0), 1.0) * (WIDTH - LEFT - RIGHT)

    def y(self, value: float) -> float:
        """Return the pixel row of a value."""
        return HEIGHT - BOTTOM - min(max(value / self.top, 0.0), 1.0) * (HEIGHT - TOP - BOTTOM)

    def line(self, xs: Iterable[float], ys: Iterable[float], kind: str) -> str:
        """Return a line through points, styled as class `kind`."""
        points = " ".join(f"{self.x(x):.1f},{self.y(y):.1f}" for x, y in zip(xs, ys, strict=True))
        return f'<polyline class="{kind}" points="{points}"/>'

    def upright(self, value: float, kind: str) -> str:
        """Return a vertical line over the whole height."""
        x = self.x(value)
        return f'<line class="{kind}" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{self.y(0.0):.1f}"/>'

    def frame(self, xs: Mapping[float, str], ys: Mapping[float, str], x_label: str) -> str:
        """Return the grid and the labels of both axes."""
        parts = []
        for value, label in ys.items():
            y = self.y(value)
            parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
            parts.append(text(LEFT - 6, y + 4, label, anchor="end"))
        parts += [text(self.x(value), HEIGHT - BOTTOM + 20, label) for value, label in xs.items()]
        parts.append(text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 6, x_label))
        return "".join(parts)


def text(x: float, y: float, words: str, kind: str = "", anchor: str = "middle") -> str:
    """Return words at a place of a chart."""
    style = f' class="{kind}"' if kind else ""
    return f'<text{style} x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{html.escape(words)}</text>'


def card(
    title: str,
    caption: str,
    parts: Iterable[str],
    label: str,
    columns: Sequence[str],
    rows: Iterable[Sequence[str]],
) -> str:
    """Return a chart with its heading, a sentence, and a table of its numbers.

    Args:
        title, caption: above the chart.
        parts: SVG elements.
        label: what the chart shows, in words, for who cannot see it.
        columns, rows: the table, folded away until asked for.
    """
    head = "".join(f'<th scope="col" class="n">{html.escape(name)}</th>' for name in columns)
    body = "".join(
        "<tr>" + "".join(f'<td class="n">{html.escape(value)}</td>' for value in row) + "</tr>" for row in rows
    )
    return (
        f'<figure class="card"><figcaption><h2>{html.escape(title)}</h2><p>{html.escape(caption)}</p></figcaption>'
        f'<svg viewBox="0 0 {WIDTH:g} {HEIGHT:g}" role="img" aria-label="{html.escape(label)}">{"".join(parts)}</svg>'
        f"<details><summary>Numbers</summary><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
        "</details></figure>"
    )


# The share of photos within a distance, drawn beside what the grid allows, as SVG.

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
