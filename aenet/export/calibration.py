"""Fit what an exported model's scores are worth (`serving.confidence`), on its validation split.

Validation photos are sought among the tiles of the validation and training splits, as `aenet locate` seeks them. Two
things differ from a map's gallery. A data set's tiles are centred on its photos, a grid's are not: own tiles are
therefore displaced at random within a square of `calibration_offset_m` (`displace`). And photos of unknown heading
are worth less: they are turned at random and matched over all azimuths, for a sharpness of their own.

Displacing a polar view loses ground at one edge, which makes displaced tiles look less alike than those of a grid do.
On the town (20 m grid, 520 photos) centred tiles give a sharpness of 39, which promises too much (expected and
observed share within 25 m differ by 0.10 on average); 33 would be best (0.03); displacement within the grid's whole
20 m gives 23, far too cautious. Half of it, the default, gives 31: slightly on the cautious side.
"""

from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float32, UInt8

from aenet.card import Calibration, ModelCard
from aenet.data.views import Views
from aenet.export.branches import ExportConfig, run_onnx
from aenet.retrieval.azimuth import as_maps
from aenet.serving.search.confidence import fit_sharpness
from aenet.serving.search.queries import Query, shape_of, turns
from aenet.serving.search.scores import matcher

_PHASES = 4
_BATCH = 64
_REFERENCE_BYTES = 512 << 20
_BLOCK = 512
_SEED = 0


def calibrate(folder: Path, card: ModelCard, val: Views, train: Views, config: ExportConfig) -> Calibration | None:
    """Return the calibration of the branches exported to `folder`; None if there is nothing to fit it on.

    Raises:
        AenetError: the model's similarities say nothing of the places.
    """
    count = min(config.calibration_queries, len(val))
    if count < 2:
        return None
    generator = np.random.default_rng(_SEED)
    queries = np.sort(generator.permutation(len(val))[:count])
    offsets = generator.uniform(-0.5, 0.5, (count, 2)) * config.calibration_offset_m
    moved = zip(val.aerial[queries], offsets, strict=True)
    own = np.stack([displace(view, east, north, card.view.tile_size_m) for view, (east, north) in moved])
    limit = min(config.calibration_references, _REFERENCE_BYTES // (4 * card.descriptor_dim))
    others = np.sort(generator.permutation(len(train))[: max(0, limit - count)])
    views = np.concatenate([own, train.aerial[others]])
    references = run_onnx(folder / "aerial.onnx", views, _BATCH, config.threads)
    photos, truth = val.ground[queries], np.arange(count)
    known = _similarity(_describe(folder, card, photos, [0], config.threads, 0.0), references)
    turn = generator.integers(0, card.view.width, count)
    turned = np.stack([np.roll(photo, -step, axis=1) for photo, step in zip(photos, turn, strict=True)])
    unknown = _similarity(_describe(folder, card, turned, turns(card, _PHASES), config.threads, None), references)
    return Calibration(
        known=fit_sharpness(known, truth),
        unknown=fit_sharpness(unknown, truth),
        queries=count,
        references=len(references),
    )


def _describe(
    folder: Path,
    card: ModelCard,
    photos: UInt8[np.ndarray, "n h w 3"],
    steps: list[int],
    threads: int,
    heading_deg: float | None,
) -> list[Query]:
    shape = shape_of(card)
    phases = [
        as_maps(run_onnx(folder / "ground.onnx", np.roll(photos, -step, axis=2), _BATCH, threads), shape)
        for step in steps
    ]
    weights = np.ones((len(steps), shape[2]), np.float32)
    return [Query(maps, weights, heading_deg) for maps in np.stack(phases, axis=1)]


def _similarity(queries: list[Query], references: Float32[np.ndarray, "r d"]) -> Float32[np.ndarray, "q r"]:
    ask = matcher(queries)
    blocks = [ask.scores(references[start : start + _BLOCK]) for start in range(0, len(references), _BLOCK)]
    return np.concatenate(blocks, axis=1).astype(np.float32)


def displace(
    view: UInt8[np.ndarray, "h w 3"], east_m: float, north_m: float, tile_size_m: float
) -> UInt8[np.ndarray, "h w 3"]:
    """Return about the polar view of a tile whose centre lies elsewhere; see `aenet.polar` for the convention.

    What lies beyond the view's rim is not known: the rim is repeated.

    Args:
        view: the polar view of the tile.
        east_m, north_m: where the new centre is, in metres from the old one.
        tile_size_m: side of the tile; the rim is half of it away.
    """
    height, width = view.shape[:2]
    per_row = tile_size_m / 2 / height
    radius = per_row * (height - 1 - np.arange(height))[:, None]
    angle = 2 * np.pi * np.arange(width)[None] / width
    east, north = east_m - radius * np.sin(angle), north_m - radius * np.cos(angle)
    rows = height - 1 - np.hypot(east, north) / per_row
    columns = np.arctan2(-east, -north) % (2 * np.pi) / (2 * np.pi) * width
    around = np.concatenate([view[:, -1:], view, view[:, :1]], axis=1)
    maps = (columns + 1).astype(np.float32), np.maximum(rows, 0).astype(np.float32)
    return np.asarray(cv2.remap(around, *maps, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), np.uint8)
