"""What a job is planned on: a gallery or a model exchanged under way is refused, and what is no such change is not."""

import shutil
from pathlib import Path

import pandas as pd
import pytest

from aenet.io.errors import AenetError
from aenet.serving.galleries.build import GalleryOptions, build_gallery
from aenet.serving.jobs.job import read_record
from aenet.serving.jobs.outputs import read_places
from aenet.serving.localize import Job, LocateOptions, finish, locate, plan, run_shard
from aenet.serving.sessions.cuda import CudaOptions
from tests.support import world
from tests.support.world import World

OPTIONS = LocateOptions(provider="cpu", threads=1, decoders=1, shard_size=5, thumbnails=2, heading="north")
COARSE = GalleryOptions(spacing_m=30.0, provider="cpu", threads=1)


@pytest.fixture
def versions(small_world: World, tmp_path: Path) -> Path:
    """A link to the first of two galleries of one model, as the weekly refresh keeps them."""
    shutil.copytree(small_world.gallery, tmp_path / "first")
    build_gallery(small_world.map, tmp_path / "second", small_world.model, COARSE)
    (tmp_path / "gallery").symlink_to("first")
    return tmp_path / "gallery"


def _turn(link: Path, to: str) -> None:
    link.unlink()
    link.symlink_to(to)


def _begin(small_world: World, gallery: Path, out: Path) -> Job:
    job = plan(small_world.photos, gallery, small_world.model, out, OPTIONS)
    run_shard(job, 0)
    return job


def test_a_link_that_turns_under_way_does_not_reach_the_job(small_world: World, versions: Path, tmp_path: Path) -> None:
    job = _begin(small_world, versions, tmp_path / "out")
    _turn(versions, "second")
    for shard in job.missing:
        run_shard(job, shard)
    assert finish(job).ok == 12
    locate(small_world.photos, small_world.gallery, small_world.model, tmp_path / "undisturbed", OPTIONS)
    tables = [read_places(tmp_path / name / "places.parquet") for name in ("out", "undisturbed")]
    pd.testing.assert_frame_equal(*tables)
    record = read_record(tmp_path / "out")
    assert record is not None and record.gallery == str(tmp_path / "first")


def test_a_run_taken_up_after_the_link_turned_says_where_its_gallery_is(
    small_world: World, versions: Path, tmp_path: Path
) -> None:
    job = _begin(small_world, versions, tmp_path / "out")
    _turn(versions, "second")
    with pytest.raises(AenetError, match=r"its gallery was another \(.*/first, still there: name it to finish"):
        plan(small_world.photos, versions, small_world.model, tmp_path / "out", OPTIONS)
    assert plan(small_world.photos, tmp_path / "first", small_world.model, tmp_path / "out", OPTIONS) == job
    assert job.missing == (1, 2)


def test_a_gallery_exchanged_in_its_folder_is_refused(small_world: World, versions: Path, tmp_path: Path) -> None:
    """By a worker that had the old one open, and by whoever writes the results."""
    job = _begin(small_world, versions, tmp_path / "out")
    (tmp_path / "first").rename(tmp_path / "old")
    (tmp_path / "second").rename(tmp_path / "first")
    with pytest.raises(AenetError, match=r"the gallery in .*first was exchanged while the job"):
        run_shard(job, 1)
    assert not job.done(1)
    (tmp_path / "first").rename(tmp_path / "second")
    with pytest.raises(AenetError, match=r"first.manifest\.json was there when the job"):
        run_shard(job, 1)
    (tmp_path / "old").rename(tmp_path / "first")
    for shard in job.missing:
        run_shard(job, shard)
    (tmp_path / "first").rename(tmp_path / "old")
    (tmp_path / "second").rename(tmp_path / "first")
    with pytest.raises(AenetError, match=r"the gallery in .* was exchanged"):
        finish(job)


def test_a_model_calibrated_anew_under_way_is_refused(small_world: World, tmp_path: Path) -> None:
    """Its descriptors are the same, and its confidences are not."""
    model = tmp_path / "model"
    shutil.copytree(small_world.model, model)
    job = plan(small_world.photos, small_world.gallery, model, tmp_path / "out", OPTIONS)
    run_shard(job, 0)
    world.write_card(model, 96, (3, 4, 8), world.calibration(3.0))
    with pytest.raises(AenetError, match=r"the model in .* was exchanged"):
        run_shard(job, 1)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"precision": "fp32"}, "precision was auto, is fp32"),
        ({"cuda": CudaOptions(tf32=True)}, r"cuda\.tf32 was False, is True"),
        ({"cuda": CudaOptions(device=1, memory_mib=512, graphs=True), "provider": "auto"}, None),
    ],
)
def test_what_decides_rows_makes_another_job_and_where_they_are_computed_does_not(
    small_world: World, tmp_path: Path, change: dict[str, object], said: str | None
) -> None:
    def planned(options: LocateOptions) -> Job:
        return plan(small_world.photos, small_world.gallery, small_world.model, tmp_path / "out", options)

    first, other = planned(OPTIONS), OPTIONS.model_copy(update=change)
    if said is None:
        assert planned(other).key == first.key
    else:
        with pytest.raises(AenetError, match=said):
            planned(other)


def test_the_precision_asked_for_reaches_the_network(small_world: World, tmp_path: Path) -> None:
    """A model without half-precision files cannot serve it, neither photos nor tiles, and says so."""
    half = OPTIONS.model_copy(update={"precision": "fp16"})
    with pytest.raises(AenetError, match=r"holds no half-precision model \(ground\.fp16\.onnx\)"):
        locate(small_world.photos, small_world.gallery, small_world.model, tmp_path / "out", half)
    tiles = COARSE.model_copy(update={"precision": "fp16"})
    with pytest.raises(AenetError, match=r"holds no half-precision model \(aerial\.fp16\.onnx\)"):
        build_gallery(small_world.map, tmp_path / "gallery", small_world.model, tiles)


def test_a_gallery_of_another_precision_is_another_gallery(small_world: World, tmp_path: Path) -> None:
    build_gallery(small_world.map, tmp_path / "gallery", small_world.model, COARSE)
    elsewhere = COARSE.model_copy(update={"cuda": CudaOptions(device=3)})
    assert build_gallery(small_world.map, tmp_path / "gallery", small_world.model, elsewhere).computed == 0
    full = COARSE.model_copy(update={"precision": "fp32"})
    with pytest.raises(AenetError, match=r"gallery of other inputs \(source, model, precision,"):
        build_gallery(small_world.map, tmp_path / "gallery", small_world.model, full)
