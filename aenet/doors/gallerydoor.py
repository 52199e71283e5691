"""`aenet.Gallery`: embedded tiles of a map, built or opened."""

from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from aenet.doors.given import PathLike, one_path
from aenet.doors.modeldoor import Model, as_model
from aenet.serving.galleries import gallery as stored
from aenet.serving.galleries.build import build_gallery
from aenet.serving.galleries.extend import add_to_gallery
from aenet.serving.galleries.galleryoptions import GallerySummary
from aenet.serving.galleries.manifest import GalleryManifest, read_gallery
from aenet.serving.maps.quantities import Number
from aenet.serving.search.galleryindex import GalleryIndex, open_index
from aenet.serving.vocabulary import add_options, gallery_options


class Gallery:
    """A finished gallery.

    Attributes:
        folder: where it lies.
        manifest: what it says of itself.
        summary: what `build` or `add` did; None where it was opened.
    """

    def __init__(self, folder: Path, manifest: GalleryManifest, summary: GallerySummary | None = None) -> None:
        self.folder, self.manifest, self.summary = folder, manifest, summary

    def __len__(self) -> int:
        return self.manifest.tiles

    def __repr__(self) -> str:
        return f"<Gallery {self.folder}: {len(self):,} tiles of {self.manifest.tile_size_m:g} m>"

    @classmethod
    def build(
        cls,
        map: PathLike,
        model: Model | PathLike,
        out: PathLike,
        tile_size: str | Number | None = None,
        spacing: str | Number = "20m",
        *,
        within_box: str | Sequence[Number] | None = None,
        min_valid: float = 0.5,
        split: str = "test",
        zoom: int | None = None,
        tms: bool = False,
        attribution: str | None = None,
        licence: str | None = None,
        dtype: Literal["float32", "float16"] = "float32",
        shard_size: int = 2048,
        overwrite: bool = False,
        on_progress: Callable[[int, int], None] | None = None,
    ) -> "Gallery":
        """Cut a map into tiles and embed them; a build that was killed goes on where it stopped.

        Args:
            map: a GeoTIFF, a folder or pattern of GeoTIFFs, a tree of tiles z/x/y.png, a table of tiles, or a data set.
            model: from `load_model`, or its folder.
            out: the gallery's folder; a finished gallery of the same inputs is left as it is.
            tile_size: side of a tile on the ground: `"70m"`, or metres; None takes that of the model's training.
            spacing: distance between the centres of tiles: `"20m"`, or metres (maps only).
            within_box: only tiles centred between west, south, east, north, degrees.
            min_valid: share of a tile that must be map, else it is dropped.
            split: which split, where `map` is a data set.
            zoom, tms: of a tree of tiles: its zoom (None: the deepest), and whether y counts from the south.
            attribution, licence: of the imagery; they are shown in reports.
            dtype: of the stored descriptors; float16 takes half the disk.
            shard_size: tiles a file: what a killed build may lose.
            overwrite: replace a gallery of other inputs in `out`.
            on_progress: called with (tiles done, tiles in all).

        Raises:
            AenetError: an unusable map or model, or `out` holds something else.
        """
        loaded = as_model(model)
        words = {
            "tile_size": tile_size, "spacing": spacing, "within_box": within_box, "min_valid": min_valid,
            "split": split, "zoom": zoom, "tms": tms, "attribution": attribution, "licence": licence, "dtype": dtype,
            "shard_size": shard_size, "overwrite": overwrite, **loaded.session.model_dump(mode="json"),
        }  # fmt: skip
        options, folder = gallery_options(words, "Gallery.build"), one_path(out, "out")
        summary = build_gallery(one_path(map, "map"), folder, loaded.folder, options, on_progress)
        return cls(folder, summary.manifest, summary)

    @classmethod
    def open(cls, path: PathLike) -> "Gallery":
        """Open a finished gallery; its bytes are checked when photos are located in it.

        Raises:
            AenetError: no finished gallery there.
        """
        folder = one_path(path, "path")
        return cls(folder, read_gallery(folder))

    def add(
        self,
        map: PathLike,
        model: Model | PathLike,
        tile_size: str | Number | None = None,
        *,
        within_box: str | Sequence[Number] | None = None,
        min_valid: float = 0.5,
        split: str = "test",
        zoom: int | None = None,
        tms: bool = False,
        attribution: str | None = None,
        licence: str | None = None,
        shard_size: int = 2048,
        overwrite: bool = False,
        on_progress: Callable[[int, int], None] | None = None,
    ) -> "Gallery":
        """Return the gallery with what another map has beyond it, at the same spacing; arguments as `build`.

        Args:
            overwrite: give up what an unfinished addition of another map left.

        Raises:
            AenetError: see `aenet.serving.galleries.extend.add_to_gallery`.
        """
        loaded = as_model(model)
        words = {
            "tile_size": tile_size, "within_box": within_box, "min_valid": min_valid, "split": split, "zoom": zoom,
            "tms": tms, "attribution": attribution, "licence": licence, "shard_size": shard_size,
            "overwrite": overwrite, **loaded.session.model_dump(mode="json"),
        }  # fmt: skip
        options = add_options(words, "Gallery.add")
        summary = add_to_gallery(self.folder, one_path(map, "map"), loaded.folder, options, on_progress)
        return Gallery(self.folder, summary.manifest, summary)

    @cached_property
    def tiles(self) -> pd.DataFrame:
        """All tiles: tile_id, latitude, longitude, easting, northing, in the order of their descriptors."""
        shards = [stored.read_tiles(self.folder / name) for name in self.manifest.shards]
        columns = ["tile_id", "latitude", "longitude", "easting", "northing"]
        return pd.concat(shards, ignore_index=True)[columns]

    def searched_by(self, model: Model) -> tuple[stored.Gallery, GalleryIndex | None]:
        """Return the gallery and its index opened for a model, checked once; errors as `stored.Gallery.open`."""
        if self._opened is None or self._opened[0] != model.folder:
            opened = stored.Gallery.open(self.folder, model.card)
            self._opened = model.folder, (opened, open_index(opened))
        return self._opened[1]

    _opened: tuple[Path, tuple[stored.Gallery, GalleryIndex | None]] | None = None


def as_gallery(given: Any) -> Gallery:
    """Return a gallery that was handed over opened or by its folder."""
    return given if isinstance(given, Gallery) else Gallery.open(one_path(given, "gallery"))
