"""Masks in view geometry: the pixels they speak of are the views' own."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest

from aenet.data.masks import label_view, open_masks, pack_masks, visible_view
from aenet.data.views import aerial_view, ground_view, open_views, pack
from aenet.io.errors import AenetError, CorruptArtifact
from aenet.town.config import Panorama, Places, TownConfig
from aenet.town.dataset import generate
from aenet.town.panorama import Label
from aenet.view.spec import ViewSpec

SPEC = ViewSpec.polar(height=16, width=64, tile_size_m=70.0)
TINY = TownConfig(
    width_m=400.0,
    height_m=300.0,
    spacing_m=4.0,
    places=Places(train=3, val=2, test=5),
    panorama=Panorama(height=32, width=128),
)


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("masks")
    generate(TINY, folder / "raw")
    pack(folder / "raw", folder / "views", SPEC, 1, beside=partial(pack_masks, folder / "raw", SPEC))
    return folder / "raw", folder / "views"


@pytest.mark.parametrize(("heading", "rows"), [(0.0, None), (90.0, None), (-45.0, (8, 24))])
def test_labels_follow_the_pixels_of_the_ground_view(heading: float, rows: tuple[int, int] | None) -> None:
    ground = SPEC.ground.model_copy(update={"rows": rows, "panorama_size": rows and (32, 128)})
    spec = SPEC.model_copy(update={"ground": ground})
    label = np.repeat(np.repeat(np.arange(32, dtype=np.uint8).reshape(4, 8), 8, axis=0), 16, axis=1)
    image = np.repeat(label[..., None] * np.uint8(8), 3, axis=2)
    view, classes = ground_view(image, spec, heading)[..., 0], label_view(label, spec, heading)
    assert classes.shape == (16, 64)
    # Classes end where a view's pixel may hold two of them: there the picture is a mixture.
    assert (view == classes * 8).mean() > 0.95


def test_visibility_follows_the_pixels_of_the_polar_view() -> None:
    tile = np.zeros((200, 200), np.uint8)
    tile[:100] = 1  # the northern half is visible
    polar = visible_view(tile, SPEC)
    np.testing.assert_array_equal(
        polar, aerial_view(np.repeat(tile[..., None] * np.uint8(255), 3, axis=2), SPEC)[..., 0]
    )
    assert (polar[:-1, 20:45] == 255).all(), "North is in the middle"
    assert (polar[:-1, [0, 5, 60]] == 0).all()


def test_masks_lie_beside_the_test_views_and_nowhere_else(packed: tuple[Path, Path]) -> None:
    raw, folder = packed
    masks, views = open_masks(folder, "test"), open_views(folder, "test")
    assert masks is not None
    assert masks.labels.shape == masks.visible.shape == views.ground.shape[:3]
    assert open_masks(folder, "train") is None
    # Row 3 of the test split is row 8 of the table.
    np.testing.assert_array_equal(masks.labels[3], label_view(np.load(raw / "labels.npy")[8], SPEC))
    seen = np.unpackbits(np.load(raw / "visible.npy")[3], axis=1, count=TINY.tile_px)
    np.testing.assert_array_equal(masks.visible[3], visible_view(seen, SPEC))
    assert masks.labelled("sky") == Label.SKY
    with pytest.raises(AenetError, match="no class 'dog'"):
        masks.labelled("dog")
    blue = views.ground[..., 2].astype(int) - views.ground[..., 0]
    assert blue[masks.labels == Label.SKY].mean() > blue[masks.labels == Label.ROAD].mean() + 10


def test_a_data_set_without_masks_packs_as_before(packed: tuple[Path, Path], tmp_path: Path) -> None:
    raw, folder = packed
    plain = tmp_path / "raw"
    plain.mkdir()
    for name in ("pairs.parquet", "ground", "aerial"):
        (plain / name).symlink_to(raw / name)
    pack(plain, tmp_path / "views", SPEC, 1, beside=partial(pack_masks, plain, SPEC))
    assert open_masks(tmp_path / "views", "test") is None
    assert {file.name for file in (tmp_path / "views" / "test").iterdir()} == {
        "ground.npy",
        "aerial.npy",
        "pairs.parquet",
    }
    np.testing.assert_array_equal(open_views(tmp_path / "views", "test").ground, open_views(folder, "test").ground)


def test_damaged_masks_are_refused(packed: tuple[Path, Path], tmp_path: Path) -> None:
    raw, _ = packed
    pack(raw, tmp_path / "views", SPEC, 1, beside=partial(pack_masks, raw, SPEC))
    with (tmp_path / "views" / "test" / "aerial_visible.npy").open("r+b") as file:
        file.seek(200)
        file.write(b"\x07")
    with pytest.raises(CorruptArtifact, match=r"aerial_visible\.npy"):
        open_masks(tmp_path / "views", "test")
