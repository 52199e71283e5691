"""A gallery: embedded tiles of an area, in shards, with the digest of the model that embedded them.

gallery/
  manifest.json      written last: what this gallery is (GalleryManifest)
  backdrop.jpg       the area as a picture, for reports
  shard-00000/       a finished folder or none
    tiles.parquet    tile_id, latitude, longitude, easting, northing, thumbnail_at, thumbnail_bytes
    descriptors.npy  float32 or float16 [n, d], unit length, memory-mapped
    thumbnails.bin   JPEG pictures of the tiles, one after the other
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from aenet.artifacts import folder_digest, sha256_file, verify_folder
from aenet.card import ModelCard
from aenet.errors import AenetError, CorruptArtifact
from aenet.params import Config
from aenet.serving.floor import Floor
from aenet.serving.views import model_digest

MANIFEST = "manifest.json"
BACKDROP = "backdrop.jpg"


class Backdrop(Config):
    """The edges of `backdrop.jpg` in the coordinate system `crs` (WKT)."""

    crs: str
    left: float
    bottom: float
    right: float
    top: float
    width_px: int
    height_px: int


class GalleryManifest(Config):
    """What a gallery is.

    Attributes:
        key: digest of everything that decides its content.
        model: `views.model_digest` of the model that embedded it.
        spacing_m: distance between centres; None where the tiles are a data set's own.
        floor: None where the spacing is: then tiles are centred on their photos, and errors flatter.
        dropped: candidates left out for being mostly nodata or unreadable.
        coverage: west, south, east, north of the centres in WGS84 degrees.
        shards: name -> digest of its manifest.
    """

    key: str
    model: str
    source: str
    source_digest: str
    kind: str
    crs: str
    tile_size_m: float
    tile_px: int
    spacing_m: float | None
    floor: Floor | None
    tiles: int
    dropped: int
    descriptor_dim: int
    coverage: tuple[float, float, float, float]
    backdrop: Backdrop | None
    embedded_on: str
    shards: dict[str, str]


@dataclass(frozen=True)
class Gallery:
    """An opened gallery. `tiles` numbers all shards' tiles through; `descriptors` are memory maps, one a shard."""

    folder: Path
    manifest: GalleryManifest
    tiles: pd.DataFrame
    descriptors: tuple[np.ndarray, ...]

    @classmethod
    def open(cls, folder: Path, card: ModelCard, full: bool = True) -> "Gallery":
        """Open a finished gallery for the model of `card`.

        Args:
            folder: the gallery.
            card: the model that embeds the photos.
            full: check every file's SHA-256, not only its size.

        Raises:
            AenetError: not a finished gallery, or made with another model.
            CorruptArtifact: a shard's bytes are not what was written.
        """
        manifest = read_gallery(folder)
        if (digest := model_digest(card)) != manifest.model:
            raise AenetError(
                f"{folder} was embedded by model {manifest.model[:12]}, the model given is {digest[:12]}: "
                "descriptors of two models cannot be compared; build the gallery again with this model"
            )
        shards = [_open_shard(folder / name, digest, full) for name, digest in manifest.shards.items()]
        tiles = pd.concat([tiles.assign(shard=i) for i, (tiles, _) in enumerate(shards)], ignore_index=True)
        return cls(folder, manifest, tiles, tuple(descriptors for _, descriptors in shards))

    @cached_property
    def digest(self) -> str:
        """Digest of the manifest, which holds the digests of all else."""
        return sha256_file(self.folder / MANIFEST)

    @cached_property
    def separation_m(self) -> float:
        """Distance beyond which another tile counts as another place: the spacing, else half a tile."""
        return self.manifest.spacing_m or self.manifest.tile_size_m / 2

    def thumbnail(self, row: int) -> bytes:
        """Return the JPEG picture of the tile with row number `row`."""
        tile = self.tiles.iloc[row]
        name = list(self.manifest.shards)[int(tile["shard"])]
        with (self.folder / name / "thumbnails.bin").open("rb") as stream:
            stream.seek(int(tile["thumbnail_at"]))
            return stream.read(int(tile["thumbnail_bytes"]))


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
        return GalleryManifest.model_validate_json(path.read_bytes())
    except ValueError as error:
        raise CorruptArtifact(f"{path} is not a gallery's manifest or is damaged: build the gallery again") from error


def _open_shard(folder: Path, digest: str, full: bool) -> tuple[pd.DataFrame, np.ndarray]:
    if folder_digest(folder) != digest:
        raise CorruptArtifact(f"{folder} is not the shard the gallery's manifest names: build the gallery again")
    verify_folder(folder, full=full)
    tiles = pd.read_parquet(folder / "tiles.parquet")
    descriptors = np.load(folder / "descriptors.npy", mmap_mode="r", allow_pickle=False)
    if len(tiles) != len(descriptors):
        raise CorruptArtifact(f"{folder} has {len(tiles)} tiles and {len(descriptors)} descriptors: build it again")
    return tiles, descriptors
