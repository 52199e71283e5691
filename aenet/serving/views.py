"""What a gallery is bound to of a model, and a tile as the model sees it."""

import hashlib
import json

import numpy as np
from jaxtyping import UInt8

from aenet.card import HALF, ModelCard, ViewSpec
from aenet.data.views import aerial_view, turn_north


def model_digest(card: ModelCard) -> str:
    """Return what makes two models interchangeable for a gallery: the weights' digests and the view.

    Half-precision files do not count: they are made from the others and proven to give the same places.
    """
    full = {name: digest for name, digest in sorted(card.sha256.items()) if not name.endswith(HALF)}
    identity = {"sha256": full, "view": card.view.model_dump(mode="json")}
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()


def tile_view(
    tile: UInt8[np.ndarray, "s s 3"], spec: ViewSpec, convergence_deg: float = 0.0
) -> UInt8[np.ndarray, "h w 3"]:
    """Return a square tile as the model's polar view, true north in the centre column.

    Args:
        tile: RGB pixels, grid north up.
        spec: the model's view.
        convergence_deg: true azimuth of grid north at the tile's centre, degrees clockwise.
    """
    return turn_north(aerial_view(tile, spec), convergence_deg)
