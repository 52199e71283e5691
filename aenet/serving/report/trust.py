"""Do the answers know when they are wrong? Risk against coverage, and the share of right ones by margin."""

import numpy as np
from jaxtyping import Float

from aenet.serving.jobs.summary import NEAR_M
from aenet.serving.report.chart import SHARES, Axes, card, text

GROUPS = 5
_ENOUGH = 10 * GROUPS  # photos below which a share is an anecdote


def risk_coverage(
    certainty: Float[np.ndarray, " n"], errors: Float[np.ndarray, " n"], name: str, answered: float | None = None
) -> str:
    """Return a card with the share of wrong answers against the share answered; empty with too few of known error.

    Answers are taken the most certain first (El-Yaniv and Wiener 2010, JMLR 11, 1605-1641); equally certain ones
    together, for no threshold parts them.

    Args:
        certainty: the larger the surer; NaN where there is none.
        errors: metres from the truth; NaN where it is unknown.
        name: what the certainty is.
        answered: share that was answered, the others abstained; None draws no mark.
    """
    known = np.isfinite(certainty) & np.isfinite(errors)
    count = int(known.sum())
    if count < _ENOUGH:
        return ""
    coverage, risk, least = _curve(certainty[known], errors[known] > NEAR_M)
    top = next(top for top in (0.1, 0.25, 0.5, 1.0) if top >= min(float(risk.max()), 1.0))
    axes = Axes(0.0, 1.0, top)
    ticks = {part * top: f"{100 * part * top:g}%" for part in SHARES}
    keep = np.unique(np.linspace(0, len(risk) - 1, min(len(risk), 400)).round().astype(int))
    parts = [axes.frame(SHARES, ticks, f"answered, the largest {name} first")]
    parts.append(axes.line([0.0, 1.0], [float(risk[-1])] * 2, "perfect"))
    parts.append(axes.line(coverage[keep], risk[keep], "curve"))
    if answered is not None and answered < 1.0:
        parts.append(axes.upright(answered, "mark"))
        side, anchor = (-6, "end") if answered > 0.5 else (6, "start")
        words = f"{answered:.0%} answered, the others abstained"
        parts.append(text(axes.x(answered) + side, axes.y(0.94 * top), words, "limit", anchor))
    rows = []
    for share in (0.1, 0.25, 0.5, 0.75, 0.9, 1.0):
        at = min(int(np.searchsorted(coverage, share)), len(risk) - 1)
        rows.append((f"{coverage[at]:.0%}", f"{risk[at]:.1%}", f"{least[at]:.3f}"))
    label = "Risk against coverage: " + "; ".join(f"{risk_} wrong with {share} answered" for share, risk_, _ in rows)
    caption = (
        f"Share of answers beyond {NEAR_M:g} m if only the surest are given, {count:,} photos. Dashed: given at random."
    )
    return card(
        "Wrong answers by how many are given", caption, parts, label, ("Answered", "Wrong", f"Least {name}"), rows
    )


def _curve(
    certainty: Float[np.ndarray, " n"], wrong: np.ndarray
) -> tuple[Float[np.ndarray, " m"], Float[np.ndarray, " m"], Float[np.ndarray, " m"]]:
    """Coverage, risk and least certainty at every threshold."""
    order = np.argsort(-certainty, kind="stable")
    ordered = certainty[order]
    ends = np.append(np.flatnonzero(np.diff(ordered)), len(ordered) - 1)
    answers = ends + 1
    return answers / len(ordered), np.cumsum(wrong[order])[ends] / answers, ordered[ends]


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
    axes = Axes(0.0, float(GROUPS))
    parts, rows = [axes.frame({}, {0.0: ""}, "margin to another place")], []
    for number, group in enumerate(np.array_split(order, GROUPS)):
        share = float(np.mean(errors[known][group] <= NEAR_M))
        low, high = (float(edge(margins[known][group])) for edge in (np.min, np.max))
        left, right, y = axes.x(number + 0.08), axes.x(number + 0.92), axes.y(share)
        parts.append(
            f'<rect class="bar" x="{left:.1f}" y="{y:.1f}" width="{right - left:.1f}" '
            f'height="{axes.y(0.0) - y:.1f}" rx="3"/>'
        )
        parts.append(text((left + right) / 2, y - 6, f"{share:.0%}", "strong"))
        parts.append(text((left + right) / 2, axes.y(0.0) + 20, f"{low:.3f} to {high:.3f}"))
        rows.append((f"{low:.3f} to {high:.3f}", f"{len(group):,}", f"{share:.1%}"))
    title = f"Share of photos within {NEAR_M:g} m, by margin"
    label = title + ": " + "; ".join(f"{row[2]} at {row[0]}" for row in rows)
    caption = "Fifths of the photos. Where the bars rise to the right, the margin tells which places to trust."
    return card(title, caption, parts, label, ("Margin", "Photos", f"Within {NEAR_M:g} m"), rows)
