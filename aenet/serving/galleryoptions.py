"""How to build a gallery, and what came of it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from aenet.params import Config
from aenet.serving.gallery import GalleryManifest
from aenet.serving.runtime import Provider


class GalleryOptions(Config):
    """How to build a gallery.

    Attributes:
        tile_size_m: side of a tile in metres; None takes the model's.
        spacing_m: distance between centres in metres (raster only).
        split: which split's tiles (data set only).
        area: west, south, east, north in WGS84 degrees: only tiles centred inside; None takes the whole source.
        shard_size: tiles a shard; what a killed build may lose.
        dtype: float16 halves the disk and moves scores by up to 1e-3.
    """

    tile_size_m: float | None = None
    spacing_m: float = 20.0
    split: str = "test"
    area: tuple[float, float, float, float] | None = None
    shard_size: int = 2048
    batch_size: int = 32
    dtype: Literal["float32", "float16"] = "float32"
    provider: Provider = "auto"
    threads: int = 0
    overwrite: bool = False


@dataclass(frozen=True)
class GallerySummary:
    """What `build_gallery` did: `computed` of `manifest`'s shards now, the rest found finished.

    `trained_tile_size_m` is the side of the tiles the model was trained on, in metres.
    """

    folder: Path
    manifest: GalleryManifest
    computed: int
    runs_on: str
    trained_tile_size_m: float

    def lines(self) -> list[str]:
        """Say it in a few lines of text."""
        made = self.manifest
        dropped = f" ({made.dropped:,} candidates dropped: no map there, or unreadable)" if made.dropped else ""
        lines = [f"{self.folder}: {made.tiles:,} tiles of {made.tile_size_m:g} m{dropped}"]
        if made.floor is not None:
            median, p95, most = made.floor.median, made.floor.p95, made.floor.max
            lines.append(
                f"a tile every {made.spacing_m:g} m: even a perfect ranking is {median:.1f} m off (median), "
                f"{p95:.1f} m (95 %), {most:.1f} m at most"
            )
        if made.tile_size_m != self.trained_tile_size_m:
            trained = f"{self.trained_tile_size_m:g} m"
            lines.append(f"warning: the model was trained on tiles of {trained}; recall falls with other sizes")
        done = f"{self.computed} of {len(made.shards)} shards" if self.computed else "nothing (it was finished)"
        lines.append(f"computed {done}; ran on {self.runs_on}")
        return lines
