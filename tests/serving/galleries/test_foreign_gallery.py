"""A gallery from anybody: what its manifests name, and what its numbers may be."""

import json
import os
import shutil
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from aenet.data.card import read_card
from aenet.io.artifacts import MANIFEST, sha256_file
from aenet.io.atomic import write_json
from aenet.io.errors import AenetError, CorruptArtifact
from aenet.serving.galleries.extend import AddOptions, add_to_gallery
from aenet.serving.galleries.gallery import Gallery
from aenet.serving.jobs.job import LocateOptions
from aenet.serving.localize import finish, plan, run_shard
from aenet.serving.search.galleryindex import open_index
from aenet.serving.search.indexbuild import IndexOptions, build_gallery_index
from tests.support.world import World

SECRET = b"a secret of this machine"
FAST = LocateOptions(provider="cpu", threads=1, decoders=1)


@pytest.fixture
def gallery(small_world: World, tmp_path: Path) -> Path:
    (tmp_path / "secret").write_bytes(SECRET)
    return Path(shutil.copytree(small_world.gallery, tmp_path / "gallery"))


def edit(folder: Path, change: Callable[[dict], object]) -> None:
    """Change a folder's manifest, and what names its digest if it is a shard."""
    manifest = json.loads((folder / MANIFEST).read_bytes())
    change(manifest)
    write_json(folder / MANIFEST, manifest)
    if folder.name.startswith("shard-"):
        digest = sha256_file(folder / MANIFEST)
        edit(folder.parent, lambda made: made["shards"].update({folder.name: digest}))


def refusals(gallery: Path, world: World) -> list[str]:
    """What everything that opens a gallery says to this one."""
    said = []
    for use in (
        lambda: Gallery.open(gallery, read_card(world.model), full=False),
        lambda: plan(world.photos, gallery, world.model, gallery.parent / "out", FAST),
        lambda: add_to_gallery(gallery, world.map, world.model, AddOptions(provider="cpu")),
        lambda: build_gallery_index(gallery, IndexOptions(recall=0.5)),
    ):
        with pytest.raises(CorruptArtifact) as refusal:
            use()
        said.append(str(refusal.value))
    return said


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "name", ["/etc/passwd", "../secret", "backdrop.jpg/../../secret", "/dev/zero", "plan.json", ""]
)
def test_a_backdrop_is_a_picture_of_the_gallery(small_world: World, gallery: Path, name: str) -> None:
    edit(gallery, lambda made: made["backdrop"].update({"file": name, "sha256": None}))
    assert all("not a gallery's manifest" in said for said in refusals(gallery, small_world))


@pytest.mark.timeout(60)
@pytest.mark.parametrize("kind", ["link", "pipe", "text", "other picture"])
def test_a_backdrop_is_the_plain_file_that_was_written(small_world: World, gallery: Path, kind: str) -> None:
    """Exchanged while the job runs, when digests are known to be right: the report must not show it either."""
    job = plan(small_world.photos, gallery, small_world.model, gallery.parent / "out", FAST)
    run_shard(job, 0)
    path = gallery / "backdrop.jpg"
    content = path.read_bytes()
    path.unlink()
    match kind:
        case "link":
            path.symlink_to("../secret")
        case "pipe":
            os.mkfifo(path)
        case "text":
            path.write_bytes(SECRET)
        case _:
            path.write_bytes(content + b"\0")
    with pytest.raises(CorruptArtifact, match=r"backdrop\.jpg is "):
        finish(job)
    with pytest.raises(CorruptArtifact, match=r"backdrop\.jpg is "):
        Gallery.open(gallery, read_card(small_world.model))
    assert not (job.out / "report.html").exists()


def test_a_gallery_of_an_earlier_version_keeps_its_backdrop(small_world: World, gallery: Path) -> None:
    edit(gallery, lambda made: made["backdrop"].pop("sha256"))
    Gallery.open(gallery, read_card(small_world.model))


@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", ["../shard-00000", "/dev", "shard-00000/..", "shard-1", "."])
def test_a_shard_has_a_shards_name(small_world: World, gallery: Path, name: str) -> None:
    edit(gallery, lambda made: made["shards"].update({name: "0" * 64}))
    assert all("not a gallery's manifest" in said for said in refusals(gallery, small_world))


def test_a_shard_is_no_link(small_world: World, gallery: Path) -> None:
    (gallery / "shard-00000").rename(gallery.parent / "elsewhere")
    (gallery / "shard-00000").symlink_to("../elsewhere")
    assert all("shard-00000 is a link" in said for said in refusals(gallery, small_world))


@pytest.mark.parametrize("name", ["tiles.parquet", "descriptors.npy", "thumbnails.bin"])
def test_a_shards_files_are_listed(small_world: World, gallery: Path, name: str) -> None:
    """Else a link in their place would be read without a digest that notices."""
    edit(gallery / "shard-00000", lambda made: made["files"].pop(name))
    (gallery / "shard-00000" / name).unlink()
    (gallery / "shard-00000" / name).symlink_to("../../secret")
    assert all(f"does not list {name}" in said for said in refusals(gallery, small_world))


@pytest.mark.parametrize("name", ["tiles.parquet", "descriptors.npy", "thumbnails.bin"])
def test_a_shards_files_are_no_links(small_world: World, gallery: Path, name: str) -> None:
    (gallery / "shard-00000" / name).rename(gallery.parent / name)
    (gallery / "shard-00000" / name).symlink_to(f"../../{name}")
    assert all(f"{name} is a link" in said for said in refusals(gallery, small_world))


@pytest.mark.parametrize("name", ["index", "index/codes.npy", "index/quantizer.faiss", "index/rotation.npy"])
def test_an_index_is_no_link(small_world: World, gallery: Path, name: str) -> None:
    build_gallery_index(gallery, IndexOptions(recall=0.5))
    (gallery / name).rename(gallery.parent / "elsewhere")
    (gallery / name).symlink_to(os.path.relpath(gallery.parent / "elsewhere", (gallery / name).parent))
    with pytest.raises(CorruptArtifact, match=f"{Path(name).name} is a link"):
        open_index(Gallery.open(gallery, read_card(small_world.model)))
    if name != "index":
        edit(gallery / "index", lambda made: made["files"].pop(Path(name).name))
        with pytest.raises(CorruptArtifact, match="does not list"):
            open_index(Gallery.open(gallery, read_card(small_world.model)))


# --- Its numbers


def rewrite(gallery: Path, name: str, content: bytes) -> None:
    """Put other bytes into a file of the first shard, with all digests right."""
    shard = gallery / "shard-00000"
    (shard / name).write_bytes(content)
    entry = {"sha256": sha256_file(shard / name), "bytes": len(content)}
    edit(shard, lambda made: made["files"].update({name: entry}))


def saved(array: np.ndarray) -> bytes:
    stream = BytesIO()
    np.save(stream, array, allow_pickle=array.dtype == object)
    return stream.getvalue()


def _scaled(array: np.ndarray) -> np.ndarray:
    array[7] *= 1000
    return array


def _set(value: float) -> Callable[[np.ndarray], np.ndarray]:
    def change(array: np.ndarray) -> np.ndarray:
        array[7, 3] = value
        return array

    return change


def _nothing(array: np.ndarray) -> np.ndarray:
    array[7] = 0
    return array


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (_scaled, r"descriptor of tile '\S+' has length 1000 instead of 1"),
        (_set(np.nan), "length nan"),
        (_set(np.inf), "length inf"),
        (_nothing, "length 0"),
        (lambda array: array[:, :-1] / np.linalg.norm(array[:, :-1], axis=1, keepdims=True), "96 is needed"),
        (lambda array: array.astype(np.float64), "float64 of .*float32 of .* is needed"),
        (lambda array: array.astype(">f4"), "is needed"),
        (lambda array: array.astype(np.float16), "float16 of"),
        (np.asfortranarray, "is needed"),
        (lambda array: array[:-1], r"float32 of 199 x 96.*200 x 96 is needed"),
        (lambda array: array[None], "is needed"),
        (lambda array: array.astype(object), "is no array"),
    ],
)
def test_descriptors_are_held_to_unit_length_width_and_type(
    small_world: World, gallery: Path, change: Callable[[np.ndarray], np.ndarray], reason: str
) -> None:
    """One descriptor times 1,000 would draw every photo to its tile, with status ok."""
    array = np.load(gallery / "shard-00000" / "descriptors.npy")
    rewrite(gallery, "descriptors.npy", saved(change(array)))
    with pytest.raises(CorruptArtifact, match=reason):
        plan(small_world.photos, gallery, small_world.model, gallery.parent / "out", FAST)
    with pytest.raises(CorruptArtifact, match=reason):
        build_gallery_index(gallery, IndexOptions(recall=0.5))


def test_an_archive_of_arrays_is_no_array(small_world: World, gallery: Path) -> None:
    stream = BytesIO()
    np.savez(stream, a=np.zeros(3))
    rewrite(gallery, "descriptors.npy", stream.getvalue())
    with pytest.raises(CorruptArtifact, match="is an archive"):
        Gallery.open(gallery, read_card(small_world.model))


@pytest.mark.parametrize(
    ("column", "value", "reason"),
    [
        ("latitude", 90.001, "row 5: latitude 90.001"),
        ("latitude", np.nan, "row 5: latitude nan"),
        ("latitude", 1e308, "row 5: latitude 1e"),
        ("latitude", 47.0, "they lie within"),  # on the Earth, and not where the gallery says it is
        ("longitude", -180.5, "row 5: longitude -180.5"),
        ("longitude", np.inf, "row 5: longitude inf"),
        ("easting", np.inf, "row 5: easting inf"),
        ("tile_id", None, "row 5: tile_id"),
        ("thumbnail_at", -1, "row 5: a picture at -1"),
        ("thumbnail_bytes", -1, "row 5: a picture"),
        ("thumbnail_bytes", 1 << 40, "row 5: a picture"),
        ("thumbnail_at", (1 << 63) - 1, "row 5: a picture"),
    ],
)
def test_tiles_lie_on_the_earth_and_their_pictures_in_their_file(
    small_world: World, gallery: Path, column: str, value: object, reason: str
) -> None:
    table = pd.read_parquet(gallery / "shard-00000" / "tiles.parquet")
    table[column] = [value if row == 5 else kept for row, kept in enumerate(table[column])]
    table.to_parquet(gallery.parent / "t.parquet")
    rewrite(gallery, "tiles.parquet", (gallery.parent / "t.parquet").read_bytes())
    with pytest.raises(CorruptArtifact, match=reason):
        Gallery.open(gallery, read_card(small_world.model))


@pytest.mark.parametrize("kind", ["twice in a shard", "in two shards"])
def test_every_tile_has_a_name_of_its_own(small_world: World, gallery: Path, kind: str) -> None:
    table = pd.read_parquet(gallery / "shard-00000" / "tiles.parquet")
    other = table["tile_id"].iloc[0]
    if kind == "in two shards":
        other = pd.read_parquet(gallery / "shard-00001" / "tiles.parquet")["tile_id"].iloc[0]
    table.loc[5, "tile_id"] = other
    table.to_parquet(gallery.parent / "t.parquet")
    rewrite(gallery, "tiles.parquet", (gallery.parent / "t.parquet").read_bytes())
    with pytest.raises(CorruptArtifact, match=f"two tiles '{other}'"):
        Gallery.open(gallery, read_card(small_world.model))


def test_a_table_without_a_column_is_no_table_of_tiles(small_world: World, gallery: Path) -> None:
    table = pd.read_parquet(gallery / "shard-00000" / "tiles.parquet").drop(columns="longitude")
    table.to_parquet(gallery.parent / "t.parquet")
    rewrite(gallery, "tiles.parquet", (gallery.parent / "t.parquet").read_bytes())
    with pytest.raises(CorruptArtifact, match="no table of tiles"):
        Gallery.open(gallery, read_card(small_world.model))


GRID = 'PARAMETERFILE["Latitude and longitude difference file","{}"]'


@pytest.mark.timeout(30)
@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("tiles", 7, "says 7 tiles"),
        ("tiles", 10**30, "not a gallery's manifest"),
        ("spacing_m", 0.0, "not a gallery's manifest"),
        ("tile_size_m", -1.0, "not a gallery's manifest"),
        ("dtype", "object", "not a gallery's manifest"),
        ("descriptor_dim", 95, "95 numbers"),
        ("coverage", [0.0, 0.0, 200.0, 0.0], "not a gallery's manifest"),
        ("backdrop.crs", "no system", "coordinate system is none"),
        ("backdrop.crs", GRID, r"takes numbers from a file \(PARAMETERFILE\)"),
        ("backdrop.width_px", 0, "not a gallery's manifest"),
        ("backdrop.left", 1e300, "not a gallery's manifest"),
        ("backdrop.top", 1e300, "nowhere on the Earth"),
    ],
)
def test_a_manifest_says_nothing_impossible(
    small_world: World, gallery: Path, name: str, value: object, reason: str
) -> None:
    """A pipe in a coordinate system would be waited for, were PROJ to open what it names."""
    os.mkfifo(gallery.parent / "grid")
    outer, _, inner = name.rpartition(".")
    text = value.format(gallery.parent / "grid") if isinstance(value, str) else value
    edit(gallery, lambda made: (made[outer] if outer else made).update({inner: text}))
    with pytest.raises(AenetError, match=reason):
        Gallery.open(gallery, read_card(small_world.model))
