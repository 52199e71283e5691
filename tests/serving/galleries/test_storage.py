"""What a gallery's descriptors take on disk, what else they could take, and that half of it places photos alike."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from aenet.commands.gallerycommand import gallery_lines
from aenet.data.card import Compression, ModelCard, read_card
from aenet.scoring.storage import storage_of
from aenet.serving.galleries.build import GalleryOptions, build_gallery
from aenet.serving.galleries.gallery import Gallery
from aenet.serving.jobs.outputs import read_places
from aenet.serving.localize import LocateOptions, locate
from aenet.serving.photos.reading import Heading
from aenet.view.spec import ViewSpec
from tests.support.world import World

PAPER = (1280, 4, 16)


def _card(dim: int, shape: tuple[int, int, int] | None = None, **changes: object) -> ModelCard:
    card = ModelCard(
        view=ViewSpec.polar(height=128, width=512, tile_size_m=70.0),
        descriptor_dim=dim,
        backbone="b",
        attention="none",
        head="flatten",
        trained_on="t",
        fingerprint="f",
        map_shape=shape,
        sha256={},
    )
    return card.model_copy(update=changes)


def test_storage_of_the_papers_map_every_20_m() -> None:
    """1280 x 4 x 16 numbers of 4 bytes, 2,500 tiles a square kilometre: 0.8 GB, and what would be less."""
    storage = storage_of(_card(81_920, PAPER), "float32", 20.0)
    assert (storage.choice, storage.bytes_per_tile) == ("full float32", 327_680)
    assert storage.gb_per_km2 == pytest.approx(0.8192)
    assert storage.choices_gb_per_km2 is not None
    expected = {
        "full float16": (163_840, 0.4096),
        "pca 640 float32": (163_840, 0.4096),
        "pca 320 float16": (40_960, 0.1024),
        "pca 80 float32": (20_480, 0.0512),
        "gap float32": (5_120, 0.0128),
        "gap float16": (2_560, 0.0064),
    }
    for name, (size, each) in expected.items():
        assert storage.choices_bytes_per_tile[name] == size
        assert storage.choices_gb_per_km2[name] == pytest.approx(each)


def test_a_compressed_model_is_one_of_the_choices_of_the_model_it_was() -> None:
    compression = Compression(kind="pca", channels=100, whiten=True, full_shape=PAPER)
    card = _card(6_400, (100, 4, 16), compression=compression)
    storage = storage_of(card, "float16", None)
    assert (storage.choice, storage.bytes_per_tile) == ("pca 100 whitened float16", 12_800)
    assert storage.choices_bytes_per_tile["full float32"] == 327_680
    assert storage.gb_per_km2 is None and storage.choices_gb_per_km2 is None


def test_what_cannot_be_had_is_not_offered() -> None:
    """A pooled vector has no rows and columns to average; of a map nobody recorded the channels are not known."""
    pooled = storage_of(_card(512, head="gap"), "float32", 20.0).choices_bytes_per_tile
    assert "pca 256 float32" in pooled and "gap float32" not in pooled
    unknown = storage_of(_card(81_920), "float16", 20.0)
    assert unknown.choices_bytes_per_tile == {"full float32": 327_680, "full float16": 163_840}


@pytest.fixture(scope="module")
def half(small_world: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The session's gallery once more, in half precision."""
    out = tmp_path_factory.mktemp("half") / "gallery"
    options = GalleryOptions(spacing_m=15.0, shard_size=200, dtype="float16", provider="cpu", threads=1)
    build_gallery(small_world.map, out, small_world.model, options)
    return out


def test_info_lists_the_choices_and_marks_its_own(small_world: World, half: Path) -> None:
    lines = gallery_lines(half)
    (own,) = [line for line in lines if "<- this one" in line]
    assert "full float16" in own and "192 bytes a tile" in own and "GB a km2" in own
    (storage,) = [line for line in lines if line.startswith("storage")]
    assert storage.endswith("GB (192 bytes a tile, 0.000853 GB a km2)")  # 2 x 96 bytes, a tile every 15 m
    assert sum("bytes a tile" in line for line in lines if line != storage) == 2 * 3  # full, one channel of 3, gap


@pytest.mark.parametrize("heading", ["north", "unknown"])
def test_half_the_disk_gives_the_same_places(small_world: World, half: Path, tmp_path: Path, heading: Heading) -> None:
    """Known headings are searched in memory-mapped blocks, unknown ones over all azimuths; both cast what they read."""
    options = LocateOptions(provider="cpu", threads=1, decoders=1, thumbnails=0, heading=heading)
    found: list[pd.DataFrame] = []
    for gallery in (small_world.gallery, half):
        out = tmp_path / gallery.parent.name
        locate(small_world.photos, gallery, small_world.model, out, options)
        found.append(read_places(out / "places.parquet"))
    full, less = found
    assert list(less["status"]) == ["ok"] * 12
    assert [tiles[0] for tiles in less["tiles"]] == [tiles[0] for tiles in full["tiles"]]
    np.testing.assert_allclose(less["score"], full["score"], atol=1e-3)
    np.testing.assert_allclose(less["heading_deg"], full["heading_deg"], atol=0.5)


def test_half_precision_is_half_the_bytes(small_world: World, half: Path) -> None:
    opened = Gallery.open(half, read_card(small_world.model))
    assert {array.dtype.name for array in opened.descriptors} == {"float16"}
    full, less = (
        sum(file.stat().st_size for file in folder.rglob("descriptors.npy")) for folder in (small_world.gallery, half)
    )
    assert less < 0.51 * full
