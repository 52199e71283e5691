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
from pyproj import Transformer
from pyproj.enums import TransformDirection
from pyproj.exceptions import ProjError

from aenet.data.card import ModelCard
from aenet.io.artifacts import folder_digest, sha256_file, verify_folder
from aenet.io.errors import CorruptArtifact
from aenet.io.nolinks import listed_folder
from aenet.io.plainfiles import open_array
from aenet.retrieval.products import rows_within, slices, take
from aenet.serving.galleries.backdrop import backdrop_bytes
from aenet.serving.galleries.manifest import MANIFEST, Backdrop, GalleryManifest, check_model, read_gallery
from aenet.serving.maps.coordinates import extent, onto, system_of, turn_of

__all__ = ["Gallery", "GalleryManifest", "MANIFEST", "open_shard", "read_gallery"]

# A gallery's tiles held to what a builder writes: it may be anybody's, and its numbers decide where photos are put.
#
# A descriptor of another length than 1 would win every comparison, one that is not finite none, and a tile beyond the
# poles is no place.

LENGTH_TOLERANCE = 2e-2  # a hundredth in half precision arithmetic, and as much again for what float16 rounds
_BLOCK_BYTES = 16 << 20
_LARGEST = 1e9  # units of a system, across: the Earth has 4e7 metres around
_DEGREES = 1e-6  # by which what is said of the tiles may be off
_LIMITS = {"latitude": 90.0, "longitude": 180.0, "easting": np.inf, "northing": np.inf}


def read_tiles(shard: Path) -> pd.DataFrame:
    """Return the tiles of a finished shard, without geometry.

    Raises:
        CorruptArtifact: it is no such table, or a number in it is none of a tile.
    """
    path = shard / "tiles.parquet"
    try:
        tiles = pd.read_parquet(path, columns=["tile_id", *_LIMITS, "thumbnail_at", "thumbnail_bytes"])
        numbers = {name: tiles[name].to_numpy(np.float64, na_value=np.nan) for name in _LIMITS}
        where = {name: tiles[name].to_numpy(np.int64) for name in ("thumbnail_at", "thumbnail_bytes")}
        named = [isinstance(name, str) for name in tiles["tile_id"]]
    except Exception as error:  # pyarrow raises a dozen unrelated kinds
        raise CorruptArtifact(f"{path} is no table of tiles, or damaged: build the gallery again") from error
    if not all(named):
        raise CorruptArtifact(f"{path}, row {named.index(False)}: tile_id is no text: build the gallery again")
    for name, limit in _LIMITS.items():
        wrong = ~(np.isfinite(numbers[name]) & (np.abs(numbers[name]) <= limit))
        if wrong.any():
            row = int(wrong.argmax())
            raise CorruptArtifact(f"{path}, row {row}: {name} {numbers[name][row]} is none: build the gallery again")
    return tiles.assign(**numbers, **where)


def check_thumbnails(shard: Path, tiles: pd.DataFrame) -> None:
    """Refuse places of pictures outside the file of pictures.

    Raises:
        CorruptArtifact: names the first row.
    """
    path = shard / "thumbnails.bin"
    size = path.stat().st_size
    begin, length = tiles["thumbnail_at"].to_numpy(), tiles["thumbnail_bytes"].to_numpy()
    wrong = (begin < 0) | (length < 0) | (begin > size) | (length > size - begin)
    if wrong.any():
        row = int(wrong.argmax())
        raise CorruptArtifact(
            f"{shard / 'tiles.parquet'}, row {row}: a picture at {begin[row]:,} of {length[row]:,} bytes is not in "
            f"{path.name}, which has {size:,}: build the gallery again"
        )


def check_unit_length(path: Path, descriptors: np.ndarray, tiles: pd.DataFrame) -> None:
    """Refuse descriptors that are not of unit length.

    Args:
        path: their file, for errors.
        descriptors: [n, d], one a row of `tiles`.

    Raises:
        CorruptArtifact: names the first tile, and its descriptor's length.
    """
    for part in slices(len(descriptors), rows_within(_BLOCK_BYTES, descriptors)):
        rows = take(descriptors, part).astype(np.float32, copy=False)
        lengths = np.sqrt(np.einsum("nd,nd->n", rows, rows))
        wrong = ~(np.abs(lengths - 1) < LENGTH_TOLERANCE)  # also where it is no number
        if wrong.any():
            row = int(wrong.argmax())
            raise CorruptArtifact(
                f"{path}: the descriptor of tile {tiles['tile_id'].iloc[part.start + row]!r} has length "
                f"{lengths[row]:g} instead of 1: build the gallery again"
            )


def check_all(folder: Path, tiles: pd.DataFrame, count: int, said: tuple[float, float, float, float]) -> None:
    """Refuse a gallery whose tiles are not those its manifest speaks of.

    Args:
        folder: the gallery.
        tiles: of all shards.
        count, said: how many its manifest says there are, and their west, south, east, north.

    Raises:
        CorruptArtifact: another number or area, none at all, or two of one name.
    """
    path = folder / MANIFEST
    if len(tiles) != count or not count:
        raise CorruptArtifact(f"{path} says {count:,} tiles, {len(tiles):,} are there: build the gallery again")
    if (twice := tiles["tile_id"].duplicated()).any():
        name = tiles["tile_id"][twice].iloc[0]
        raise CorruptArtifact(f"{folder} has two tiles {name!r}: which is meant nobody could say; build it again")
    found = extent(tiles["latitude"].to_numpy(), tiles["longitude"].to_numpy())
    if not np.allclose(found, said, rtol=0, atol=_DEGREES):
        raise CorruptArtifact(f"{path} says tiles within {said}, they lie within {found}: build the gallery again")


def check_backdrop(folder: Path, backdrop: Backdrop) -> None:
    """Refuse a picture that lies nowhere on the Earth.

    Raises:
        AenetError: its coordinate system takes numbers from a file.
        CorruptArtifact: it is none, or the picture's middle is no place in it.
    """
    path = folder / MANIFEST
    try:
        system = system_of(backdrop.crs, path)
        x, y = (backdrop.left + backdrop.right) / 2, (backdrop.bottom + backdrop.top) / 2
        to_place = Transformer.from_crs(system, "EPSG:4326", always_xy=True)
        place = to_place.transform(x, y)
        again = to_place.transform(*place, direction=TransformDirection.INVERSE)
    except ProjError as error:
        raise CorruptArtifact(f"{path}: the backdrop's coordinate system is none: build the gallery again") from error
    # Some projections give any number some place; only of those on the Earth it is the place of that number.
    size = max(backdrop.right - backdrop.left, backdrop.top - backdrop.bottom)
    off = float(onto(np.array(again[0]), x, turn_of(backdrop.crs))) - x, again[1] - y
    if not (abs(place[1]) <= 90 and np.hypot(*off) < size < _LARGEST):
        raise CorruptArtifact(f"{path}: the backdrop lies nowhere on the Earth: build the gallery again")


FILES = ("tiles.parquet", "descriptors.npy", "thumbnails.bin")  # of a shard


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
        check_unit_length(folder / "descriptors.npy", descriptors, tiles)
    return tiles, descriptors
