"""What a gallery's manifest holds, reading it, and what its grid's spacing alone costs."""

import math
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from aenet.data.card import ModelCard, model_digest
from aenet.io.errors import AenetError, CorruptArtifact
from aenet.io.nolinks import read_listed
from aenet.io.params import Config
from aenet.scoring.storage import Storage
from aenet.view.spec import ViewSpec

# What a grid's spacing alone costs: the error that remains when every photo gets its nearest tile.


class Floor(Config):
    """Distance in metres from a uniformly random place to the nearest centre of a square grid."""

    median: float
    p95: float
    max: float


def grid_floor(spacing_m: float) -> Floor:
    """Return the floor of a square grid: 0.40, 0.60 and 0.71 of its spacing."""
    return Floor(median=_quantile(0.5) * spacing_m, p95=_quantile(0.95) * spacing_m, max=math.sqrt(0.5) * spacing_m)


def share_within(distance: float) -> float:
    """Return the share of places within `distance` (in spacings) of the nearest centre.

    It is the area of a disc in the unit square around its centre: beyond half a spacing the disc loses one
    circular segment at each of the four sides.
    """
    if distance >= math.sqrt(0.5):
        return 1.0
    disc = math.pi * distance**2
    if distance <= 0.5:
        return disc
    segment = distance**2 * math.acos(0.5 / distance) - 0.5 * math.sqrt(distance**2 - 0.25)
    return disc - 4 * segment


def _quantile(share: float) -> float:
    low, high = 0.0, math.sqrt(0.5)
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if share_within(middle) < share else (low, middle)
    return high


MANIFEST = "manifest.json"
Numbers = Literal["float32", "float16"]
Count = Annotated[int, Field(ge=0, le=1 << 40)]
PixelCount = Annotated[int, Field(ge=1, le=1 << 16)]
Longitude = Annotated[float, Field(ge=-180, le=180)]
Latitude = Annotated[float, Field(ge=-90, le=90)]
ShardName = Annotated[str, Field(pattern=r"^shard-\d{5,9}$")]
BACKDROP = "backdrop.jpg"


class Backdrop(Config):
    """The picture `file` of the gallery, and its edges in the coordinate system `crs` (WKT).

    `sha256` is that of the file; None in galleries of earlier versions.
    """

    file: str = Field(default=BACKDROP, pattern=r"^backdrop(-\d{5,9})?\.jpg$")
    sha256: str | None = None
    crs: str
    left: float
    bottom: float
    right: float
    top: float
    width_px: PixelCount
    height_px: PixelCount

    @model_validator(mode="after")
    def _has_an_area(self) -> "Backdrop":
        if not (self.left < self.right and self.bottom < self.top):
            raise ValueError(f"a picture from {self.left} to {self.right} and {self.bottom} to {self.top} has no area")
        return self


class SourceRecord(Config):
    """One source that a gallery was made from.

    Attributes:
        key: digest of everything that decides what it gave.
        kind: `raster`, `xyz`, `positions` or `pairs`.
        crs: system (WKT or EPSG) of the columns easting and northing of its tiles.
        tile_px: side in pixels of the tiles that views were cut from.
        metres_known: whether the source itself says how much ground it shows; where it does not, its images were
            taken for tiles of the gallery's size.
        tiles: how many tiles it gave.
        dropped: candidates left out for being mostly nodata or unreadable.
        duplicates: candidates left out because the gallery had a tile there.
        shards: names of its shards.
        notes: what was guessed, taken from beside the files or left aside.
    """

    key: str
    name: str
    digest: str
    kind: str
    crs: str
    tile_px: Count
    tiles: Count
    dropped: Count
    duplicates: Count
    attribution: str | None
    licence: str | None
    shards: tuple[ShardName, ...]
    metres_known: bool = True
    notes: tuple[str, ...] = ()


class GalleryManifest(Config):
    """What a gallery is.

    Attributes:
        key: digest of everything that decides what it was built with, before anything was added.
        model: `card.model_digest` of the model that embedded it.
        view: that model's view.
        spacing_m: distance between centres; None where the tiles' positions are their own.
        floor: None where the spacing is: then tiles may be centred on their photos, and errors flatter.
        tiles, dropped, duplicates: sums over the sources.
        descriptor_dim, dtype: shape and type of a descriptor.
        area_km2: tiles times spacing squared; None without a grid.
        coverage: west, south, east, north of the centres in WGS84 degrees; `west` above `east` goes across 180 degrees.
        sources: in the order they came.
        shards: name -> digest of its manifest.
    """

    key: str
    model: str
    view: ViewSpec
    tile_size_m: float = Field(gt=0)
    spacing_m: float | None = Field(gt=0)
    floor: Floor | None
    tiles: Count
    dropped: Count
    duplicates: Count
    descriptor_dim: int = Field(ge=1, le=1 << 24)
    dtype: Numbers
    storage: Storage
    area_km2: float | None
    coverage: tuple[Longitude, Latitude, Longitude, Latitude]
    backdrop: Backdrop | None
    embedded_on: str
    sources: tuple[SourceRecord, ...]
    shards: dict[ShardName, str]

    @property
    def source(self) -> str:
        """The sources' names."""
        return ", ".join(source.name for source in self.sources)

    @property
    def where(self) -> str:
        """Area and bounding box of the centres as a person reads them."""
        box = ",".join(f"{edge:.5f}" for edge in self.coverage)
        area = f"{self.area_km2:,.3f} km2 in " if self.area_km2 is not None else ""
        return f"{area}{box} (west,south,east,north)"

    @property
    def credits(self) -> list[str]:
        """Attribution and licence of every source that has one, each once."""
        said = [" - ".join(part for part in (s.attribution, s.licence) if part) for s in self.sources]
        return list(dict.fromkeys(text for text in said if text))


def read_gallery(folder: Path) -> GalleryManifest:
    """Return the manifest of a finished gallery.

    Raises:
        AenetError: there is none, or its building was interrupted.
        CorruptArtifact: it is not readable.
    """
    path = folder / MANIFEST
    if not path.exists():
        started = folder.is_dir() and any(folder.glob("shard-*"))
        way_out = "finish it by running the same" if started else "make one with"
        raise AenetError(f"{folder} is not a finished gallery ({MANIFEST} is missing): {way_out} `aenet gallery build`")
    try:
        return GalleryManifest.model_validate_json(read_listed(path))
    except AenetError:
        raise
    except (OSError, ValueError) as error:
        raise CorruptArtifact(
            f"{path} is not a gallery's manifest, or of an older version, or damaged: build the gallery again"
        ) from error


def check_model(folder: Path, manifest: GalleryManifest, card: ModelCard) -> None:
    """Refuse a model that did not embed the gallery in `folder`.

    Raises:
        AenetError: its weights or its view are others.
    """
    if card.view != manifest.view:
        raise AenetError(
            f"{folder} was made of views ({manifest.view}), the model given takes ({card.view}): "
            "build the gallery again with this model"
        )
    if card.descriptor_dim != manifest.descriptor_dim:
        raise AenetError(
            f"{folder} has descriptors of {manifest.descriptor_dim:,} numbers, the model given makes "
            f"{card.descriptor_dim:,}: build the gallery again with this model"
        )
    if (digest := model_digest(card)) != manifest.model:
        raise AenetError(
            f"{folder} was embedded by model {manifest.model[:12]}, the model given is {digest[:12]}: "
            "descriptors of two models cannot be compared; build the gallery again with this model"
        )
