"""From photos as read to what the search compares: descriptor maps, and which part of the horizon they know."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, UInt8

from aenet.card import ModelCard
from aenet.retrieval.azimuth import as_maps
from aenet.retrieval.fieldofview import feature_weights
from aenet.serving.photos.reading import Reading
from aenet.serving.sessions.session import Branch

_NO_MAP_PHASES = 4  # times as many turns where there is no map to be shifted


@dataclass(frozen=True)
class Query:
    """A photo, described.

    Attributes:
        maps: its descriptor as a map; for an unknown heading one for each of P phases, phase p turned p / P of a
            column to the right (`azimuth.interleave`).
        weights: the share of each column of the map that the photo shows, in 0..1.
        heading_deg: true azimuth of the photo's middle; None where it is to be found.
    """

    maps: Float32[np.ndarray, "p c h w"]
    weights: Float32[np.ndarray, "p w"]
    heading_deg: float | None

    @property
    def known(self) -> bool:
        """True if the maps are turned north."""
        return self.heading_deg is not None

    @property
    def whole(self) -> bool:
        """True if the photo shows all of the horizon."""
        return bool((self.weights == 1).all())

    @property
    def seen(self) -> float:
        """The share of the horizon it shows, in (0, 1]."""
        return float(self.weights[0].mean())


def shape_of(card: ModelCard) -> tuple[int, int, int]:
    """Return (C, h, w) of a model's maps; a descriptor that is no map is one of a single column."""
    return card.map_shape or (card.descriptor_dim, 1, 1)


def turns(card: ModelCard, phases: int) -> list[int]:
    """Return by how many columns of the view each phase of an unknown heading turns a photo."""
    width, features = card.view.width, shape_of(card)[2]
    wanted = phases if features > 1 else _NO_MAP_PHASES * phases
    count = min(wanted, max(1, width // features))  # a turn is a whole number of columns
    return [round(phase * width / features / count) for phase in range(count)]


def describe(readings: Sequence[Reading], branch: Branch, phases: int) -> list[Query | str]:
    """Return for each photo its query, or the reason why it has none. Reading, embedding: all in order."""
    answers: list[Query | str] = [_refusal(reading, branch.card) for reading in readings]
    steps = turns(branch.card, phases)
    views: list[UInt8[np.ndarray, "h w 3"]] = []
    asked: list[tuple[int, list[int]]] = []
    for number, reading in enumerate(readings):
        if not answers[number] and reading.view is not None:
            mine = [0] if reading.heading_deg is not None else steps
            asked.append((number, mine))
            views += [np.roll(reading.view, -step, axis=1) for step in mine]
    if not views:
        return answers
    descriptors, faults = branch.embed_each(np.stack(views))
    maps, shape, start = as_maps(descriptors, shape_of(branch.card)), shape_of(branch.card), 0
    for number, mine in asked:
        rows, reading = slice(start, start + len(mine)), readings[number]
        start = rows.stop
        fault = next((faults[row] for row in range(rows.start, rows.stop) if row in faults), None)
        if fault is not None:  # a descriptor without direction would be near something all the same
            answers[number] = fault
            continue
        covered = np.ones(branch.card.view.width, bool) if reading.covered is None else reading.covered
        weights = np.stack([feature_weights(np.roll(covered, -step), shape[2]) for step in mine])
        answers[number] = Query(maps[rows], weights, reading.heading_deg)
    return answers


def _refusal(reading: Reading, card: ModelCard) -> str:
    """Return why a photo cannot be asked, '' where it can."""
    if reading.placed is None:
        return reading.reason or "no view"
    averaged = ", averaged at export" if card.compression is not None and card.compression.kind == "gap" else ""
    if shape_of(card)[2] == 1 and not reading.placed.columns.all():
        return (
            f"covers {reading.placed.width_deg:.0f} of 360 degrees, and this model keeps no map of the horizon "
            f"(head {card.head}{averaged}) by which a part could be compared: use a model with a flatten head"
        )
    return ""
