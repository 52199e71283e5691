"""Ranking metrics that cannot be fooled: ties count against us, non-finite descriptors are an error.

Distances are Euclidean between unit descriptors, so ranking is by cosine similarity, highest first.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float, Int

from aenet.errors import AenetError

_BLOCK_BYTES = 32 * 2**20
# Equal descriptors may differ by rounding after a blocked product; nearer than this is a tie.
_TIE = 1e-6


def ranks(
    query: Float[np.ndarray, "q d"], reference: Float[np.ndarray, "r d"], truth: Int[np.ndarray, " q"]
) -> Int[np.ndarray, " q"]:
    """Return, for each query, how many references other than its true one are at least as similar.

    0 is best. A tie counts against the query, so collapsed descriptors rank last instead of first. Queries are
    compared in blocks: the extra memory is one block of similarities (32 MiB), whatever the size.

    Args:
        query, reference: unit descriptors, finite.
        truth: row of each query's true reference.

    Raises:
        AenetError: descriptors that are not finite, or shapes that do not fit.
    """
    check_descriptors(query, "query")
    check_descriptors(reference, "reference")
    if query.shape[1] != reference.shape[1]:
        raise AenetError(f"query descriptors have {query.shape[1]} dimensions, references {reference.shape[1]}")
    result = np.empty(len(query), dtype=np.int64)
    step = max(1, _BLOCK_BYTES // (4 * max(1, len(reference))))
    for start in range(0, len(query), step):
        rows = slice(start, start + step)
        similarity = np.asarray(query[rows]) @ np.asarray(reference).T
        own = np.take_along_axis(similarity, truth[rows, None], axis=1)
        result[rows] = (similarity >= own - _TIE).sum(1) - 1
    return result


def check_descriptors(descriptors: Float[np.ndarray, "n d"], name: str) -> None:
    """Refuse empty and non-finite descriptors."""
    if len(descriptors) == 0:
        raise AenetError(f"no {name} descriptors: nothing to rank")
    bad = sum(
        int((~np.isfinite(part)).any(1).sum()) for part in np.array_split(descriptors, len(descriptors) // 4096 + 1)
    )
    if bad:
        raise AenetError(f"{bad} of {len(descriptors)} {name} descriptors hold NaN or infinity: the model is broken")


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
    error_m: Float[np.ndarray, " q"], within_m: Sequence[float] = (10.0, 25.0, 50.0)
) -> Mapping[str, float]:
    """Return median and 95th percentile of position errors in metres, and percentages within given distances."""
    shares = {f"within_{metres:g}_m": 100 * float((error_m <= metres).mean()) for metres in within_m}
    return {
        "median_error_m": float(np.median(error_m)),
        "p95_error_m": float(np.percentile(error_m, 95)),
        **shares,
    }


def best_match(query: Float[np.ndarray, "q d"], reference: Float[np.ndarray, "r d"], k: int) -> Int[np.ndarray, "q k"]:
    """Return the rows of the `k` most similar references, best first, in blocks like `ranks`."""
    k = min(k, len(reference))
    result = np.empty((len(query), k), dtype=np.int64)
    step = max(1, _BLOCK_BYTES // (4 * max(1, len(reference))))
    for start in range(0, len(query), step):
        similarity = np.asarray(query[start : start + step]) @ np.asarray(reference).T
        result[start : start + step] = np.argsort(-similarity, axis=1, kind="stable")[:, :k]
    return result
