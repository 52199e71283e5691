"""The index of a gallery: made and shown by commands, used for known and unknown headings, refused where it is bad."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from aenet.cli import main
from aenet.data.card import read_card
from aenet.io.artifacts import write_manifest
from aenet.io.errors import CorruptArtifact
from aenet.serving.galleries.build import GalleryOptions, build_gallery
from aenet.serving.galleries.extend import AddOptions, add_to_gallery
from aenet.serving.galleries.gallery import Gallery
from aenet.serving.jobs.outputs import read_places
from aenet.serving.localize import LocateOptions, locate, plan
from aenet.serving.search import search
from aenet.serving.search.codes import CODES
from aenet.serving.search.galleryindex import shards_of
from aenet.serving.search.indexbuild import IndexMeta, IndexOptions, Rung, build_gallery_index, index_meta
from tests.support import world
from tests.support.world import World

OPTIONS = LocateOptions(provider="cpu", threads=1, decoders=1, thumbnails=0)


@pytest.fixture
def gallery(small_world: World, tmp_path: Path) -> Path:
    return Path(shutil.copytree(small_world.gallery, tmp_path / "gallery"))


def _places(small: World, gallery: Path, out: Path, heading: str) -> pd.DataFrame:
    locate(small.photos, gallery, small.model, out, OPTIONS.model_copy(update={"heading": heading}))
    return read_places(out / "places.parquet")


@pytest.mark.parametrize("heading", ["north", "unknown"])
def test_an_indexed_gallery_gives_the_same_places_also_of_later_shards(
    heading: str, small_world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    indexed, plain = tmp_path / "indexed", tmp_path / "plain"
    middle = world.position(200, 160)[1]
    options = GalleryOptions(
        spacing_m=15.0, shard_size=200, provider="cpu", threads=1, within_box=(0.0, 40.0, middle, 60.0)
    )
    build_gallery(small_world.map, indexed, small_world.model, options)
    shutil.copytree(indexed, plain)
    meta = build_gallery_index(indexed, IndexOptions(), threads=1)
    stamp = (indexed / "index" / CODES).stat().st_mtime_ns
    assert meta == build_gallery_index(indexed, IndexOptions(), threads=1)
    assert (indexed / "index" / CODES).stat().st_mtime_ns == stamp  # nothing to do
    for folder in (indexed, plain):
        add_to_gallery(folder, small_world.map, small_world.model, AddOptions(provider="cpu", threads=1))
    exact = _places(small_world, plain, tmp_path / "exact", heading)

    def refuse(*_: object) -> None:
        raise AssertionError("all tiles were compared although there is an index")

    monkeypatch.setattr(search, "compare_all", refuse)
    found = _places(small_world, indexed, tmp_path / "found", heading)
    assert (found["tiles"].map(list) == exact["tiles"].map(list)).all()
    for column in ("score", "heading_deg", "latitude", "longitude"):
        np.testing.assert_allclose(found[column], exact[column], atol=1e-4)
    assert (found["longitude"] < middle).any() and (found["longitude"] > middle).any()


def test_shards_without_a_tile_are_alike_and_hide_no_later_one(small_world: World) -> None:
    opened = Gallery.open(small_world.gallery, read_card(small_world.model))
    shards = {"0": "a", "1": "empty", "2": "empty", "3": "b", "4": "added"}
    gallery = replace(opened, manifest=opened.manifest.model_copy(update={"shards": shards}))
    rung = Rung(candidates=32, recall=1.0)
    covers = {"tiles": 1, "dim": 1, "code_bytes": 1, "asked": IndexOptions(), "ladder": (rung,), "candidates": 32}
    assert shards_of(IndexMeta(shards=("a", "empty", "empty", "b"), **covers), gallery) == ([0, 1, 2, 3], [4])
    with pytest.raises(CorruptArtifact, match="covers shard empty"):
        shards_of(IndexMeta(shards=("a", "empty", "empty", "empty"), **covers), gallery)


def _run(monkeypatch: pytest.MonkeyPatch, *words: object) -> int:
    monkeypatch.setattr("sys.argv", ["aenet", *map(str, words)])
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)


def test_commands_print_the_ladder_and_the_choice(
    gallery: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _run(monkeypatch, "gallery", "info", gallery) == 0
    assert "candidates" not in capsys.readouterr().out
    index = ("gallery", "index", gallery, "--threads", 1, "--recall", 0.9, "--similarity", 0.8)
    assert _run(monkeypatch, *index) == 0
    said = capsys.readouterr().out
    meta = index_meta(gallery)
    assert meta is not None
    assert meta.asked == IndexOptions(recall=0.9, similarity=0.8) and meta.ladder[-1].recall == 1.0
    assert f"32: {100 * meta.ladder[0].recall:.1f} %" in said
    assert f"{meta.candidates} (90 % demanded at a cosine of 0.8)" in said
    assert _run(monkeypatch, "gallery", "info", gallery) == 0
    assert said.splitlines()[-1] in capsys.readouterr().out
    # Another demand is another index.
    assert _run(monkeypatch, "gallery", "index", gallery, "--threads", 1) == 0
    assert "95 % demanded at a cosine of 0.7" in capsys.readouterr().out


def test_a_recall_out_of_reach_ends_in_one_sentence(
    gallery: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("aenet.serving.search.indexbuild._RUNGS", (1,))
    assert _run(monkeypatch, "gallery", "index", gallery, "--recall", 1.0, "--similarity", 0.1) == 2
    assert "demand less with --recall" in " ".join(capsys.readouterr().err.split())
    assert not (gallery / "index").exists()


@pytest.mark.parametrize("harm", ["byte", "length", "older version", "half removed"])
def test_a_damaged_index_is_refused_and_can_be_built_again(
    harm: str, small_world: World, gallery: Path, tmp_path: Path
) -> None:
    folder = gallery / "index"
    meta = build_gallery_index(gallery, IndexOptions(), threads=1)
    content = bytearray((folder / CODES).read_bytes())
    match harm:
        case "byte":
            content[-1] ^= 1
            (folder / CODES).write_bytes(bytes(content))
        case "length":
            (folder / CODES).write_bytes(content[:-1])
        case "older version":
            write_manifest(folder, {**json.loads((folder / "manifest.json").read_text())["meta"], "lists": 8})
        case "half removed":
            (folder / "manifest.json").unlink()
    with pytest.raises(CorruptArtifact, match=r"SHA-256|has \d+ bytes|aenet gallery index"):
        plan(small_world.photos, gallery, small_world.model, tmp_path / "out", OPTIONS)
    assert build_gallery_index(gallery, IndexOptions(), threads=1) == meta == index_meta(gallery)


def test_an_index_of_shards_that_are_gone_is_refused(small_world: World, gallery: Path, tmp_path: Path) -> None:
    build_gallery_index(gallery, IndexOptions(), threads=1)
    shutil.move(gallery / "index", tmp_path / "index")
    options = GalleryOptions(spacing_m=15.0, shard_size=150, provider="cpu", threads=1, overwrite=True)
    build_gallery(small_world.map, gallery, small_world.model, options)
    shutil.move(tmp_path / "index", gallery / "index")
    with pytest.raises(CorruptArtifact, match="repeat `aenet gallery index`"):
        plan(small_world.photos, gallery, small_world.model, tmp_path / "stale", OPTIONS)
