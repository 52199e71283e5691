"""Fit what an exported model's scores are worth (`serving.search.confidence`), on its validation split.

Validation photos are sought among tiles around them and elsewhere, as `aenet locate` seeks them: their heading known,
and turned at random and matched over all azimuths. Each way gets numbers of its own.

A data set's tiles are centred on its photos, a grid's are not. So for grids of several spacings the tiles nearest to
each photo are made: its own tile's view, displaced (`displace`) to the centres of a grid that lies at random. How their
scores fall with their distance from the photo gives `rise` and `reach_m`. Displacing a polar view loses ground at one
edge, which is repeated, so that views displaced far look too much like their own tile: beyond `_DISPLACED` of a tile's
side scores are shifted to follow the profile, and spacings coarser than 2 / 7 of it are not tried: the trend goes on
(`Acuity.sharpness_at`).

The sharpness of each spacing is the one at which confidences keep their word: photos are sought among the tiles around
them and a simulated town elsewhere (`_Trial`), and the mean confidence is to be the share placed within 25 m.
"""

import itertools
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Float32, UInt8
from scipy.special import logsumexp

from aenet.card import Acuity, Calibration, ModelCard
from aenet.data.views import Views
from aenet.errors import AenetError
from aenet.export.branches import ExportConfig, run_onnx
from aenet.geodesy import distance_m
from aenet.retrieval.azimuth import as_maps
from aenet.retrieval.rowblocks import slices
from aenet.serving.search.confidence import NEAR_M, cell_of, evidence, fit_sharpness, resemblance
from aenet.serving.search.queries import Query, shape_of, turns
from aenet.serving.search.scores import matcher

_PHASES = 4
_BATCH = 64
_REFERENCE_BYTES = 512 << 20
_BLOCK = 512
_SEED = 0
_SPACINGS = 1 / 14, 1 / 7, 2 / 7  # of a tile's side: 5, 10 and 20 m for tiles of 70 m
_AROUND = np.array([(east, north) for east in (-1, 0, 1) for north in (-1, 0, 1)])  # the nearest and its neighbours
_DISPLACED = 0.2
_SIDES_M, _FIELDS = (800.0, 1600.0), 8  # of simulated towns, and how many of each
_SCORES = np.linspace(-1, 1, 2001)
_WITNESSES = 16  # photos whose scores elsewhere are correlated
_BLUNTEST, _SHARPEST = 0.05, 5000.0
_FEW = 16
_NOTHING = "no calibration for {} validation queries: similarity says nothing of their places"


def calibrate(folder: Path, card: ModelCard, val: Views, train: Views, config: ExportConfig) -> Calibration | None:
    """Return the calibration of the branches exported to `folder`; None if there is nothing to fit it on.

    Raises:
        AenetError: the model's similarities say nothing of the places.
    """
    asked = min(config.calibration_queries, len(val))
    if asked < 2:
        return None
    generator = np.random.default_rng(_SEED)
    queries = np.sort(generator.permutation(len(val))[:asked])
    limit = min(config.calibration_references, _REFERENCE_BYTES // (4 * card.descriptor_dim))
    others = np.sort(generator.permutation(len(train))[: max(0, limit - asked)])
    own = val.aerial[queries]
    references = run_onnx(folder / "aerial.onnx", np.concatenate([own, train.aerial[others]]), _BATCH, config.threads)
    photos, turn = val.ground[queries], generator.integers(0, card.view.width, asked)
    turned = np.stack([np.roll(photo, -step, axis=1) for photo, step in zip(photos, turn, strict=True)])
    ways = (
        _describe(folder, card, photos, [0], config.threads, 0.0),
        _describe(folder, card, turned, turns(card, _PHASES), config.threads, None),
    )
    tile_m, offset = card.view.tile_size_m, _offset(val.pairs.iloc[queries])
    near: list[list[Float[np.ndarray, " q"]]] = [[], []]
    elsewhere: list[list[Float32[np.ndarray, "n q"]]] = [[], []]
    centres = _patches(generator, asked, tile_m)
    for centre in centres.reshape(-1, asked, 2):
        moves = zip(own, centre - offset, strict=True)
        views = np.stack([displace(view, east, north, tile_m) for view, (east, north) in moves])
        tiles = run_onnx(folder / "aerial.onnx", views, _BATCH, config.threads)
        for way, found, foreign in zip(ways, near, elsewhere, strict=True):
            found.append(_own_similarity(way, tiles))
            foreign.append(_similarity(way[:_WITNESSES], tiles))
    known, unknown = (
        _fitted(_similarity(way, references), np.stack(found), np.stack(foreign), centres, tile_m)
        for way, found, foreign in zip(ways, near, elsewhere, strict=True)
    )
    return Calibration(known=known, unknown=unknown, queries=asked, references=len(references))


def _fitted(
    similarity: Float32[np.ndarray, "q r"],
    near: Float[np.ndarray, "gk q"],
    elsewhere: Float32[np.ndarray, "gk n q"],
    centres: Float[np.ndarray, "g k q 2"],
    tile_m: float,
) -> Acuity:
    own = np.arange(elsewhere.shape[1])
    elsewhere[:, own, own] = np.nan
    shape = centres.shape[:2]
    reach = field_reach(elsewhere.reshape(*shape, *elsewhere.shape[1:]), centres, _DISPLACED * tile_m)
    return fit_acuity(similarity, near.reshape(*shape, -1), centres, reach, tile_m)


def _patches(generator: np.random.Generator, photos: int, tile_m: float) -> Float[np.ndarray, "g k q 2"]:
    """Return where the tiles nearest to each photo lie, metres east and north of it, in a grid of each spacing."""
    phase = generator.uniform(-0.5, 0.5, (len(_SPACINGS), 1, photos, 2))
    return np.array(_SPACINGS)[:, None, None, None] * tile_m * (_AROUND[:, None] + phase)


def _offset(pairs: pd.DataFrame) -> Float[np.ndarray, "q 2"]:
    """Return how many metres east and north of each photo its own tile is centred; 0 where the data set is silent."""
    names = "latitude", "longitude", "aerial_latitude", "aerial_longitude"
    latitude, longitude, tile_latitude, tile_longitude = (pairs[name].to_numpy(np.float64) for name in names)
    east = distance_m(tile_latitude, longitude, tile_latitude, tile_longitude) * np.sign(tile_longitude - longitude)
    north = distance_m(latitude, longitude, tile_latitude, longitude) * np.sign(tile_latitude - latitude)
    return np.asarray(np.nan_to_num(np.stack([east, north], axis=1)))


def fit_acuity(
    similarity: Float32[np.ndarray, "q r"],
    near: Float[np.ndarray, "g k q"],
    centres: Float[np.ndarray, "g k q 2"],
    field_reach_m: float,
    tile_m: float,
) -> Acuity:
    """Return what the similarities of photos and tiles tell of distances.

    Args:
        similarity: cosines of all photos and references; the own tile of photo i is reference i.
        near: cosines of each photo with the k tiles around it, in a grid of each of `_SPACINGS`.
        centres: where those lie, metres east and north of the photo.
        field_reach_m: see `field_reach`.
        tile_m: side of a tile.

    Raises:
        AenetError: the similarities say nothing of the photos' places.
    """
    photos = len(similarity)
    centred = fit_sharpness(similarity, np.arange(photos))
    others = np.arange(similarity.shape[1]) != np.arange(photos)[:, None]
    far = similarity[others].reshape(photos, -1).astype(np.float64)
    away = np.hypot(centres[..., 0], centres[..., 1])
    mean, known = float(far.mean()), away <= _DISPLACED * tile_m
    rise, reach = _profile(near[known] - mean, away[known], tile_m)
    if rise <= 0:
        raise AenetError(_NOTHING.format(photos))
    blunt = Acuity(mean=mean, rise=rise, reach_m=reach, centred=centred)
    spacings = [share * tile_m for share in _SPACINGS]
    sharpness = []
    for spacing, scores, place, shown in zip(spacings, near, centres, known, strict=True):
        # Displaced by more, views keep too much of their own tile: those scores follow the profile on average.
        off = scores - mean - rise * resemblance(np.hypot(place[..., 0], place[..., 1]), reach)
        shift = np.where(shown, 0.0, off[~shown].mean() if (~shown).any() else 0.0)
        trial = _Trial(blunt, spacing, scores - shift, place, (far.mean(1), far.std(1)), field_reach_m)
        sharpness.append(trial.fit())
    return blunt.model_copy(update={"spacings_m": tuple(spacings), "sharpness": tuple(sharpness)})


def _profile(above: Float[np.ndarray, " n"], away_m: Float[np.ndarray, " n"], tile_m: float) -> tuple[float, float]:
    """Return rise and reach of rise kappa(d), by least squares."""
    best = (np.inf, 0.0, 0.0)
    for reach in tile_m * np.geomspace(0.01, 3.0, 200):
        kappa = resemblance(away_m, float(reach))
        rise = float((kappa * above).sum() / (kappa**2).sum())
        best = min(best, (float(((above - rise * kappa) ** 2).sum()), rise, float(reach)))
    return best[1:]


def field_reach(scores: Float[np.ndarray, "g k q n"], centres: Float[np.ndarray, "g k n 2"], limit_m: float) -> float:
    """Return the distance in metres at which half of the correlation of two tiles' scores is left: of the same kappa.

    Args:
        scores: cosines of some photos with the tiles around other places; NaN for the photo's own place.
        centres: of the tiles, metres from that place.
        limit_m: tiles farther than that from the place are left out.
    """
    spread = scores - np.nanmean(scores)
    alike, apart = [], []
    for one, other in itertools.combinations(range(len(_AROUND)), 2):
        both = (np.hypot(*np.moveaxis(centres[:, [one, other]], -1, 0)) <= limit_m).all(1)  # [g, n]
        product = np.nanmean(spread[:, one] * spread[:, other], axis=1)
        square = np.nanmean(0.5 * (spread[:, one] ** 2 + spread[:, other] ** 2), axis=1)
        alike.append((product / np.maximum(square, 1e-12))[both])
        apart.append(np.hypot(*np.moveaxis(centres[:, one] - centres[:, other], -1, 0))[both])
    return _profile(np.concatenate(alike), np.concatenate(apart), limit_m)[1]


class _Trial:
    """Validation photos sought in grids of one spacing, whose tiles elsewhere are simulated.

    Elsewhere the scores of photo i are a normal field of its own mean and spread, in which tiles d metres apart
    correlate by kappa(d); the town is a torus. What the references themselves have is not used for it: each is one
    tile of its place, and a dense grid has many there, of which the best counts.
    """

    def __init__(
        self,
        acuity: Acuity,
        spacing: float,
        near: Float[np.ndarray, "k q"],
        centres: Float[np.ndarray, "k q 2"],
        far: tuple[Float[np.ndarray, " q"], Float[np.ndarray, " q"]],
        reach_m: float,
    ) -> None:
        generator, cell = np.random.default_rng(_SEED), cell_of(spacing)
        self._evidence, self._points = evidence(_SCORES, cell, acuity), len(cell.along)
        self._near, photos = near, np.arange(near.shape[1])
        best = near.argmax(0)
        steps = _AROUND - _AROUND[best][:, None]  # [q, k, 2]
        self._beside = (np.hypot(steps[..., 0], steps[..., 1]) * spacing <= NEAR_M).T
        self._groups, self._right = [], 0
        sides = [round(side / spacing) for side in _SIDES_M for _ in range(_FIELDS)]
        for number, side in enumerate(sides):
            field, mine = _field(generator, side, spacing, reach_m), photos[number :: len(sides)]
            mean, deviation = (values[mine, None] for values in far)
            counts, edges = np.histogram(field, 600, (-8.0, 8.0))
            elsewhere = mean + deviation * (edges[1:] + edges[:-1]) / 2
            around = mean + deviation * field[_window(field, spacing)]
            wins = near[:, mine].max(0) > (mean + deviation * field.max())[:, 0]
            home = np.hypot(*centres[best[mine], mine].T) <= NEAR_M
            self._right += int((wins & home).sum())
            self._groups.append((mine, wins, counts, elsewhere, around))

    def fit(self) -> float:
        """Return the sharpness at which the mean confidence is the share of photos placed within `NEAR_M`.

        Half a photo more is taken to be right, and one wrong: q right answers in a row prove no certainty, nor q wrong
        ones that no photo is ever right.
        """
        target = (self._right + 0.5) / (self._near.shape[1] + 1.5)
        low, high = np.log(_BLUNTEST), np.log(_SHARPEST)
        for _ in range(20):
            middle = (low + high) / 2
            low, high = (middle, high) if self._confidence(float(np.exp(middle))) < target else (low, middle)
        return float(np.exp(low))

    def _confidence(self, sharpness: float) -> float:
        weight = logsumexp(sharpness * self._evidence, axis=1) - np.log(self._points)

        def odds(scores: Float[np.ndarray, "*n"]) -> Float[np.ndarray, "*n"]:
            return np.asarray(np.interp(scores, _SCORES, weight))

        said = []
        for mine, wins, counts, elsewhere, around in self._groups:
            all_near = odds(self._near[:, mine])
            beside = np.where(self._beside[:, mine], all_near, -np.inf)
            far = logsumexp(odds(elsewhere), axis=1, b=counts)
            answer = np.where(wins, logsumexp(beside, axis=0), logsumexp(odds(around), axis=1))
            said.append(np.exp(answer - np.logaddexp(logsumexp(all_near, axis=0), far)))
        return float(np.concatenate(said).mean())


def _field(generator: np.random.Generator, side: int, spacing: float, reach_m: float) -> Float[np.ndarray, "n n"]:
    """Return a normal field on a torus of `side` x `side` tiles: mean 0, variance 1, correlations kappa(d)."""
    along = np.minimum(np.arange(side), side - np.arange(side)) * spacing
    power = np.fft.fft2(resemblance(np.hypot(along[:, None], along), reach_m)).real
    noise = np.fft.fft2(generator.standard_normal((side, side)))
    return np.asarray(np.fft.ifft2(noise * np.sqrt(np.maximum(power, 0))).real)


def _window(field: Float[np.ndarray, "n n"], spacing: float) -> Bool[np.ndarray, "n n"]:
    """Return which tiles lie within `NEAR_M` of the highest."""
    at = np.unravel_index(field.argmax(), field.shape)
    off = [(np.arange(len(field)) - place + len(field) // 2) % len(field) - len(field) // 2 for place in at]
    return np.asarray(np.hypot(off[0][:, None], off[1]) * spacing <= NEAR_M)


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


def _own_similarity(queries: list[Query], tiles: Float32[np.ndarray, "q d"]) -> Float[np.ndarray, " q"]:
    """Return the cosine of query i and tile i."""
    parts = [matcher(queries[some]).scores(tiles[some]).diagonal() for some in slices(len(queries), _FEW)]
    return np.concatenate(parts).astype(np.float64)


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
