"""Fit what an exported model's scores are worth (`scoring.confidence`), on its validation split.

Validation photos are sought as `aenet locate` seeks them: their heading known, and turned at random and matched over
all azimuths. Each way gets numbers of its own.

A data set's tiles are centred on its photos, a grid's are not. So a grid is laid over all ground that the validation
places' tiles show, streets and what lies between them: of every second tile along its axes those are made whose centres
lie on a place's own tile, of the others those whose centres lie within `_DISPLACED` of its side. They are made from
the nearest place's tile, whose view is displaced (`displace`). Displacing loses ground at one edge, which is repeated:
half of it at the farthest, where a tile is a rival and a photo's own in the coarsest grids alone. Every second, fourth
and eighth tile are coarser grids. In each of them the photos are sought whose own cell is there (`trial`).
"""

from pathlib import Path
from typing import NamedTuple, assert_never

import cv2
import numpy as np
import pandas as pd
from jaxtyping import Float, Float32, Int, UInt8
from pyproj import Proj

from aenet.data.card import Acuity, Calibration, ModelCard
from aenet.data.views import Views
from aenet.export.graphs import ExportConfig, run_onnx
from aenet.export.trial import Trial
from aenet.io.errors import AenetError
from aenet.retrieval.azimuth import as_maps
from aenet.retrieval.products import slices
from aenet.scoring.confidence import fit_sharpness, resemblance
from aenet.scoring.similarity import Query, matcher, shape_of, turns
from aenet.view.spec import PolarView, TileView

_PHASES = 4
_BATCH = 64
_REFERENCE_BYTES = 512 << 20
_BLOCK = 512
_SEED = 0
_FINEST = 14  # tiles of the densest grid along a tile's side: every 5 m for tiles of 70 m
_STRIDES = (1, 2, 4, 8)  # coarser grids take every so manieth tile, from all beginnings that are multiples of `_WIDE`
_WIDE = 2  # every so manieth tile may be displaced by half a side
_DISPLACED = 0.15
_TILES, _FEWEST = 12288, 8  # of the densest grid: at most, and around a place that has others beside it
_R2 = np.array([0.7548776662466927, 0.5698402909980532])
_APART_M = 1e6  # places whose positions are not known have no neighbours
_FEW = 32  # photos, in all of a spacing's grids
_NOTHING = "no calibration for {} validation queries: similarity says nothing of their places"


class TileGrid(NamedTuple):
    """Tiles of a grid: which they are, where, from which place's own tile each is made, and how far it is moved.

    Attributes:
        axes: which tile along each of the grid's two axes.
        at: metres on a plane.
        place: a row of `centres`.
        moved: metres east and north.
        step_m, origin: tile (i, j) is centred at origin + step (i, j).
    """

    axes: Int[np.ndarray, "n 2"]
    at: Float[np.ndarray, "n 2"]
    place: Int[np.ndarray, " n"]
    moved: Float[np.ndarray, "n 2"]
    step_m: float
    origin: Float[np.ndarray, " 2"]


def calibrate(folder: Path, card: ModelCard, val: Views, train: Views, config: ExportConfig) -> Calibration | None:
    """Return the calibration of the branches exported to `folder`; None if there is nothing to fit it on.

    Raises:
        AenetError: the model's similarities say nothing of the places.
    """
    asked = min(config.calibration_queries, len(val))
    if asked < 2:
        return None
    generator = np.random.default_rng(_SEED)
    places = generator.permutation(len(val))
    queries, (cameras, centres) = places[:asked], plane_positions(val.pairs)
    most = min(_TILES, _REFERENCE_BYTES // (4 * card.descriptor_dim))
    grid, places = _largest_grid(centres, places, card.view.tile_size_m, most, generator)
    tiles = _grid_tiles(folder, val.aerial, places, grid, card, config)
    limit = min(config.calibration_references, _REFERENCE_BYTES // (4 * card.descriptor_dim))
    others = np.sort(generator.permutation(len(train))[: max(0, limit - asked)])
    shown = np.concatenate([val.aerial[queries], train.aerial[others]])
    references = run_onnx(folder / "aerial.onnx", shown, _BATCH, config.threads)
    photos, turn = val.ground[queries], generator.integers(0, card.view.ground.width, asked)
    turned = np.stack([np.roll(photo, -step, axis=1) for photo, step in zip(photos, turn, strict=True)])
    known, unknown = (
        fit_acuity(_similarity(way, references), _similarity(way, tiles), cameras[queries], grid, card.view.tile_size_m)
        for way in (
            _describe(folder, card, photos, [0], config.threads, 0.0),
            _describe(folder, card, turned, turns(card, _PHASES), config.threads, None),
        )
    )
    return Calibration(known=known, unknown=unknown, queries=asked, references=len(references))


def plane_positions(pairs: pd.DataFrame) -> tuple[Float[np.ndarray, "n 2"], Float[np.ndarray, "n 2"]]:
    """Return where cameras stand and tiles are centred: metres east and north on a plane (azimuthal equidistant).

    Every degree of latitude and longitude has a plane of its own, because on a larger one east is not east
    everywhere, and lies far from the others. A tile whose centre is not known is centred on its camera; places that are
    not known lie far from all others.
    """
    camera, centre = (pairs[[f"{view}longitude", f"{view}latitude"]].to_numpy(np.float64) for view in ("", "aerial_"))
    known = np.isfinite(camera).all(1)
    number = 1 + np.arange(len(pairs))
    # Far from each other, and anywhere alike in the cells of a grid (the R2 sequence).
    cameras = 1e9 + np.column_stack([_APART_M * number, 0 * number]) + 1e3 * (number[:, None] * _R2 % 1)
    centres = cameras.copy()
    there = np.where(np.isfinite(centre).all(1, keepdims=True), centre, camera)
    degrees = np.rint(np.where(known[:, None], camera, 0.0)) % (360, 1000)  # 180 degrees east are 180 degrees west
    for region, (longitude, latitude) in enumerate(np.unique(degrees[known], axis=0)):
        mine = known & (degrees == (longitude, latitude)).all(1)
        plane = Proj(proj="aeqd", lon_0=longitude, lat_0=(latitude + 500) % 1000 - 500, ellps="WGS84")
        for metres, lies in ((cameras, camera), (centres, there)):
            metres[mine] = np.column_stack(plane(*lies[mine].T)) - (_APART_M * region, 0.0)
    return cameras, centres


def _largest_grid(
    centres: Float[np.ndarray, "n 2"],
    places: Int[np.ndarray, " n"],
    tile_m: float,
    most: int,
    generator: np.random.Generator,
) -> tuple[TileGrid, Int[np.ndarray, " p"]]:
    """Return a grid of at most `most` tiles, and the places it is laid over: the first of `places`, two at least."""
    origin, places = generator.uniform(0, tile_m / _FINEST, 2), places[: max(2, most // _FEWEST)]
    while len((grid := lay_grid(centres[places], tile_m, origin)).place) > most and len(places) > 2:
        places = places[: max(2, int(0.8 * len(places)))]
    return grid, places


def lay_grid(centres: Float[np.ndarray, "p 2"], tile_m: float, origin: Float[np.ndarray, " 2"]) -> TileGrid:
    """Return those of a grid's tiles that the places' tiles show, as told above; tile 0, 0 is centred at `origin`."""
    step = tile_m / _FINEST
    side = _FINEST // 2
    around = np.stack(np.meshgrid(np.arange(-side, side + 1), np.arange(-side, side + 1)), -1).reshape(-1, 2)
    index = np.rint((centres - origin) / step).astype(np.int64)[:, None] + around  # [p, k, 2]
    place = np.repeat(np.arange(len(centres)), len(around))
    index = index.reshape(-1, 2)
    moved = origin + step * index - centres[place]
    away = np.hypot(*moved.T)
    reach = tile_m * np.where((index % _WIDE == 0).all(1), 0.5, _DISPLACED)
    order = np.argsort(away, kind="stable")
    order = order[(away <= reach)[order]]  # a tile is made from the nearest place
    _, first = np.unique(index[order], axis=0, return_index=True)
    some = order[np.sort(first)]
    return TileGrid(index[some], origin + step * index[some], place[some], moved[some], step, origin)


def _grid_tiles(
    folder: Path,
    aerial: UInt8[np.ndarray, "n h w 3"],
    places: Int[np.ndarray, " p"],
    grid: TileGrid,
    card: ModelCard,
    config: ExportConfig,
) -> Float32[np.ndarray, "t d"]:
    step = max(_BATCH, _REFERENCE_BYTES // aerial[0].nbytes)
    parts = []
    for some in slices(len(grid.place), step):
        moves = zip(places[grid.place[some]], grid.moved[some], strict=True)
        views = [displace(aerial[place], east, north, card.view.aerial) for place, (east, north) in moves]
        parts.append(run_onnx(folder / "aerial.onnx", np.stack(views), _BATCH, config.threads))
    return np.concatenate(parts)


def fit_acuity(
    similarity: Float32[np.ndarray, "q r"],
    scores: Float32[np.ndarray, "q n"],
    photos: Float[np.ndarray, "q 2"],
    grid: TileGrid,
    tile_m: float,
) -> Acuity:
    """Return what the similarities of photos and tiles tell of distances.

    Args:
        similarity: cosines of all photos and references; the own tile of photo i is reference i.
        scores: cosines of all photos and the grid's tiles.
        photos: where they were taken, metres on the grid's plane.
        tile_m: side of a tile.

    Raises:
        AenetError: the similarities say nothing of the photos' places.
    """
    count = len(similarity)
    centred = fit_sharpness(similarity, np.arange(count))
    others = np.arange(similarity.shape[1]) != np.arange(count)[:, None]
    mean = float(similarity[others].mean(dtype=np.float64))
    away = np.hypot(*(grid.at[None, :, axis] - photos[:, None, axis] for axis in (0, 1)))
    rise, reach = _profile(scores - mean, away, tile_m)
    if rise <= 0:
        raise AenetError(_NOTHING.format(count))
    acuity = Acuity(mean=mean, rise=rise, reach_m=reach, centred=centred)
    fitted = {
        stride * grid.step_m: trial.fit()
        for stride in _STRIDES
        if (trial := _trial(acuity, scores, photos, grid, stride)) is not None
    }
    sharpness, circle = zip(*fitted.values(), strict=True) if fitted else ((), ())
    return acuity.model_copy(update={"spacings_m": tuple(fitted), "sharpness": sharpness, "circle": circle})


def _trial(
    acuity: Acuity, scores: Float32[np.ndarray, "q n"], photos: Float[np.ndarray, "q 2"], grid: TileGrid, stride: int
) -> Trial | None:
    """Seek photos in grids of every `stride`-th tile, or return None where too few of their own cells are there."""
    trial, sought = Trial(acuity, stride * grid.step_m), 0
    there = set(map(tuple, grid.axes.tolist()))
    for phase in np.ndindex(2 * (max(1, stride // _WIDE),)):
        first = _WIDE * np.array(phase)
        tiles = np.flatnonzero(((grid.axes - first) % stride == 0).all(1))
        nearest = first + stride * np.rint(((photos - grid.origin) / grid.step_m - first) / stride).astype(np.int64)
        some = np.array([number for number, index in enumerate(nearest.tolist()) if tuple(index) in there], np.int64)
        if len(some):
            trial.seek(scores[np.ix_(some, tiles)], photos[some], grid.at[tiles], some)
        sought += len(some)
    return trial if sought >= _FEW else None


def _profile(above: Float[np.ndarray, "q n"], away_m: Float[np.ndarray, "q n"], tile_m: float) -> tuple[float, float]:
    """Return rise and reach of rise kappa(d), by least squares of the means of rings a 28th of a tile's side wide."""
    near = away_m < tile_m
    ring = (away_m[near] * (2 * _FINEST / tile_m)).astype(np.int64)
    count = np.bincount(ring)
    some = count > 0
    mean = (np.bincount(ring, above[near])[some] / count[some]).astype(np.float64)
    distance = np.bincount(ring, away_m[near])[some] / count[some]
    best = (np.inf, 0.0, 0.0)
    for reach in tile_m * np.geomspace(0.005, 3.0, 200):
        kappa = resemblance(distance, float(reach))
        rise = min(2.0, float((kappa * mean).sum() / (kappa**2).sum()))  # cosines differ by no more
        best = min(best, (float(((mean - rise * kappa) ** 2).sum()), rise, float(reach)))
    return best[1:]


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
    blocks = [ask.scores(references[some]) for some in slices(len(references), _BLOCK)]
    return np.concatenate(blocks, axis=1).astype(np.float32)


def displace(
    view: UInt8[np.ndarray, "h w 3"], east_m: float, north_m: float, spec: PolarView | TileView
) -> UInt8[np.ndarray, "h w 3"]:
    """Return about the aerial view of a tile whose centre lies elsewhere. What lies beyond its rim repeats the rim.

    Args:
        view: of the tile.
        east_m, north_m: where the new centre is, in metres from the old one.
        spec: how the view was made.
    """
    match spec:
        case PolarView():
            return _displace_polar(view, east_m, north_m, spec.tile_size_m)
        case TileView():
            moved = np.array([[1, 0, -east_m], [0, 1, north_m]]) * [1, 1, view.shape[1] / spec.tile_size_m]
            size = view.shape[1::-1]
            return np.asarray(cv2.warpAffine(view, moved, size, borderMode=cv2.BORDER_REPLICATE), np.uint8)
        case _:
            assert_never(spec)


def _displace_polar(
    view: UInt8[np.ndarray, "h w 3"], east_m: float, north_m: float, tile_size_m: float
) -> UInt8[np.ndarray, "h w 3"]:
    """Look each pixel's place up in the view about the old centre; see `aenet.view.polar` for the convention."""
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
