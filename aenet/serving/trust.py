"""Does the margin tell right places from wrong ones? The share of right ones from the lowest margins to the highest."""

import numpy as np
from jaxtyping import Float

from aenet.serving.summary import NEAR_M

GROUPS = 5
_ENOUGH = 10 * GROUPS  # photos below which a share is an anecdote
_WIDTH, _HEIGHT = 640, 300
_LEFT, _TOP, _BOTTOM = 44, 26, 40


def trust_bars(margins: Float[np.ndarray, " n"], errors: Float[np.ndarray, " n"]) -> str:
    """Return a card with one bar for each fifth of the photos by margin; empty with too few of known error.

    Args:
        margins: score above that of the best other place; NaN where there is none.
        errors: metres from the truth; NaN where it is unknown.
    """
    known = np.isfinite(margins) & np.isfinite(errors)
    if int(known.sum()) < _ENOUGH:
        return ""
    order = np.argsort(margins[known], kind="stable")
    groups = np.array_split(order, GROUPS)
    width = (_WIDTH - _LEFT) / GROUPS
    parts = []
    for number, group in enumerate(groups):
        share = float(np.mean(errors[known][group] <= NEAR_M))
        low, high = (float(edge(margins[known][group])) for edge in (np.min, np.max))
        height = share * (_HEIGHT - _TOP - _BOTTOM)
        x, y, middle = _LEFT + number * width + 8, _HEIGHT - _BOTTOM - height, _LEFT + (number + 0.5) * width
        parts.append(
            f'<rect class="bar" x="{x:.1f}" y="{y:.1f}" width="{width - 16:.1f}" height="{height:.1f}" rx="3"/>'
        )
        parts.append(f'<text class="strong" x="{middle:.1f}" y="{y - 7:.1f}" text-anchor="middle">{share:.0%}</text>')
        label = f"{low:.3f} to {high:.3f}"
        parts.append(f'<text x="{middle:.1f}" y="{_HEIGHT - _BOTTOM + 16}" text-anchor="middle">{label}</text>')
    base, centre = _HEIGHT - _BOTTOM, (_LEFT + _WIDTH) / 2
    parts.append(f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH}" y1="{base}" y2="{base}"/>')
    parts.append(f'<text x="{centre}" y="{_HEIGHT - 6}" text-anchor="middle">margin to another place</text>')
    title = f"Share of photos within {NEAR_M:g} m, by margin"
    svg = f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{title}">{"".join(parts)}</svg>'
    legend = "Fifths of the photos. Where the bars rise to the right, the margin tells which places to trust."
    return f'<div class="card"><h2>{title}</h2><p>{legend}</p>{svg}</div>'
