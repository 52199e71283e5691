"""Is a confidence of 80 % right eight times in ten? Reliability, the scores' spread, risk against coverage."""

import numpy as np
from jaxtyping import Bool, Float

from aenet.serving.jobs.summary import NEAR_M, TENTHS, calibration_error
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


# Do the answers know when they are wrong? Risk against coverage, and the share of right ones by margin.

GROUPS = 5
_ENOUGH = 10 * GROUPS  # photos below which a share is an anecdote


def risk_card(
    certainty: Float[np.ndarray, " n"], errors: Float[np.ndarray, " n"], name: str, answered: float | None = None
) -> str:
    """Return a card with the share of wrong answers against the share answered; empty with too few of known error.

    Answers are taken the most certain first (El-Yaniv and Wiener 2010, JMLR 11, 1605-1641); equally certain ones
    together because no threshold parts them.

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
