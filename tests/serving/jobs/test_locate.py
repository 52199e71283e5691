"""Placing photos: the right places, one row for every photo whatever it is, and a job that survives kill -9."""

import io
import json
import os
import shutil
import signal
import subprocess
import sys
import zlib
from collections import Counter
from dataclasses import replace
from pathlib import Path

import geopandas
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from aenet.io.errors import AenetError, CorruptArtifact
from aenet.io.locks import hold
from aenet.serving.galleries.build import GalleryOptions, build_gallery
from aenet.serving.galleries.manifest import grid_floor
from aenet.serving.jobs.outputs import read_places
from aenet.serving.localize import LocateOptions, finish, locate, plan, run_shard
from aenet.serving.photos.listing import list_photos
from aenet.view.images import encode_jpeg
from tests.support import world
from tests.support.world import World

OPTIONS = LocateOptions(provider="cpu", threads=1, decoders=1, shard_size=4, thumbnails=3)


def _locate(small: World, photos: Path | str, out: Path, **changes: object) -> pd.DataFrame:
    locate(photos, small.gallery, small.model, out, OPTIONS.model_copy(update=changes))
    return read_places(out / "places.parquet").set_index("photo")


def test_every_photo_is_put_on_its_nearest_tile(small_world: World, tmp_path: Path) -> None:
    summary = locate(small_world.photos, small_world.gallery, small_world.model, tmp_path / "out", OPTIONS)
    places = read_places(tmp_path / "out" / "places.parquet")
    assert list(places["photo"]) == list(small_world.truth["path"]) and set(places["status"]) == {"ok"}
    floor = grid_floor(15.0)
    assert places["error_m"].max() <= floor.max + 1.0  # a metre for the pixels
    assert summary.median_error_m == pytest.approx(places["error_m"].median())
    assert (summary.ok, summary.known, summary.within_25m, summary.exit_code) == (12, 12, 1.0, 0)
    assert summary.floor_median_m == pytest.approx(floor.median)
    assert summary.runs_on == "CPU (1 thread)"
    assert all(len(tiles) == 5 and tiles[0] != tiles[1] for tiles in places["tiles"])
    assert (places["margin"] > 0).all() and np.allclose(places["score"], [scores[0] for scores in places["scores"]])
    assert (tmp_path / "out" / "_SUCCESS").exists()


def test_truth_is_for_the_error_only(small_world: World, tmp_path: Path) -> None:
    """The same pixels with another GPS tag get the same place and another error."""
    content = (small_world.photos / "0000.jpg").read_bytes()
    pixels = world.panorama(small_world.pixels, *small_world.truth.loc[0, ["x", "y"]])
    folder = tmp_path / "photos"
    folder.mkdir()
    (folder / "here.jpg").write_bytes(content)
    (folder / "far.jpg").write_bytes(encode_jpeg(pixels, 92, world.gps_exif(-33.9, 151.2)))
    (folder / "nowhere.jpg").write_bytes(encode_jpeg(pixels, 92))
    places = _locate(small_world, folder, tmp_path / "out")
    assert places["latitude"].nunique() == 1
    assert np.ptp(places["score"]) < 1e-5  # rows of a batch may be rounded in more than one way
    assert places.loc["here.jpg", "error_m"] < 12 and places.loc["far.jpg", "error_m"] > 1.5e7
    assert places.loc["far.jpg", "true_latitude"] == pytest.approx(-33.9, abs=1e-6)
    assert np.isnan(places.loc["nowhere.jpg", "error_m"])


def test_a_table_gives_order_and_truth(small_world: World, tmp_path: Path) -> None:
    table = small_world.truth[["path", "latitude", "longitude"]].iloc[[5, 2]].copy()
    table["path"] = [str(small_world.photos / name) for name in table["path"]]
    table.loc[len(small_world.truth)] = ["gone.jpg", np.nan, np.nan]
    table.to_csv(tmp_path / "photos.csv", index=False)
    places = _locate(small_world, tmp_path / "photos.csv", tmp_path / "out")
    assert list(places.index) == list(table["path"])
    assert list(places["status"]) == ["ok", "ok", "error"]
    assert places.loc["gone.jpg", "reason"] == "cannot be read (No such file or directory)"


def _huge_png() -> bytes:
    """A file of some bytes that says it is 30,000 x 30,000 pixels."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return len(body).to_bytes(4, "big") + kind + body + zlib.crc32(kind + body).to_bytes(4, "big")

    header = (30_000).to_bytes(4, "big") * 2 + bytes([8, 2, 0, 0, 0])
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 64)) + chunk(b"IEND", b"")
    )


def test_bad_photos_are_error_rows_and_the_batch_goes_on(small_world: World, tmp_path: Path) -> None:
    good = (small_world.photos / "0004.jpg").read_bytes()
    files = {
        "a_empty.jpg": (b"", "empty"),
        "b_truncated.jpg": (good[: len(good) * 2 // 3], "cut short"),
        "c_text.png": (b"these are no pixels", "not a readable"),
        "d_huge.png": (_huge_png(), "900 Mpx, the limit is 300 Mpx"),
        "e_square.jpg": (encode_jpeg(small_world.pixels[:100, :100]), r"1\.00:1, at least 1\.5:1"),
        "f_good.jpg": (good, None),
        "g_svg.jpg": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not a readable"),
    }
    folder = tmp_path / "photos"
    folder.mkdir()
    for name, (content, _) in files.items():
        (folder / name).write_bytes(content)
    (folder / "notes.txt").write_text("no photo")
    (folder / ".hidden.jpg").write_bytes(b"")
    os.mkfifo(folder / "h_pipe.jpg")
    summary = locate(folder, small_world.gallery, small_world.model, tmp_path / "out", OPTIONS)
    places = read_places(tmp_path / "out" / "places.parquet").set_index("photo")
    assert list(places.index) == [*files, "h_pipe.jpg"]
    for name, (_, reason) in files.items():
        assert places.loc[name, "status"] == ("error" if reason else "ok")
        if reason:
            assert pd.Series([places.loc[name, "reason"]]).str.contains(reason).all(), places.loc[name, "reason"]
            assert np.isnan(places.loc[name, "latitude"]) and "0x" not in places.loc[name, "reason"]
    assert places.loc["h_pipe.jpg", "reason"] == "cannot be read (not a regular file)"
    assert (summary.errors, summary.ok, summary.ignored, summary.exit_code) == (7, 1, 1, 3)
    geometry = geopandas.read_parquet(tmp_path / "out" / "places.parquet").set_index("photo").geometry
    assert geometry.crs.to_epsg() == 4326
    assert geometry.loc["f_good.jpg"].x == places.loc["f_good.jpg", "longitude"]
    assert geometry.loc["a_empty.jpg"] is None


def test_a_photo_the_model_cannot_embed_is_an_error_row(small_world: World, tmp_path: Path) -> None:
    """Lens cap on: one such photo must not cost the others their places, nor the job its end."""
    model = world.make_model(tmp_path / "model", bias=0.0)
    build_gallery(small_world.map, tmp_path / "gallery", model, GalleryOptions(spacing_m=30.0, provider="cpu"))
    photos = shutil.copytree(small_world.photos, tmp_path / "photos")
    (photos / "0003.jpg").write_bytes(encode_jpeg(np.zeros((64, 256, 3), np.uint8)))
    (photos / "black.jpg").write_bytes(encode_jpeg(np.zeros((64, 256, 3), np.uint8)))  # alone in the last batch
    options = OPTIONS.model_copy(update={"batch_size": 4})
    summary = locate(photos, tmp_path / "gallery", model, tmp_path / "out", options)
    places = read_places(tmp_path / "out" / "places.parquet").set_index("photo")
    assert (summary.ok, summary.errors) == (11, 2)
    assert list(places.index[places["status"] == "error"]) == ["0003.jpg", "black.jpg"]
    assert places.loc["0003.jpg", "reason"].startswith("the model gives a descriptor of length")
    assert places.loc["0004.jpg", "error_m"] < 25


def test_orientation_and_heading_are_undone(small_world: World, tmp_path: Path) -> None:
    """Turned files, and panoramas whose centre looks east, give the place of the upright north-centred one."""
    upright = world.panorama(small_world.pixels, *small_world.truth.loc[3, ["x", "y"]])
    folder = tmp_path / "photos"
    folder.mkdir()
    Image.fromarray(upright).save(folder / "upright.png")
    for orientation, turn in (
        (3, Image.Transpose.ROTATE_180),
        (6, Image.Transpose.ROTATE_90),
        (8, Image.Transpose.ROTATE_270),
    ):
        exif = Image.Exif()
        exif[0x0112] = orientation
        Image.fromarray(upright).transpose(turn).save(folder / f"orientation{orientation}.png", exif=exif)
    east = np.roll(upright, -upright.shape[1] // 4, axis=1)  # what stood in the east comes to the centre
    content = io.BytesIO()
    xmp = b"<x:xmpmeta xmlns:x='adobe:ns:meta/'><d GPano:PoseHeadingDegrees=\"90.0\"/></x:xmpmeta>"
    Image.fromarray(east).save(content, "JPEG", quality=95, subsampling=0, xmp=xmp)
    (folder / "east.jpg").write_bytes(content.getvalue())
    places = _locate(small_world, folder, tmp_path / "out")
    assert set(places["status"]) == {"ok"} and places["latitude"].nunique() == 1
    pngs = places.loc[[name for name in places.index if name.endswith(".png")], "score"]
    assert pngs.nunique() == 1 and len(pngs) == 4
    assert places.loc["east.jpg", "score"] == pytest.approx(pngs.iloc[0], abs=2e-3)


def test_names_survive_and_formulas_do_not(small_world: World, tmp_path: Path) -> None:
    content = (small_world.photos / "0001.jpg").read_bytes()
    evil = ["=cmd|calc!A0.jpg", "-1+2.jpg", " =1.jpg", ";=1.jpg", "\uff1d1.jpg", "\ufe62cmd.jpg", "\u2212x.jpg"]
    evil += ["\xa0=1.jpg", "\u200b=1.jpg", "\ufeff=1.jpg", "\uff201.jpg", "\u3000=1.jpg"]
    names = [*evil, 'two\nlines, "quoted" 😀.jpg', "käse.jpg", "a;b=1 .jpg"]
    folder = tmp_path / "photos"
    folder.mkdir()
    for name in names:
        (folder / name).write_bytes(content)
    Path(os.fsdecode(os.fsencode(folder) + b"/latin\xe9.jpg")).write_bytes(content)
    places = _locate(small_world, folder, tmp_path / "out")
    assert set(places.index) == {*names, "latin\\xe9.jpg"} and set(places["status"]) == {"ok"}
    table = pd.read_csv(tmp_path / "out" / "places.csv")
    plain = [name for name in names if name not in evil]
    assert set(table["photo"]) == {f"'{name}" for name in evil} | {*plain, "latin\\xe9.jpg"}


def test_wrong_sources_are_sentences(small_world: World, tmp_path: Path) -> None:
    (tmp_path / "none").mkdir()
    (tmp_path / "names.csv").write_text("name\na.jpg\n")
    (tmp_path / "twice.csv").write_text("path\na.jpg\na.jpg\n")
    (tmp_path / "mars.csv").write_text("path,latitude,longitude\na.jpg,147,9\n")
    for source, sentence in (
        ("missing", "does not exist"),
        ("none", "no photos there"),
        ("names.csv", r"lacks a column for path \(path, file, .*found: name"),
        ("twice.csv", "'a.jpg' is listed twice"),
        ("mars.csv", "latitude 147.0 is outside"),
        ("*.jpeg", "no photos there"),
    ):
        with pytest.raises(AenetError, match=sentence):
            list_photos(str(tmp_path / source))
    assert len(list_photos(str(small_world.photos / "000*.jpg"))) == 10


def test_a_finished_job_computes_nothing_again_and_another_is_refused(small_world: World, tmp_path: Path) -> None:
    out = tmp_path / "out"
    first = locate(small_world.photos, small_world.gallery, small_world.model, out, OPTIONS)
    log, table = (out / "shards" / "computed.log").read_text(), (out / "places.parquet").stat().st_mtime_ns
    assert locate(small_world.photos, small_world.gallery, small_world.model, out, OPTIONS) == first
    assert (out / "shards" / "computed.log").read_text() == log and Counter(log.split()[::4]) == {"start": 3, "done": 3}
    assert (out / "places.parquet").stat().st_mtime_ns == table
    other = OPTIONS.model_copy(update={"top_k": 3})
    with pytest.raises(AenetError, match=r"another job .* `overwrite`"):
        plan(small_world.photos, small_world.gallery, small_world.model, out, other)
    places = _locate(small_world, small_world.photos, out, top_k=3, overwrite=True)
    assert {len(tiles) for tiles in places["tiles"]} == {3}
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.docx").write_text("irreplaceable")
    with pytest.raises(AenetError, match="holds other files"):
        plan(
            small_world.photos,
            small_world.gallery,
            small_world.model,
            mine,
            OPTIONS.model_copy(update={"overwrite": True}),
        )
    assert (mine / "thesis.docx").exists()


def test_shards_run_in_any_order_and_damage_is_noticed(small_world: World, tmp_path: Path) -> None:
    job = plan(small_world.photos, small_world.gallery, small_world.model, tmp_path / "out", OPTIONS)
    assert job.shards == job.missing == (0, 1, 2)
    seen: list[int] = []
    assert run_shard(job, 2, seen.append).computed and seen == [4]
    assert not run_shard(job, 2).computed
    with pytest.raises(AenetError, match=r"2 of 3 shards are not computed yet \(the first is 0\)"):
        finish(job)
    for shard in job.missing:
        run_shard(job, shard)
    job.file(1).write_bytes(job.file(1).read_bytes()[:200])
    with pytest.raises(CorruptArtifact, match=r"00001\.parquet is damaged: delete it"):
        finish(job)
    job.file(1).unlink()
    run_shard(job, 1)
    assert finish(job).photos == 12


def test_one_writer_at_a_time(small_world: World, tmp_path: Path) -> None:
    job = plan(small_world.photos, small_world.gallery, small_world.model, tmp_path / "out", OPTIONS)
    with hold(job.out / "shards" / ".00001.lock", "it"), pytest.raises(AenetError, match=f"in use .*{os.getpid()}"):
        run_shard(job, 1)
    assert run_shard(job, 1).computed
    with hold(job.out / ".lock", "it"), pytest.raises(AenetError, match="in use by another run"):
        finish(job)


def test_a_model_that_is_not_the_gallerys_is_refused(small_world: World, tmp_path: Path) -> None:
    other = world.make_model(tmp_path / "other", seed=1)
    with pytest.raises(AenetError, match="cannot be compared"):
        plan(small_world.photos, small_world.gallery, other, tmp_path / "out", OPTIONS)
    assert not (tmp_path / "out").exists()


_COMMAND = """
import sys
from pathlib import Path
from aenet.serving.localize import LocateOptions, locate
photos, gallery, model, out = map(Path, sys.argv[1:])
options = LocateOptions(provider="cpu", threads=1, decoders=1, shard_size=8, thumbnails=2)
summary = locate(photos, gallery, model, out, options)
sys.exit(summary.exit_code)
"""


def _killed(script: str, moment: tuple[str, str], *arguments: object) -> None:
    """Run a script until it is killed at `moment`; see `world.KILL_AT`."""
    command = [sys.executable, "-c", world.KILL_AT + script, *moment, *map(str, arguments)]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL, f"no kill at {moment}"


def test_kill_9_at_any_moment_loses_no_photo_and_no_finished_shard(small_world: World, tmp_path: Path) -> None:
    photos, out = tmp_path / "photos", tmp_path / "out"
    photos.mkdir()
    for number in range(96):
        shutil.copy(small_world.photos / "0000.jpg", photos / f"{number:04d}.jpg")
    arguments = (photos, small_world.gallery, small_world.model, out)
    moments = {
        ("os.rename", "photos.parquet"): 0,  # shards finished by then
        ("os.rename", "job.json"): 0,
        ("open", "0021.jpg"): 2,  # amid the photos of the third shard
        ("os.rename", "00006.parquet"): 6,  # computed, not yet published
        ("os.rename", "report.html"): 12,  # amid the results
    }
    for moment, finished in moments.items():
        _killed(_COMMAND, moment, *arguments)
        assert len(list((out / "shards").glob("*.parquet"))) == finished
        assert not (out / "_SUCCESS").exists()
    command = [sys.executable, "-c", _COMMAND, *map(str, arguments)]
    assert subprocess.run(command, check=False).returncode == 0
    places = read_places(out / "places.parquet")
    assert sorted(places["photo"]) == [f"{number:04d}.jpg" for number in range(96)]
    twice = {"00002", "00006"}  # begun when the kill came
    assert _starts(out) == {f"{shard:05d}": 1 + (f"{shard:05d}" in twice) for shard in range(12)}
    assert json.loads((out / "summary.json").read_text())["photos"] == 96
    assert not list(out.rglob("*.tmp"))


_OVERWRITE = """
import sys
from pathlib import Path
from aenet.serving.localize import LocateOptions, plan
photos, gallery, model, out = map(Path, sys.argv[1:])
plan(photos, gallery, model, out, LocateOptions(top_k=3, overwrite=True))
"""


def test_a_kill_while_overwriting_leaves_a_folder_that_can_still_be_used(small_world: World, tmp_path: Path) -> None:
    arguments = (small_world.photos, small_world.gallery, small_world.model, tmp_path / "out")
    first = locate(*arguments, OPTIONS)
    for name in ("places.csv", "00001.parquet", "job.json"):
        _killed(_OVERWRITE, ("os.remove", name), *arguments)
        assert not (tmp_path / "out" / "_SUCCESS").exists()
        assert replace(locate(*arguments, OPTIONS), photos_per_second=0.0) == replace(first, photos_per_second=0.0)
    _killed(_OVERWRITE, ("os.rename", "photos.parquet"), *arguments)
    places = _locate(small_world, small_world.photos, tmp_path / "out", top_k=3, overwrite=True)
    assert {len(tiles) for tiles in places["tiles"]} == {3}


def _starts(out: Path) -> Counter[str]:
    lines = (out / "shards" / "computed.log").read_text().splitlines()
    return Counter(line.split()[1] for line in lines if line.startswith("start"))


_NO_TORCH = """
import sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"torch", "torchvision", "timm", "onnx", "mlflow", "dvc", "prefect"}:
            raise ImportError(f"serving imported {name}")

sys.meta_path.insert(0, Refuse())
"""


def test_serving_never_imports_torch_or_the_pipeline(small_world: World, tmp_path: Path) -> None:
    build = (
        "from aenet.serving.galleries.build import GalleryOptions, build_gallery\n"
        "import aenet.cli, aenet.doctor.doctor\n"
        "build_gallery(Path(sys.argv[5]), Path(sys.argv[4] + '_gallery'), Path(sys.argv[3]),"
        " GalleryOptions(spacing_m=60.0, provider='cpu', threads=1))\n"
        "findings = aenet.doctor.doctor.diagnose(Path(sys.argv[5]).parent)\n"
        "assert not [finding for finding in findings if finding.state == 'broken'], findings\n"
    )
    code = _NO_TORCH + _COMMAND.replace("= map(Path, sys.argv[1:])", "= map(Path, sys.argv[1:5])\n" + build)
    arguments = [small_world.photos, small_world.gallery, small_world.model, tmp_path / "out", small_world.map]
    ran = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stderr == ""


def test_photos_may_be_elsewhere_when_the_report_is_made(small_world: World, tmp_path: Path) -> None:
    photos = shutil.copytree(small_world.photos, tmp_path / "photos")
    job = plan(photos, small_world.gallery, small_world.model, tmp_path / "out", OPTIONS)
    for shard in job.shards:
        run_shard(job, shard)
    shutil.rmtree(photos)
    assert finish(job).ok == 12
