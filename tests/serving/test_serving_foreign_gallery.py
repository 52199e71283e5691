"""A gallery from anybody: what its manifests name, and what its numbers may be."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from serving.world import World

from aenet.artifacts import MANIFEST, sha256_file
from aenet.atomic import write_json
from aenet.card import read_card
from aenet.errors import CorruptArtifact
from aenet.serving.galleries.extend import AddOptions, add_to_gallery
from aenet.serving.galleries.gallery import Gallery
from aenet.serving.jobs.options import LocateOptions
from aenet.serving.localize import finish, plan, run_shard
from aenet.serving.search.galleryindex import open_index
from aenet.serving.search.indexbuild import IndexOptions, build_gallery_index

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
