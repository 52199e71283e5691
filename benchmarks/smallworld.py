"""The small world of the serving tests as real folders: a map, a model, a gallery and photos, for `aenet` to run on."""

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from aenet.serving.galleries.build import GalleryOptions, build_gallery
from tests.support import world

CPU = ("--provider", "cpu", "--threads", "1")


@dataclass(frozen=True)
class SmallWorld:
    """Where everything lies."""

    map: Path
    model: Path
    gallery: Path
    photos: Path

    def locate(self, out: Path, given: argparse.Namespace, *more: str) -> list[str]:
        """Return the command that places the photos into `out`, on the executor and in shards of the size `given`."""
        words = [sys.executable, "-m", "aenet", "locate", self.photos, "--gallery", self.gallery, "-m", self.model]
        words += ["-o", out, *CPU, "--shard-size", given.shard_size, "--executor", given.executor]
        words += ["--workers", given.workers] if given.executor != "local" else []
        return [*map(str, words), *more]

    def build(self, out: Path, *more: str) -> list[str]:
        """Return the command that builds a gallery of the map into `out`."""
        words = [sys.executable, "-m", "aenet", "gallery", "build", self.map, "-o", out, "-m", self.model, *CPU]
        return [*map(str, words), *more]


def make_small_world(folder: Path, photos: int, spacing_m: float = 15.0) -> SmallWorld:
    """Write map, model, gallery and so many photos into a folder."""
    pixels = world.make_pixels()
    town, model = world.write_map(folder / "town.tif", pixels), world.make_model(folder / "model")
    build_gallery(town, folder / "gallery", model, GalleryOptions(spacing_m=spacing_m, provider="cpu", threads=1))
    world.take_photos(folder / "photos", pixels, photos)
    return SmallWorld(town, model, folder / "gallery", folder / "photos")
