"""Packed views: the pixels the network will see, in the order of the pairs, or a refusal."""

import re
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from aenet.data.pairs import COLUMNS, write_pairs
from aenet.data.views import aerial_view, ground_view, open_views, pack, unknown_metres
from aenet.io.artifacts import verify_folder, write_manifest
from aenet.io.errors import AenetError, CorruptArtifact
from aenet.serving.photos.reading import read_photo
from aenet.view import images
from aenet.view.polar import polar_transform
from aenet.view.spec import ViewSpec

SPEC = ViewSpec.polar(height=16, width=64, rows=(10, 42), panorama_size=(48, 128), tile_size_m=70.0)
SPLITS = ["test", "train", "val", "train", "test"]


def data_set(root: Path, splits: list[str] = SPLITS) -> Path:
    rng = np.random.default_rng(0)
    rows = []
    for n, split in enumerate(splits):
        for view, size in (("ground", (48, 128)), ("aerial", (60, 60))):
            (root / view).mkdir(parents=True, exist_ok=True)
            pixels = rng.integers(0, 256, (*size, 3), dtype=np.uint8)
            (root / view / f"{n}.jpg").write_bytes(images.encode_jpeg(pixels))
        rows.append((f"p{n}", split, f"ground/{n}.jpg", f"aerial/{n}.jpg", 50.0 + n, 8.0, 50.0, 8.0, 0.0))
    write_pairs(root / "pairs.parquet", pd.DataFrame(rows, columns=list(COLUMNS)))
    return root


def test_packed_pixels_are_those_of_the_files_in_the_order_of_the_pairs(tmp_path: Path) -> None:
    source, seen = data_set(tmp_path / "set"), []
    pack(source, tmp_path / "views", SPEC, threads=2, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(n, 10) for n in range(1, 11)]
    for split in ("train", "val", "test"):
        views = open_views(tmp_path / "views", split)
        assert views.pairs["pair_id"].tolist() == [f"p{n}" for n, s in enumerate(SPLITS) if s == split]
        assert len(views) == SPLITS.count(split)
        for row, pair in enumerate(views.pairs.to_dict("records")):
            panorama, tile = images.decode(source / pair["ground"]), images.decode(source / pair["aerial"])
            assert np.array_equal(views.ground[row], images.resize(panorama[10:42], 16, 64))
            assert np.array_equal(views.aerial[row], polar_transform(tile, 16, 64))
        assert views.spec == SPEC
        assert not views.ground.flags.writeable
    verify_folder(tmp_path / "views")


def test_packing_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    source = data_set(tmp_path / "set")
    pack(source, tmp_path / "a", SPEC, threads=1)
    pack(source, tmp_path / "b", SPEC, threads=3)
    assert verify_folder(tmp_path / "a").files == verify_folder(tmp_path / "b").files


def test_a_split_may_be_empty_until_it_is_asked_for(tmp_path: Path) -> None:
    """A user's own photos may be all test."""
    pack(data_set(tmp_path / "set", ["test", "test"]), tmp_path / "views", SPEC, threads=1)
    assert len(open_views(tmp_path / "views", "test")) == 2
    with pytest.raises(AenetError, match=r"train.* no pairs"):
        open_views(tmp_path / "views", "train")


def test_views_before_their_input_exists(tmp_path: Path) -> None:
    with pytest.raises(AenetError, match="run the download stage first"):
        pack(tmp_path / "none", tmp_path / "views", SPEC, threads=1)
    with pytest.raises(AenetError, match="run the stage before it"):
        open_views(tmp_path / "views", "train")
    assert not (tmp_path / "views").exists()


@pytest.mark.parametrize("name", ["test/ground.npy", "test/aerial.npy", "test/pairs.parquet"])
def test_one_changed_byte_is_refused(tmp_path: Path, name: str) -> None:
    pack(data_set(tmp_path / "set"), tmp_path / "views", SPEC, threads=1)
    content = bytearray((tmp_path / "views" / name).read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / "views" / name).write_bytes(content)
    with pytest.raises(CorruptArtifact, match=name.split("/")[1]):
        open_views(tmp_path / "views", "test")
    open_views(tmp_path / "views", "train")  # another split is whole


def test_a_folder_that_is_no_views_folder_is_refused(tmp_path: Path) -> None:
    pack(data_set(tmp_path / "set"), tmp_path / "views", SPEC, threads=1)
    with pytest.raises(AenetError, match="unknown split 'validation'"):
        open_views(tmp_path / "views", "validation")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "manifest.json").write_text('{"files": {}, "meta": {"view": {"height": 3}}}')
    with pytest.raises(AenetError, match="other"):
        open_views(tmp_path / "other", "test")
    (tmp_path / "other" / "manifest.json").write_text('{"files": {}, "meta": {}}')
    with pytest.raises(AenetError, match="other"):
        open_views(tmp_path / "other", "test")


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("ground/3.jpg", None, r"ground/3.jpg: cannot be read"),
        ("aerial/3.jpg", b"junk", r"aerial/3.jpg: not a readable"),
        (
            "aerial/3.jpg",
            images.encode_jpeg(np.zeros((60, 59, 3), np.uint8)),
            r"aerial/3.jpg.* must be square.*59 x 60",
        ),
        (
            "ground/3.jpg",
            images.encode_jpeg(np.zeros((40, 99, 3), np.uint8)),
            r"ground/3.jpg.*10:42 .* 128 x 48 .* 99 x 40 px",
        ),
    ],
)
def test_a_bad_file_is_named_and_nothing_is_left(
    tmp_path: Path, name: str, content: bytes | None, sentence: str
) -> None:
    source = data_set(tmp_path / "set")
    (source / name).unlink()
    if content is not None:
        (source / name).write_bytes(content)
    with pytest.raises(AenetError, match=sentence):
        pack(source, tmp_path / "views", SPEC, threads=2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["set"]


def test_whole_panorama_is_kept_where_no_rows_are_named() -> None:
    panorama = np.random.default_rng(0).integers(0, 256, (32, 128, 3), dtype=np.uint8)
    spec = ViewSpec.polar(height=16, width=64, tile_size_m=70.0)
    assert np.array_equal(ground_view(panorama, spec), images.resize(panorama, 16, 64))
    assert aerial_view(panorama[:, :32], spec).shape == (16, 64, 3)


@pytest.mark.parametrize(
    ("height", "kept"), [(832, (208, 624)), (1664, (416, 1248)), (416, (104, 312)), (2000, (500, 1500))]
)
def test_rows_mean_the_same_part_of_the_view_at_every_resolution(height: int, kept: tuple[int, int]) -> None:
    """CVACT's: the middle half of a 2:1 panorama; a phone's has more pixels, and its rows 208:624 show sky."""
    spec = ViewSpec.polar(height=112, width=64, rows=(208, 624), panorama_size=(832, 1664), tile_size_m=70.0)
    panorama = np.random.default_rng(0).integers(0, 256, (height, 2 * height, 3), dtype=np.uint8)
    assert np.array_equal(ground_view(panorama, spec), images.resize(panorama[slice(*kept)], 112, 64))


def test_rows_of_another_shape_are_refused_in_both_doors(tmp_path: Path) -> None:
    spec = ViewSpec.polar(height=112, width=64, rows=(208, 624), panorama_size=(832, 1664), tile_size_m=70.0)
    cropped = np.zeros((832, 4000, 3), np.uint8)
    sentence = r"208:624 .* 1664 x 832 px \(2.00:1\), this one is 4000 x 832 px \(4.81:1\)"
    with pytest.raises(AenetError, match=sentence):
        ground_view(cropped, spec)
    (tmp_path / "cropped.jpg").write_bytes(images.encode_jpeg(cropped))
    reason = read_photo(tmp_path / "cropped.jpg", "cropped.jpg", spec).reason
    assert reason is not None
    assert re.search(sentence, reason)


@pytest.mark.parametrize(
    ("rows", "size", "sentence"),
    [
        ((208, 624), None, "go together"),
        (None, (832, 1664), "go together"),
        ((208, 833), (832, 1664), "208:833 are no rows of a panorama of 832 x 1664"),
        ((300, 200), (832, 1664), "300:200 are no rows"),
    ],
)
def test_rows_say_what_they_count_in(rows: tuple[int, int] | None, size: tuple[int, int] | None, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        ViewSpec.polar(height=16, width=64, rows=rows, panorama_size=size, tile_size_m=70.0)


def test_a_panorama_that_looks_elsewhere_is_packed_looking_north(tmp_path: Path) -> None:
    """A white post in the east: in the centre of a panorama headed east, at 3/4 of a north-centred one."""
    spec = ViewSpec.polar(height=16, width=64, tile_size_m=70.0)
    source = tmp_path / "source"
    rows = []
    for name, heading, column in (("north", 0.0, 48), ("east", 90.0, 32), ("unknown", np.nan, 48)):
        panorama = np.zeros((16, 64, 3), np.uint8)
        panorama[:, column - 1 : column + 1] = 255
        images_folder = source / name
        images_folder.mkdir(parents=True)
        for view in ("ground", "aerial"):
            pixels = panorama if view == "ground" else np.zeros((32, 32, 3), np.uint8)
            (images_folder / f"{view}.png").write_bytes(cv2.imencode(".png", pixels)[1].tobytes())
        rows.append((name, "train", f"{name}/ground.png", f"{name}/aerial.png", 55.0, 3.0, 55.0, 3.0, heading))
    write_pairs(source / "pairs.parquet", pd.DataFrame(rows, columns=list(COLUMNS)))
    write_manifest(source, {})
    pack(source, tmp_path / "views", spec, threads=1)
    ground = open_views(tmp_path / "views", "train").ground
    assert [int(view[:, :, 0].sum(0).argmax()) in (47, 48) for view in ground] == [True, True, True]


@pytest.mark.parametrize("said", [None, {"kind": "own"}, {"kind": "own", "tile_size_m": None}])
def test_metres_that_nobody_said_are_said_to_be_unknown(tmp_path: Path, said: dict[str, object] | None) -> None:
    source = data_set(tmp_path / "set")
    if said is not None:
        write_manifest(source, {"config": said})
    pack(source, tmp_path / "views", SPEC, threads=1)
    sentence = unknown_metres(tmp_path / "views") or ""
    assert re.search(r"nothing says how many metres .* they count as 70 m a side .*download\.tile_size_m", sentence)
    write_manifest(source, {"config": {"kind": "own", "tile_size_m": 70.0}})
    pack(source, tmp_path / "known", SPEC, threads=1)
    assert unknown_metres(tmp_path / "known") is None


def test_tiles_of_another_size_than_the_view_says_are_refused(tmp_path: Path) -> None:
    write_pairs(
        tmp_path / "pairs.parquet", pd.DataFrame([["a", "train", "g", "a", 0, 0, 0, 0, 0]], columns=list(COLUMNS))
    )
    write_manifest(tmp_path, {"config": {"tile_size_m": 50.0}})
    with pytest.raises(AenetError, match=r"tiles of 50 m, but .* is 70"):
        pack(tmp_path, tmp_path / "views", ViewSpec.polar(height=16, width=64, tile_size_m=70.0), threads=1)
