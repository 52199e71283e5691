"""How many candidates an index must re-rank: measured on the gallery itself, for galleries differ.

Probes are tiles' own descriptors, moved to the cosine that photos have with their tiles. They are moved along the
directions in which the gallery's tiles differ from each other, for in any other direction no rival would come nearer.
An exact search says which tile is each probe's best; where that tile stands among the candidates tells the recall for
every number of candidates at once.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float32, Int64
from pydantic import Field

from aenet.errors import AenetError
from aenet.params import Config
from aenet.serving.search.codes import Codes
from aenet.serving.search.exact import gather, search

_RUNGS = (32, 64, 128, 256, 512, 1024, 2048, 4096)
_OTHERS = 256  # tiles whose differences move the probes
_SAME = 1e-5  # scores of tiles that look the same


class IndexOptions(Config):
    """What an index has to reach.

    Attributes:
        recall: share of photos whose best tile must be found.
        similarity: cosine of a photo and its tile for which that must hold.
        probes: how many tiles it is measured with; 512 tell 95 % to within one per cent (standard error).
    """

    recall: float = Field(default=0.95, gt=0, le=1)
    similarity: float = Field(default=0.7, gt=0, lt=1)
    probes: int = Field(default=512, ge=1)


class Rung(Config):
    """Share of probes whose best tile is found where so many `candidates` are re-ranked."""

    candidates: int
    recall: float


def measure(shards: Sequence[np.ndarray], codes: Codes, options: IndexOptions, threads: int = 0) -> tuple[Rung, ...]:
    """Return the recall for 32 to 4,096 candidates, or for all tiles where there are fewer."""
    probes = make_probes(shards, options)
    scores, best = search(shards, probes, 1, threads)
    listed = codes.candidates(probes, _RUNGS[-1], threads)[1]
    found = listed == best
    place = np.where(found.any(1), found.argmax(1), listed.shape[1])
    # A tile that looks the same as the best is as good: water and meadows come in thousands.
    for number in np.flatnonzero(place >= _RUNGS[0]):
        same = gather(shards, np.maximum(listed[number], 0)) @ probes[number] >= scores[number, 0] - _SAME
        equal = same & (listed[number] >= 0)
        place[number] = equal.argmax() if equal.any() else listed.shape[1]
    sizes = [rung for rung in _RUNGS if rung < listed.shape[1]] + [listed.shape[1]]
    return tuple(Rung(candidates=size, recall=float((place < size).mean())) for size in sizes)


def choose(ladder: Sequence[Rung], options: IndexOptions) -> int:
    """Return the fewest candidates that reach the recall.

    Raises:
        AenetError: none do.
    """
    for rung in ladder:
        if rung.recall >= options.recall:
            return rung.candidates
    top = ladder[-1]
    raise AenetError(
        f"no index reaches a recall of {options.recall:g} here: with {top.candidates:,} candidates re-ranked it finds "
        f"the best tile of {100 * top.recall:.1f} % of probes of cosine {options.similarity:g}; demand less with "
        "--recall, or search without an index"
    )


def make_probes(shards: Sequence[np.ndarray], options: IndexOptions) -> Float32[np.ndarray, "p d"]:
    """Return unit descriptors with the cosine `similarity` to one tile each; the same ones every time."""
    generator = np.random.default_rng(0)
    total = sum(len(shard) for shard in shards)
    own = gather(shards, _some(generator, total, options.probes))
    others = gather(shards, _some(generator, total, _OTHERS))
    away = generator.standard_normal((len(own), len(others)), dtype=np.float32) @ (others - others.mean(0))
    away -= (away * own).sum(1, keepdims=True) * own
    away /= np.maximum(np.linalg.norm(away, axis=1, keepdims=True), np.finfo(np.float32).tiny)
    probes = options.similarity * own + (1 - options.similarity**2) ** 0.5 * away
    return np.asarray(probes / np.linalg.norm(probes, axis=1, keepdims=True), np.float32)


def _some(generator: np.random.Generator, total: int, wanted: int) -> Int64[np.ndarray, " n"]:
    return np.sort(generator.choice(total, min(wanted, total), replace=False)).astype(np.int64)
