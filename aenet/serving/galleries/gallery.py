"""A gallery: embedded tiles of an area, in shards, with the digest of the model that embedded them.

gallery/
  manifest.json      written last: what this gallery is (GalleryManifest); shards it does not name are unfinished work
  backdrop.jpg       the area as a picture, for reports (backdrop-N.jpg once something was added)
  shard-00000/       a finished folder or none
    tiles.parquet    GeoParquet, centres as points: tile_id, latitude, longitude, easting, northing (the source's
                     system), thumbnail_at, thumbnail_bytes
    descriptors.npy  float32 or float16 [n, d], unit length, memory-mapped
    thumbnails.bin   JPEG pictures of the tiles, one after the other
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from aenet.arrays import open_array
from aenet.artifacts import folder_digest, sha256_file, verify_folder
from aenet.card import ModelCard
from aenet.errors import CorruptArtifact
from aenet.nolinks import listed_folder
from aenet.serving.galleries.backdrop import backdrop_bytes
from aenet.serving.galleries.checking import (
    check_all,
    check_backdrop,
    check_descriptors,
    check_thumbnails,
    read_tiles,
)
from aenet.serving.galleries.manifest import MANIFEST, GalleryManifest, check_model, read_gallery

FILES = ("tiles.parquet", "descriptors.npy", "thumbnails.bin")  # of a shard

__all__ = ["MANIFEST", "Gallery", "GalleryManifest", "open_shard", "read_gallery"]


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
            full: check every file's SHA-256, not only its size, and every descriptor's length.

        Raises:
            AenetError: not a finished gallery, or made with another model.
            CorruptArtifact: a shard's bytes are not what was written, or no gallery's: see `checking`.
        """
        manifest = read_gallery(folder)
        check_model(folder, manifest, card)
        if manifest.backdrop is not None:
            check_backdrop(folder, manifest.backdrop)
            if full:
                backdrop_bytes(folder, manifest.backdrop)
        shards = [open_shard(folder, name, manifest, full) for name in manifest.shards]
        tiles = pd.concat([tiles.assign(shard=i) for i, (tiles, _) in enumerate(shards)], ignore_index=True)
        check_all(folder, tiles, manifest.tiles, manifest.coverage)
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


def open_shard(
    gallery: Path, name: str, manifest: GalleryManifest, full: bool = False
) -> tuple[pd.DataFrame, np.ndarray]:
    """Return the tiles and the memory-mapped descriptors of a gallery's shard; see `Gallery.open`."""
    folder = listed_folder(gallery, name, MANIFEST)
    if folder_digest(folder) != manifest.shards[name]:
        raise CorruptArtifact(f"{folder} is not the shard the gallery's manifest names: build the gallery again")
    verify_folder(folder, full, needed=FILES)
    tiles = read_tiles(folder)
    check_thumbnails(folder, tiles)
    shape = len(tiles), manifest.descriptor_dim
    descriptors = open_array(folder / "descriptors.npy", (manifest.dtype,), shape)
    if full:
        check_descriptors(folder / "descriptors.npy", descriptors, tiles)
    return tiles, descriptors
