"""Fixtures of the serving tests: one small world a session, copied where a test changes it."""

import pytest

from aenet.serving.galleries.build import GalleryOptions, build_gallery
from tests.support import world


@pytest.fixture(scope="session")
def small_world(tmp_path_factory: pytest.TempPathFactory) -> world.World:
    """A map of 400 x 320 m, its gallery every 15 m, and twelve photos."""
    root = tmp_path_factory.mktemp("world")
    pixels = world.make_pixels()
    town, model = world.write_map(root / "town.tif", pixels), world.make_model(root / "model")
    options = GalleryOptions(spacing_m=15.0, shard_size=200, provider="cpu", threads=1)
    build_gallery(town, root / "gallery", model, options)
    truth = world.take_photos(root / "photos", pixels, 12)
    return world.World(pixels, town, model, root / "gallery", root / "photos", truth)
