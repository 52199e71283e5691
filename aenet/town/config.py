"""What a procedural town is made from: every number that changes a pixel is here."""

from typing import Literal

from pydantic import Field, field_validator

from aenet.io.params import Config, say_renamed


class Places(Config):
    """How many camera places each split gets; their districts are disjoint parts of town."""

    train: int = Field(1600, ge=1)
    val: int = Field(500, ge=1)
    test: int = Field(320, ge=1)

    @property
    def total(self) -> int:
        """All places of all splits."""
        return self.train + self.val + self.test


class Panorama(Config):
    """The ground view: 360 degrees of azimuth, +-45 degrees of elevation, North in the centre column."""

    height: int = Field(128, ge=16, le=1024)
    width: int = Field(512, ge=64, le=4096)
    quality: int = Field(92, ge=50, le=100)
    supersample: int = Field(1, ge=1, le=4)


class TownConfig(Config):
    """The embedded data set: a town from a seed, seen from above and from the ground.

    Lengths are metres. `aerial_offset_m` displaces each aerial tile's centre from its camera, uniformly
    within plus or minus that much in x and in y, so that no pair is centred exactly.
    """

    kind: Literal["town", "city"] = "town"  # `city` was its name in 0.1
    seed: int = Field(7, ge=0)
    width_m: float = Field(2400.0, ge=200.0, le=20000.0)
    height_m: float = Field(1800.0, ge=200.0, le=20000.0)
    resolution_m: float = Field(0.35, ge=0.1, le=1.0)
    tile_size_m: float = Field(70.0, ge=20.0, le=200.0)
    aerial_offset_m: float = Field(5.0, ge=0.0, le=20.0)
    spacing_m: float = Field(14.0, ge=1.0)
    tile_quality: int = Field(92, ge=50, le=100)
    places: Places = Places()
    panorama: Panorama = Panorama()

    @field_validator("kind")
    @classmethod
    def _present_name(cls, kind: str) -> str:
        if kind == "city":
            say_renamed("kind: city", "kind: town")
        return "town"

    @property
    def tile_px(self) -> int:
        """Side of an aerial tile in pixels: even, so that its centre falls on a pixel corner."""
        return 2 * round(self.tile_size_m / self.resolution_m / 2)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the town's raster."""
        return round(self.height_m / self.resolution_m), round(self.width_m / self.resolution_m)
