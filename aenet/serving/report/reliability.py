"""Is a confidence of 80 % right eight times in ten? The reliability diagram, and how the scores are spread."""

import numpy as np
from jaxtyping import Bool, Float

from aenet.serving.jobs.selfknowledge import TENTHS, calibration_error
from aenet.serving.jobs.summary import NEAR_M
from aenet.serving.report.chart import SHARES, TOP, Axes, card, text

_SCORE_BINS = (8, 40)  # fewest and most


def calibration(confidence: Float[np.ndarray, " n"], errors: Float[np.ndarray, " n"]) -> str:
    """Return a card with the expected against the observed share within 25 m; empty where neither is known.

    Bins of equal width, their counts above; whiskers are Wilson's 95 % interval (1927, JASA 22, 209-212).

    Args:
        confidence: probability that the place is within 25 m, in [0, 1]; NaN where there is none.
        errors: metres from the truth; NaN where it is unknown.
    """
    known = np.isfinite(confidence) & np.isfinite(errors)
    if not known.any():
        return ""
    said, right = confidence[known], errors[known] <= NEAR_M
    number, off = np.minimum((said * TENTHS).astype(int), TENTHS - 1), calibration_error(said, right)
    axes = Axes(0.0, 1.0)
    parts = [axes.frame(SHARES, SHARES, "confidence"), axes.line([0.0, 1.0], [0.0, 1.0], "perfect")]
    rows, means, shares = [], [], []
    for index in range(TENTHS):
        group = number == index
        if not (count := int(group.sum())):
            continue
        expected, observed = float(said[group].mean()), float(right[group].mean())
        low, high = wilson(observed, count)
        x = axes.x(expected)
        parts.append(
            f'<line class="whisker" x1="{x:.1f}" x2="{x:.1f}" y1="{axes.y(low):.1f}" y2="{axes.y(high):.1f}"/>'
        )
        parts.append(f'<circle class="point" cx="{x:.1f}" cy="{axes.y(observed):.1f}" r="5"/>')
        parts.append(text(axes.x((index + 0.5) / TENTHS), TOP - 7, f"{count:,}", "count"))
        rows.append(
            (f"{index / TENTHS:.0%} to {(index + 1) / TENTHS:.0%}", f"{count:,}", f"{expected:.1%}", f"{observed:.1%}")
        )
        means.append(expected)
        shares.append(observed)
    parts.insert(2, axes.line(means, shares, "curve thin"))
    title = f"Expected and observed share within {NEAR_M:g} m"
    caption = (
        f"On the dashed line confidence keeps its word; below it promises too much. Off by {off:.1%} on average. "
        "Numbers along the top: photos in each tenth."
    )
    label = f"Calibration, off by {off:.1%} on average: " + "; ".join(f"{row[3]} at {row[2]}" for row in rows)
    return card(title, caption, parts, label, ("Confidence", "Photos", "Expected", "Observed"), rows)


def wilson(share: float, count: int) -> tuple[float, float]:
    """Return the 95 % interval of a share observed in `count` trials."""
    z2 = 1.96**2
    middle = (share + z2 / (2 * count)) / (1 + z2 / count)
    half = 1.96 / (1 + z2 / count) * np.sqrt(share * (1 - share) / count + z2 / (4 * count**2))
    return max(0.0, float(middle - half)), min(1.0, float(middle + half))


def score_histogram(scores: Float[np.ndarray, " n"], errors: Float[np.ndarray, " n"]) -> str:
    """Return a card with how many photos have which best score, right and wrong ones apart; empty without scores.

    Args:
        scores: cosine similarity of photo and best tile; NaN where there is none.
        errors: metres from the truth; NaN where it is unknown.
    """
    there = np.isfinite(scores)
    if not there.any():
        return ""
    low, high = float(scores[there].min()), float(scores[there].max())
    if high - low < 1e-3:
        low, high = low - 0.01, high + 0.01
    bins = int(np.clip(np.sqrt(there.sum()), *_SCORE_BINS))
    edges = np.linspace(low, high, bins + 1)
    known = there & np.isfinite(errors)
    sets: list[tuple[str, str, Bool[np.ndarray, " n"]]] = [("all", "area", there)]
    if known.any():
        near = known & (errors <= NEAR_M)
        sets = [(f"within {NEAR_M:g} m", "area", near), ("farther", "outline", known & ~near)]
        if (unknown := there & ~known).any():
            sets.append(("truth unknown", "perfect", unknown))
    counts = [np.histogram(scores[chosen], edges)[0] for _, _, chosen in sets]
    top = float(max(count.max() for count in counts))
    axes = Axes(low, high, max(top, 1.0))
    ticks = {float(value): f"{value:.2f}" for value in np.linspace(low, high, 6)}
    parts = [axes.frame(ticks, {0.0: "0", axes.top: f"{axes.top:,.0f}"}, "score of the best tile")]
    xs = np.concatenate([[low], np.repeat(edges, 2)[1:-1], [high]])
    parts += [
        axes.line(xs, np.concatenate([[0.0], np.repeat(count, 2), [0.0]]), kind)
        for (_, kind, _), count in zip(sets, counts, strict=True)
    ]
    names = {"area": "filled", "outline": "line", "perfect": "dashed"}
    caption = "Photos by score. " + ", ".join(f"{names[kind].capitalize()}: {name}" for name, kind, _ in sets) + "."
    rows = [
        (name, f"{int(chosen.sum()):,}", *(f"{value:.3f}" for value in np.percentile(scores[chosen], (5, 50, 95))))
        for name, _, chosen in sets
        if chosen.any()
    ]
    label = "Distribution of scores: " + "; ".join(f"{row[0]}, {row[1]} photos, median {row[3]}" for row in rows)
    return card("Scores", caption, parts, label, ("Photos", "Count", "5 %", "Median", "95 %"), rows)
