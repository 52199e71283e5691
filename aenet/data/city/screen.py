"""The panorama while it is painted."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, UInt8


class Screen(NamedTuple):
    """Colour, distance in metres and `Label` of every pixel."""

    rgb: Float32[np.ndarray, "h w 3"]
    depth: Float32[np.ndarray, "h w"]
    label: UInt8[np.ndarray, "h w"]
