"""The share of photos within a distance, drawn beside what the grid allows, as SVG."""

import numpy as np
from jaxtyping import Float

from aenet.serving.floor import share_within
from aenet.serving.summary import NEAR_M

_WIDTH, _HEIGHT = 640, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 44, 14, 12, 40
_TICKS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 100_000, 1_000_000, 10_000_000)


class _Axes:
    """Metres on a logarithmic axis from 1, share from 0 to 1 upwards."""

    def __init__(self, farthest: float) -> None:
        self.end = float(next(tick for tick in _TICKS if tick >= min(max(farthest, 2 * NEAR_M), _TICKS[-1])))

    def x(self, metres: float) -> float:
        part = np.log10(max(metres, 1.0)) / np.log10(self.end)
        return float(_LEFT + min(part, 1.0) * (_WIDTH - _LEFT - _RIGHT))

    def y(self, share: float) -> float:
        return _HEIGHT - _BOTTOM - share * (_HEIGHT - _TOP - _BOTTOM)

    def path(self, metres: Float[np.ndarray, " n"], share: Float[np.ndarray, " n"], kind: str) -> str:
        points = " ".join(f"{self.x(m):.1f},{self.y(s):.1f}" for m, s in zip(metres, share, strict=True))
        return f'<polyline class="{kind}" points="{points}"/>'


def error_curve(errors: Float[np.ndarray, " n"], spacing_m: float | None) -> str:
    """Return a card with the cumulative distribution of `errors` (metres); empty without errors.

    The dashed curve is what a perfect ranking reaches on a grid of `spacing_m`; None draws none.
    """
    if len(errors) == 0:
        return ""
    axes = _Axes(float(np.max(errors)))
    ordered = np.sort(errors)
    # A step at every photo, thinned to what the width can show.
    keep = np.unique(np.linspace(0, len(ordered) - 1, min(len(ordered), 400)).round().astype(int))
    share = (keep + 1) / len(ordered)
    metres = np.repeat(np.append(ordered[keep], axes.end), 2)[:-1]
    steps = np.concatenate([[0.0], np.repeat(share, 2)])
    parts = [_frame(axes), axes.path(metres, steps, "curve")]
    at_near = float(np.mean(errors <= NEAR_M))
    near, share_near = axes.x(NEAR_M), f"{100 * at_near:.1f} % within {NEAR_M:g} m"
    parts.append(f'<line class="mark" x1="{near:.1f}" x2="{near:.1f}" y1="{_TOP}" y2="{axes.y(0.0):.1f}"/>')
    parts.append(f'<text class="limit" x="{near + 5:.1f}" y="{axes.y(0.06):.1f}">{share_near}</text>')
    legend = "Solid: these photos."
    if spacing_m is not None:
        distances = np.geomspace(1.0, axes.end, 160)
        perfect = np.array([share_within(distance / spacing_m) for distance in distances])
        parts.append(axes.path(distances, perfect, "perfect"))
        legend += f" Dashed: the floor, what a perfect ranking reaches on a grid of {spacing_m:g} m."
    label = f"Cumulative distribution of the error in metres; {share_near}"
    svg = f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{label}">{"".join(parts)}</svg>'
    return f'<div class="card"><h2>Share of photos within a distance of the true place</h2><p>{legend}</p>{svg}</div>'


def _frame(axes: _Axes) -> str:
    parts = []
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        y = axes.y(share)
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{share:.0%}</text>')
    for tick in (tick for tick in _TICKS if tick <= axes.end):
        label = f"{tick // 1000} km" if tick >= 1000 else str(tick)
        parts.append(
            f'<text x="{axes.x(float(tick)):.1f}" y="{_HEIGHT - _BOTTOM + 16}" text-anchor="middle">{label}</text>'
        )
    middle = (_LEFT + _WIDTH - _RIGHT) / 2
    parts.append(f'<text x="{middle}" y="{_HEIGHT - 6}" text-anchor="middle">error, metres (logarithmic)</text>')
    return "".join(parts)
