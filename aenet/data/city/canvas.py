"""Drawing shapes given in metres onto rasters."""

import cv2
import numpy as np
from jaxtyping import Float64, UInt8

_SHIFT = 4


class Canvas:
    """A colour raster and a kind raster that are always painted together."""

    def __init__(self, albedo: UInt8[np.ndarray, "h w 3"], kind: UInt8[np.ndarray, "h w"], resolution_m: float) -> None:
        self.albedo, self.kind, self.scale = albedo, kind, 1.0 / resolution_m

    def _fixed(self, xy: Float64[np.ndarray, "n 2"]) -> np.ndarray:
        return np.round((xy * self.scale - 0.5) * (1 << _SHIFT)).astype(np.int32)

    def line(self, xy: Float64[np.ndarray, "n 2"], width_m: float, rgb: object, kind: int | None = None) -> None:
        """An open line of the given width."""
        px, points = max(1, round(width_m * self.scale)), [self._fixed(xy)]
        cv2.polylines(self.albedo, points, False, _bgr(rgb), px, cv2.LINE_AA, _SHIFT)
        if kind is not None:
            cv2.polylines(self.kind, points, False, int(kind), px, cv2.LINE_8, _SHIFT)

    def polygon(self, xy: Float64[np.ndarray, "n 2"], rgb: object, kind: int | None = None) -> None:
        """A filled polygon."""
        points = [self._fixed(xy)]
        cv2.fillPoly(self.albedo, points, _bgr(rgb), cv2.LINE_AA, _SHIFT)
        if kind is not None:
            cv2.fillPoly(self.kind, points, int(kind), cv2.LINE_8, _SHIFT)

    def disk(self, x: float, y: float, radius_m: float, rgb: object, kind: int | None = None) -> None:
        """A filled circle."""
        around = np.linspace(0, 2 * np.pi, 40, endpoint=False)
        ring = np.array([x, y]) + radius_m * np.stack([np.cos(around), np.sin(around)], axis=1)
        self.polygon(ring, rgb, kind)


def _bgr(rgb: object) -> tuple[float, ...]:
    """OpenCV's colour tuple; channel order stays as given, RGB throughout."""
    return tuple(float(v) for v in np.asarray(rgb, dtype=float))
