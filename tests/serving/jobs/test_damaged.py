"""Files that one run leaves for the next, damaged: one sentence each, with the way out, and the way out works."""

from collections.abc import Callable
from pathlib import Path

import pytest

from aenet.io.errors import AenetError, CorruptArtifact
from aenet.serving.galleries.build import GalleryOptions, build_gallery
from aenet.serving.jobs.job import LocateOptions
from aenet.serving.localize import finish, locate, plan
from tests.support.world import World

FAST = LocateOptions(provider="cpu", threads=1, decoders=1, thumbnails=0)
DAMAGES = {
    "empty": b"",
    "no JSON": b"{",
    "a list": b"[1]",
    "a number": b"3",
    "no UTF-8": b'"\xff\xfe"',
    "NUL": bytes(40),
}
DAMAGES["deep"] = b"[" * 100_000
each_damage = pytest.mark.parametrize("content", DAMAGES.values(), ids=DAMAGES)


@pytest.fixture(scope="module")
def job(small_world: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished job of one photo."""
    out = tmp_path_factory.mktemp("damaged") / "out"
    _run(small_world, out, FAST)
    return out


def _run(world: World, out: Path, options: LocateOptions) -> None:
    locate(str(world.photos / "0001.jpg"), world.gallery, world.model, out, options)


@each_damage
def test_a_damaged_plan_of_a_gallery(small_world: World, tmp_path: Path, content: bytes) -> None:
    options = GalleryOptions(spacing_m=120.0, provider="cpu", threads=1)
    (tmp_path / "gallery").mkdir()
    (tmp_path / "gallery" / "plan.json").write_bytes(content)
    with pytest.raises(CorruptArtifact, match=r"plan\.json is damaged: .* `overwrite`"):
        build_gallery(small_world.map, tmp_path / "gallery", small_world.model, options)
    again = options.model_copy(update={"overwrite": True})
    assert build_gallery(small_world.map, tmp_path / "gallery", small_world.model, again).computed > 0


@each_damage
def test_a_damaged_summary(small_world: World, job: Path, content: bytes) -> None:
    (job / "summary.json").write_bytes(content)
    with pytest.raises(CorruptArtifact, match=r"summary\.json is damaged: remove _SUCCESS"):
        _run(small_world, job, FAST)
    (job / "_SUCCESS").unlink()
    _run(small_world, job, FAST)


def _cut(content: bytes) -> bytes:
    return content[: len(content) // 2]


def _flipped(content: bytes) -> bytes:
    return bytes([*content[:4], *(255 - byte for byte in content[4:64]), *content[64:]])


@pytest.mark.parametrize("damage", [_cut, _flipped, lambda content: b"", lambda content: b"PAR1" * 9])
def test_damaged_places(small_world: World, job: Path, damage: Callable[[bytes], bytes]) -> None:
    """A format that is asked for later is made of them."""
    places = job / "places.parquet"
    kept = places.read_bytes()
    places.write_bytes(damage(kept))
    more = FAST.model_copy(update={"formats": ("kml",)})
    with pytest.raises(CorruptArtifact, match=r"places\.parquet is damaged: remove _SUCCESS"):
        _run(small_world, job, more)
    (job / "_SUCCESS").unlink()
    _run(small_world, job, more)
    assert (job / "places.kml").exists()
    (job / "places.kml").unlink()


@pytest.mark.parametrize("damage", [_cut, _flipped, lambda content: b""])
def test_a_damaged_photo_list_of_a_job(small_world: World, tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    _run(small_world, tmp_path / "out", FAST)
    (tmp_path / "out" / "_SUCCESS").unlink()
    file = tmp_path / "out" / "photos.parquet"
    kept = file.read_bytes()
    job = plan(str(small_world.photos / "0001.jpg"), small_world.gallery, small_world.model, tmp_path / "out", FAST)
    file.write_bytes(damage(kept))
    with pytest.raises(AenetError, match=r"photos\.parquet is damaged: .* `overwrite`"):
        finish(job)
