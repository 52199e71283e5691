"""A disk that is full: one sentence, nothing torn, and once there is room the same job comes to the same places.

`benchmarks/full_disk.py` does it on thirty real disks of all sizes.
"""

import errno
import os
import subprocess
import sys
from pathlib import Path

import geopandas
import pandas as pd
import pytest

from aenet.io.diskspace import writing
from aenet.io.errors import AenetError
from aenet.serving.jobs.outputs import read_places, write_format
from aenet.serving.jobs.shard import read_shard
from aenet.serving.localize import Job, LocateOptions, finish, locate, plan, run_shard
from tests.support.fulldisk import no_file_beyond
from tests.support.world import World

OPTIONS = LocateOptions(shard_size=4, provider="cpu", threads=1, decoders=1, formats=("kml",))


def _plan(world: World, out: Path) -> Job:
    return plan(world.photos, world.gallery, world.model, out, OPTIONS)


def test_whatever_does_not_fit_is_said_and_the_rest_goes_on(small_world: World, tmp_path: Path) -> None:
    given = small_world.photos, small_world.gallery, small_world.model
    locate(*given, tmp_path / "undisturbed", OPTIONS)
    expected = read_places(tmp_path / "undisturbed" / "places.parquet")
    sizes = {path.name: path.stat().st_size for path in (tmp_path / "undisturbed").rglob("*")}
    out = tmp_path / "out"
    for missing in (".lock", "photos.parquet", "00001.parquet", "places.parquet", "report.html"):
        sentence = rf"^{out}\S* cannot be written \(File too large; [\d,.]+ MB free .*make room and run the same"
        with no_file_beyond(sizes[missing] - 1), pytest.raises(AenetError, match=sentence):
            locate(*given, out, OPTIONS)
        assert not (out / missing).exists() or missing == ".lock"
        assert not list(out.rglob("*.tmp")) and not (out / "_SUCCESS").exists()
        if (out / "job.json").exists():
            job = _plan(small_world, out)
            for shard in set(job.shards) - set(job.missing):
                read_shard(job, shard)
    locate(*given, out, OPTIONS)
    pd.testing.assert_frame_equal(read_places(out / "places.parquet"), expected)


def test_a_kml_file_is_whole_or_not_there(small_world: World, tmp_path: Path) -> None:
    """GDAL itself ends a KML file where the disk does, and says nothing."""
    job = _plan(small_world, tmp_path / "out")
    run_shard(job, 0)
    table, _ = read_shard(job, 0)
    whole = write_format(tmp_path, table, "kml").stat().st_size
    (tmp_path / "places.kml").unlink()
    with no_file_beyond(whole - 1), pytest.raises(AenetError, match="cannot be written"), writing(tmp_path):
        write_format(tmp_path, table, "kml")
    assert not list(tmp_path.glob("*places.kml*"))
    assert len(geopandas.read_file(write_format(tmp_path, table, "kml"))) == 4


def test_the_log_holds_no_half_line(small_world: World, tmp_path: Path) -> None:
    job = _plan(small_world, tmp_path / "out")
    run_shard(job, 0)
    log = job.out / "shards" / "computed.log"
    line = "start 00000 1 0.000\n"
    log.write_text(line * (100_000 // len(line)))
    before = log.read_bytes()
    with no_file_beyond(len(before) + 10), pytest.raises(AenetError, match="cannot be written"):
        run_shard(job, 1)
    assert log.read_bytes() == before
    for shard in job.missing:
        run_shard(job, shard)
    assert finish(job).photos == 12


def test_an_error_about_another_file_is_not_called_a_full_disk(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), writing(tmp_path / "out"):
        (tmp_path / "photo.jpg").read_bytes()
    with pytest.raises(AenetError, match="out cannot be written"), writing(tmp_path / "out"):
        (tmp_path / "out" / "places.csv").write_bytes(b"")


def test_disks_of_three_sizes() -> None:
    script = Path(__file__).parents[3] / "benchmarks" / "full_disk.py"
    words = [sys.executable, str(script), "--jobs", "locate", "--sizes", "3", "--photos", "8"]
    alone = [] if os.geteuid() == 0 else ["unshare", "--user", "--map-root-user", "--mount"]  # where one may mount
    ran = subprocess.run([*alone, *words], check=False, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    if ran.stdout.startswith("skipped"):
        pytest.skip(ran.stdout.strip())
    assert "locate: 3 disks" in ran.stdout and "nothing torn" in ran.stdout


@pytest.mark.parametrize(
    ("number", "sentence"),
    [
        (errno.ENOSPC, "No space left on device; .* MB free on its disk.: .*make room and run"),
        (errno.EACCES, "Permission denied.: what is finished is kept; give yourself the right to write"),
        (errno.EROFS, "Read-only file system.: what is finished is kept; give yourself the right to write"),
        (errno.EIO, "Input/output error.: what is finished is kept; fix that and run"),
        (None, "1000 requested and 0 written; .*make room"),
    ],
)
def test_c13_a_full_disk_is_blamed_for_what_a_full_disk_does(tmp_path: Path, number: int | None, sentence: str) -> None:
    words = (number, os.strerror(number)) if number else ("1000 requested and 0 written",)
    with pytest.raises(AenetError, match=f"cannot be written .*{sentence}"), writing(tmp_path):
        raise OSError(*words)


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENOMEM, errno.ECONNRESET, errno.EPIPE, None])
def test_c13_what_is_no_matter_of_the_disk_passes(tmp_path: Path, number: int | None) -> None:
    words = (number, os.strerror(number)) if number else ("a library's own error",)
    with pytest.raises(OSError) as caught, writing(tmp_path):
        raise OSError(*words)
    assert caught.value.errno == number
