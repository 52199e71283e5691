"""Hundreds of damaged or foreign files, seeded: each is used as before, or refused by a sentence.

No traceback, no file read that is not theirs, no request, no end that is waited for. Digests are right in all of them:
whoever makes a file can make its digest, too.
"""

import hashlib
import json
import random
import shutil
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from aenet.commands.gallerycommand import gallery_lines
from aenet.data.card import CARD, read_card
from aenet.io.artifacts import MANIFEST
from aenet.serving.galleries.build import GalleryOptions, build_gallery
from aenet.serving.galleries.extend import AddOptions, add_to_gallery
from aenet.serving.galleries.gallery import Gallery
from aenet.serving.jobs.job import LocateOptions
from aenet.serving.localize import finish, locate, plan, run_shard
from aenet.serving.search.galleryindex import open_index
from aenet.serving.search.indexbuild import IndexOptions, build_gallery_index
from aenet.serving.sessions.runtime import SessionOptions
from aenet.serving.sessions.session import OnnxBranch
from tests.support import watch
from tests.support.mutations import ODD, mutated_bytes, mutated_json, outcomes
from tests.support.world import World

FAST = LocateOptions(provider="cpu", threads=1, decoders=1, thumbnails=2)
BUILD = GalleryOptions(spacing_m=60.0, shard_size=12, provider="cpu", threads=1)
pytestmark = pytest.mark.timeout(120)


@pytest.fixture(scope="module")
def place(small_world: World, tmp_path_factory: pytest.TempPathFactory) -> World:
    """A gallery of a few tiles with an index, one photo, a finished job; changed and put back by the tests."""
    root = tmp_path_factory.mktemp("fuzz")
    shutil.copytree(small_world.model, root / "model")
    (root / "photos").mkdir()
    shutil.copyfile(small_world.photos / "0001.jpg", root / "photos" / "a.jpg")
    build_gallery(small_world.map, root / "gallery", root / "model", BUILD)
    build_gallery_index(root / "gallery", IndexOptions(recall=0.1))
    locate(str(root / "photos"), root / "gallery", root / "model", root / "out", FAST)
    (root / "secret").write_bytes(watch.SECRET)
    return World(
        small_world.pixels, small_world.map, root / "model", root / "gallery", root / "photos", small_world.truth
    )


@pytest.fixture(autouse=True)
def unwatched() -> Iterator[None]:
    """Nothing is asked of the network, and nothing beyond the project is opened, whatever a file says."""
    with watch.watching() as seen:
        yield
    assert seen == []


def through(place: World) -> None:
    """Everything that reads a gallery: what it is, a whole job and its report, and an addition."""
    root = place.gallery.parent
    gallery_lines(place.gallery)
    out = root / "job"
    shutil.rmtree(out, ignore_errors=True)
    locate(str(place.photos), place.gallery, place.model, out, FAST)
    assert watch.SECRET not in (out / "report.html").read_bytes()


def refused(said: list[str], least: int) -> None:
    """Mutations must be noticed often enough for the test to be one."""
    assert sum(map(bool, said)) >= least, said


def test_manifests_of_galleries(place: World) -> None:
    refused(outcomes(place.gallery / MANIFEST, mutated_json, lambda: through(place), 1, 40), 20)


@pytest.mark.parametrize("name", [MANIFEST, "tiles.parquet", "descriptors.npy", "thumbnails.bin"])
def test_shards_of_galleries(place: World, name: str) -> None:
    mutate = mutated_json if name == MANIFEST else mutated_bytes
    said = outcomes(place.gallery / "shard-00000" / name, mutate, lambda: through(place), 2, 12)
    refused(said, 0 if name == "thumbnails.bin" else 5)


def test_tables_of_tiles_of_other_types(place: World) -> None:
    table = pd.read_parquet(place.gallery / "shard-00000" / "tiles.parquet")

    def change(content: bytes, draw: random.Random) -> bytes:
        column = draw.choice(list(table.columns))
        values: Any = draw.choice([None, "x", b"x", 1e308, np.nan, -1, True, [1.0], pd.Timestamp(0), {"a": 1}])
        stream = BytesIO()
        table.assign(**{column: [values] * len(table)}).to_parquet(stream, index=draw.random() < 0.3)
        return stream.getvalue()

    refused(outcomes(place.gallery / "shard-00000" / "tiles.parquet", change, lambda: through(place), 3, 20), 10)


@pytest.mark.parametrize("name", [MANIFEST, "codes.npy", "quantizer.faiss", "rotation.npy"])
def test_indexes(place: World, name: str) -> None:
    card = read_card(place.model)

    def search() -> None:
        gallery = Gallery.open(place.gallery, card, full=False)
        index = open_index(gallery)
        assert index is not None
        scores, rows = index.search(np.array(gallery.descriptors[0][:2], np.float32), 3, threads=1)
        assert np.isfinite(scores).all() and (rows < len(gallery.tiles)).all()

    mutate = mutated_json if name == MANIFEST else mutated_bytes
    refused(outcomes(place.gallery / "index" / name, mutate, search, 4, 25), 6)


def test_plans_of_galleries(place: World) -> None:
    def again() -> None:
        build_gallery(place.map, place.gallery, place.model, BUILD)

    refused(outcomes(place.gallery / "plan.json", mutated_json, again, 5, 15), 9)


def test_plans_of_additions(place: World) -> None:
    plan_file = place.gallery / "plan-add.json"
    plan_file.write_text(json.dumps({"key": "0" * 64, "source": "elsewhere.tif"}))

    def add() -> None:
        add_to_gallery(place.gallery, place.map, place.model, AddOptions(provider="cpu", threads=1, min_valid=0.6))

    said = outcomes(plan_file, mutated_json, add, 6, 12)
    plan_file.unlink()
    refused(said, 12)


def test_cards(place: World) -> None:
    def embed() -> None:
        for side in ("ground", "aerial"):
            branch = OnnxBranch(place.model, side, SessionOptions(provider="cpu", threads=1, batch_size=1))
            view = branch.card.view
            branch.embed(np.zeros((1, view.ground.height, view.ground.width, 3), np.uint8))

    refused(outcomes(place.model / CARD, mutated_json, embed, 7, 60), 30)


def test_networks(place: World) -> None:
    """Mutated ONNX files: read field by field, then by onnxruntime."""
    card = json.loads((place.model / CARD).read_bytes())

    def embed() -> None:
        content = (place.model / "ground.onnx").read_bytes()
        write_digest(place.model, card, content)
        branch = OnnxBranch(place.model, "ground", SessionOptions(provider="cpu", threads=1, batch_size=1))
        branch.embed(np.full((1, branch.view.height, branch.view.width, 3), 7, np.uint8))

    said = outcomes(place.model / "ground.onnx", mutated_bytes, embed, 8, 120)
    (place.model / CARD).write_text(json.dumps(card))
    refused(said, 60)


def write_digest(model: Path, card: dict[str, Any], content: bytes) -> None:
    digests = {**card["sha256"], "ground.onnx": hashlib.sha256(content).hexdigest()}
    (model / CARD).write_text(json.dumps({**card, "sha256": digests}))


@pytest.mark.parametrize("name", ["summary.json", "job.json", "photos.parquet", "places.parquet"])
def test_results_of_a_finished_job(place: World, name: str) -> None:
    """Run again: what it came to is said, or a sentence; a format asked for later is made of the places."""
    out = place.gallery.parent / "out"
    more = FAST.model_copy(update={"formats": ("geojson",)})

    def again() -> None:
        (out / "places.geojson").unlink(missing_ok=True)
        locate(str(place.photos), place.gallery, place.model, out, more).lines()

    mutate = mutated_json if name.endswith("json") else mutated_bytes
    said = outcomes(out / name, mutate, again, 9, 12)
    refused(said, 0 if name == "photos.parquet" else 3)


@pytest.mark.parametrize("name", ["photos.parquet", "shards/00000.parquet"])
def test_an_unfinished_job(place: World, name: str, tmp_path: Path) -> None:
    job = plan(str(place.photos), place.gallery, place.model, tmp_path / "out", FAST)
    run_shard(job, 0)
    shard = job.file(0).read_bytes()

    def go_on() -> None:
        (job.out / "_SUCCESS").unlink(missing_ok=True)
        if name == "photos.parquet":
            job.file(0).unlink(missing_ok=True)
            run_shard(job, 0)
        finish(job)

    said = outcomes(job.out / name, mutated_bytes, go_on, 10, 10)
    job.file(0).write_bytes(shard)
    refused(said, 3)


def test_odd_values_are_json() -> None:
    assert all(json.loads(json.dumps(value)) == value for value in ODD)
