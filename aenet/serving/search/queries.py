"""From photos as read to what the search compares: descriptor maps, and which part of the horizon they know."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import UInt8

from aenet.data.card import ModelCard
from aenet.retrieval.azimuth import as_maps
from aenet.scoring.similarity import Query, shape_of, turns
from aenet.serving.photos.reading import Reading
from aenet.serving.sessions.session import OnnxBranch
from aenet.view.fieldofview import feature_weights


def describe(readings: Sequence[Reading], branch: OnnxBranch, phases: int) -> list[Query | str]:
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
        covered = np.ones(branch.card.view.ground.width, bool) if reading.covered is None else reading.covered
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
