"""What a gallery can be built from."""

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar, Protocol

import numpy as np
import pandas as pd
from jaxtyping import UInt8

from aenet.serving.pairtiles import PairSource
from aenet.serving.raster import Overview, RasterSource


class TileSource(Protocol):
    """What a gallery is built from: `raster.RasterSource`, `pairtiles.PairSource`."""

    kind: ClassVar[str]
    path: Path
    crs: str
    tiles: pd.DataFrame
    tile_px: int

    @property
    def digest(self) -> str:
        """Digest of what the tiles are cut from."""
        ...

    def read(self, start: int, stop: int) -> Iterator[tuple[int, UInt8[np.ndarray, "s s 3"]]]:
        """Yield (row of `tiles`, pixels) from `start` to `stop`, leaving out unusable tiles."""
        ...

    def overview(self, max_px: int) -> Overview | None:
        """Return a picture of the area, at most `max_px` a side."""
        ...


def open_source(path: Path, tile_size_m: float, spacing_m: float, split: str) -> TileSource:
    """Open a GeoTIFF (by tile size and spacing) or a data set's folder (by split)."""
    return PairSource(path, split) if path.is_dir() else RasterSource(path, tile_size_m, spacing_m)
