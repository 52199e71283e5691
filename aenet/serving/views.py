"""From a stranger's pixels to the network's input: what training's views take for granted is checked or mended here."""

import hashlib
import json

import numpy as np
from jaxtyping import UInt8

from aenet.card import HALF, ModelCard, ViewSpec
from aenet.data.views import aerial_view, ground_view, turn_north
from aenet.errors import AenetError

# A full panorama is 2:1; cropped ones (CVUSA 5.5:1) are wider. Narrower is a photo with a limited field of view.
MIN_ASPECT = 1.5


def model_digest(card: ModelCard) -> str:
    """Return what makes two models interchangeable for a gallery: the weights' digests and the view.

    Half-precision files do not count: they are made from the others and proven to give the same places.
    """
    full = {name: digest for name, digest in sorted(card.sha256.items()) if not name.endswith(HALF)}
    identity = {"sha256": full, "view": card.view.model_dump(mode="json")}
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()


def photo_view(
    photo: UInt8[np.ndarray, "h w 3"], spec: ViewSpec, heading_deg: float = 0.0
) -> UInt8[np.ndarray, "h2 w2 3"]:
    """Return a 360-degree panorama as the model's ground view, north in the centre column.

    Args:
        photo: upright RGB pixels, west to the left of north.
        spec: the model's view.
        heading_deg: compass heading of the photo's centre column, degrees clockwise from north.

    Raises:
        AenetError: the photo is too narrow for a panorama, or of another shape than the model's rows count in.
    """
    height, width = photo.shape[:2]
    if width < MIN_ASPECT * height:
        raise AenetError(
            f"not a 360-degree panorama: {width} x {height} px is {width / height:.2f}:1, "
            f"at least {MIN_ASPECT}:1 is needed"
        )
    return ground_view(photo, spec, heading_deg)


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
