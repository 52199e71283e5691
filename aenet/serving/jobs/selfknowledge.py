"""How well confidences keep their word on photos whose true position is known."""

import numpy as np
from jaxtyping import Bool, Float

_BINS = (0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0)
TENTHS = 10  # bins of the reliability diagram
_COVERAGES = (0.1, 0.25, 0.5, 0.75, 0.9, 1.0)

Bin = tuple[int, float, float]
"""Photos, their mean confidence, the share of them that was right."""


def calibration_bins(confidence: Float[np.ndarray, " n"], right: Bool[np.ndarray, " n"]) -> tuple[Bin, ...]:
    """Return expected and observed share of right answers, by confidence; groups without photos are left out."""
    group = np.clip(np.searchsorted(_BINS, confidence, side="right") - 1, 0, len(_BINS) - 2)
    among = [group == number for number in range(len(_BINS) - 1)]
    return tuple((int(a.sum()), float(confidence[a].mean()), float(right[a].mean())) for a in among if a.any())


def calibration_error(confidence: Float[np.ndarray, " n"], right: Bool[np.ndarray, " n"]) -> float:
    """Return the expected calibration error: the mean distance of expected and observed share, in [0, 1].

    Over `TENTHS` bins of equal width by their counts (Naeini et al. 2015, AAAI, 2901-2907); n is above 0.
    """
    number = np.minimum((confidence * TENTHS).astype(int), TENTHS - 1)
    among = [number == index for index in range(TENTHS)]
    off = [a.sum() * abs(confidence[a].mean() - right[a].mean()) for a in among if a.any()]
    return float(sum(off) / len(confidence))


def risk_coverage(
    confidence: Float[np.ndarray, " n"], right: Bool[np.ndarray, " n"]
) -> tuple[tuple[float, float], ...]:
    """Return (share answered, share of those wrong) if only the surest are answered (El-Yaniv and Wiener 2010)."""
    wrong = ~right[np.argsort(-confidence, kind="stable")]
    counts = [max(1, round(share * len(wrong))) for share in _COVERAGES]
    return tuple((count / len(wrong), float(wrong[:count].mean())) for count in dict.fromkeys(counts))
