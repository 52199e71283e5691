"""What every choice of compression costs: recall on the validation split beside bytes a tile, in one small table.

Validation photos are sought among the tiles of their split and of a sample of the training split, the same whose
descriptors the projections are fitted on. No choice is exported for it: descriptors are compressed where they are.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float32, Float64, Int, UInt8

from aenet.data.card import Compression
from aenet.data.views import Views
from aenet.evaluation.embed import embed
from aenet.export.compression import Shape, compress, directions, second_moment
from aenet.export.graphs import ExportConfig
from aenet.nn.branches import Branch, TwoBranch
from aenet.retrieval import recall as metrics
from aenet.retrieval.positives import Positives, of_pairs
from aenet.retrieval.ranking import rank
from aenet.scoring.storage import BYTES, compressions, gb_per_km2, name_of

SPACING_M = 20.0
_BATCH = 64
_SEED = 0
_RECALLS = ("recall_at_1", "recall_at_5", "recall_at_10")


@dataclass(frozen=True)
class Sample:
    """Descriptors as the network gives them: what compressions are fitted on and measured with.

    Attributes:
        shape: (C, h, w) of a descriptor; (D, 1, 1) where it is no map.
        moment: second moment of the channels over training pairs, both branches.
        pairs: how many these are.
        queries: validation photos.
        right: the queries' right answers.
        references: their tiles, in their order, and after them those of the training pairs.
    """

    shape: Shape
    moment: Float64[np.ndarray, "c c"]
    pairs: int
    queries: Float32[np.ndarray, "q d"]
    right: Positives
    references: Float32[np.ndarray, "r d"]

    def matrix(self, compression: Compression | None) -> Float32[np.ndarray, "channels c"] | None:
        """Return the projection of a compression, None where it has none; errors as `compression.directions`."""
        if compression is None or compression.kind == "gap":
            return None
        return directions(self.moment, compression.channels, compression.whiten)


def draw_sample(network: TwoBranch, shape: Shape, val: Views, train: Views, config: ExportConfig) -> Sample:
    """Describe at most `compression_pairs` pairs of either split, in blocks."""
    torch.set_num_threads(config.threads)
    generator = np.random.default_rng(_SEED)
    asked, fitted = (np.sort(generator.permutation(len(views))[: config.compression_pairs]) for views in (val, train))
    moment = np.zeros((shape[0], shape[0]))
    references = [_describe(network.aerial, val.aerial, asked)]
    for start in range(0, len(fitted), _BATCH):
        rows = fitted[start : start + _BATCH]
        tiles = _describe(network.aerial, train.aerial, rows)
        moment += second_moment(tiles, shape) + second_moment(_describe(network.ground, train.ground, rows), shape)
        references.append(tiles)
    queries = _describe(network.ground, val.ground, asked)
    listed = pd.concat([val.pairs.iloc[asked], train.pairs.iloc[fitted]])
    right = of_pairs(listed).first(len(asked))
    return Sample(shape, moment, len(fitted), queries, right, np.concatenate(references))


def _describe(
    branch: Branch, views: UInt8[np.ndarray, "n h w 3"], rows: Int[np.ndarray, " m"]
) -> Float32[np.ndarray, "m d"]:
    return np.asarray(embed(branch, views[rows], _BATCH), np.float32)


def ladder(sample: Sample, chosen: Compression | None) -> dict[str, Any]:
    """Return what was chosen, and for every choice its numbers, bytes a tile, GB a square kilometre and recalls.

    The names are those of a gallery's manifest (`scoring.storage`). Types matter to the gallery alone, for
    photos are not stored; float16 is measured on the descriptor in full and on the one chosen.
    """
    rungs = {name_of(one): one for one in [*compressions(sample.shape), chosen]}
    report: dict[str, Any] = {
        "chosen": name_of(chosen),
        "pairs": sample.pairs,
        "photos": len(sample.queries),
        "tiles": len(sample.references),
        "spacing_m": SPACING_M,
        "choices": {},
    }
    for name, compression in rungs.items():
        matrix = sample.matrix(compression)
        queries, references = (compress(each, compression, matrix) for each in (sample.queries, sample.references))
        for kind in BYTES if name in ("full", report["chosen"]) else ("float32",):
            size = BYTES[kind] * references.shape[1]
            kept = references.astype(kind, copy=False).astype(np.float32, copy=False)
            found = metrics.summary(rank(queries, kept, sample.right).rank, sample.right.listed(len(kept)))
            report["choices"][f"{name} {kind}"] = {
                "bytes_per_tile": size,
                "gb_per_km2": gb_per_km2(size, SPACING_M),
                **{recall: found[recall] for recall in _RECALLS},
            }
    return report


def ladder_lines(report: dict[str, Any]) -> list[str]:
    """Return the table as text; the chosen compression is marked."""
    lines = [
        f"what smaller descriptors cost: {report['photos']} validation photos among {report['tiles']:,} tiles; "
        f"GB a km2 with a tile every {report['spacing_m']:g} m; * what is exported",
        f"  {'':26}{'bytes a tile':>14}{'GB a km2':>10}{'R@1':>8}{'R@5':>8}{'R@10':>8}",
    ]
    for name, row in report["choices"].items():
        mark = "*" if name.rpartition(" ")[0] == report["chosen"] else " "
        recalls = "".join(f"{row[recall]:>8.1f}" for recall in _RECALLS)
        lines.append(f"{mark} {name:26}{row['bytes_per_tile']:>14,}{row['gb_per_km2']:>10.3g}{recalls}")
    return lines
