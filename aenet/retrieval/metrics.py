"""Ranking metrics that cannot be fooled: ties count against us, non-finite descriptors are an error."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float, Int

from aenet.retrieval.ranking import best_match, ranks
from aenet.retrieval.rowblocks import check_descriptors

__all__ = ["best_match", "check_descriptors", "error_summary", "one_percent", "ranks", "recall", "summary"]

_PERCENTILES = (75, 90, 95)


def recall(rank: Int[np.ndarray, " q"], k: int) -> float:
    """Return the share of queries whose true reference is among the first `k`, in 0..1."""
    return float((rank < k).mean())


def one_percent(references: int) -> int:
    """Return K for R@1%: floor(0.01 N), at least 1 (8,884 references: 88)."""
    return max(1, references // 100)


def summary(rank: Int[np.ndarray, " q"], references: int) -> dict[str, float]:
    """Return R@1, R@5, R@10, R@1 % in percent, and the median rank counted from 1."""
    at = {"recall_at_1": 1, "recall_at_5": 5, "recall_at_10": 10, "recall_at_1_percent": one_percent(references)}
    values = {name: 100 * recall(rank, k) for name, k in at.items()}
    return values | {"median_rank": float(np.median(rank)) + 1}


def error_summary(
    error_m: Float[np.ndarray, " q"], within_m: Sequence[float] = (5.0, 10.0, 25.0, 50.0)
) -> Mapping[str, float]:
    """Return median, 75th, 90th and 95th percentile of errors in metres, and percentages within given distances."""
    shares = {f"within_{metres:g}_m": 100 * float((error_m <= metres).mean()) for metres in within_m}
    percentiles = {f"p{p}_error_m": float(np.percentile(error_m, p)) for p in _PERCENTILES}
    return {"median_error_m": float(np.median(error_m)), **percentiles, **shares}
