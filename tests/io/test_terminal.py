"""What reaches the terminal: one sentence where the machine is too small, and nothing that a library says by itself."""

import copy
import errno
import os
import re
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import rasterio

from aenet.io.errors import AenetError, TooSmallMachine
from aenet.io.terminal import lacking, need_room, shortage
from aenet.serving.galleries.build import GalleryOptions, build_gallery
from aenet.serving.jobs import executors
from aenet.serving.localize import Job, plan
from aenet.serving.sessions.session import OnnxBranch
from tests.support.world import make_model, make_pixels, write_map


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (MemoryError(), "not enough memory"),
        (OSError(errno.ENOMEM, os.strerror(errno.ENOMEM)), "not enough memory"),
        (RuntimeError("std::bad_alloc"), "not enough memory"),
        (ImportError("libx.so: failed to map segment from shared object"), "not enough memory"),
        (Exception("OpenCV(4.14) error: (-4:Insufficient memory) Failed to allocate 9 bytes"), "not enough memory"),
        (OSError(errno.EMFILE, os.strerror(errno.EMFILE)), "too many files are open"),
        (RuntimeError("can't start new thread"), "no further thread"),
    ],
)
def test_c13_what_a_machine_lacks_is_named(error: Exception, sentence: str) -> None:
    wrapped = AenetError("a.jpg is damaged")
    wrapped.__cause__ = error
    for one in (error, wrapped):
        assert str(shortage(one)).startswith(sentence)


@pytest.mark.parametrize("error", [ValueError("no"), AenetError("no"), RuntimeError("CUDA out of memory"), KeyError(1)])
def test_c13_other_errors_are_no_shortage(error: Exception) -> None:
    assert shortage(error) is None


_COMMAND = """
import resource, sys
resource.setrlimit(getattr(resource, sys.argv[1]), (int(sys.argv[2]),) * 2)
from aenet.cli import main
sys.argv = ["aenet", "locate", ".", "--gallery", "none", "-o", "out"]
main()
"""


@pytest.mark.parametrize(("limit", "value", "said"), [("RLIMIT_NOFILE", 4, "too many files are open")])
def test_c13_under_a_limit_a_job_ends_in_one_sentence(limit: str, value: int, said: str, tmp_path: os.PathLike) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", _COMMAND, limit, str(value)], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    if resource.getrlimit(getattr(resource, limit))[1] >= value:
        assert "Traceback" not in ran.stderr and ran.returncode == 2, ran.stderr
        assert ran.stderr.count("\n") == 1 and said in ran.stderr


# Where jobs were ended by SIGSEGV, by OpenBLAS, and by SIGABRT once Arrow had taken its pool of 1 GiB.
_DEADLY_MB = (485, 591, 1049)
_CRAMPED = """
import resource, sys
import aenet.serving.localize  # the libraries
from aenet.io.terminal import _taken
limit = int(sys.argv[2]) << 10 if len(sys.argv) > 2 else _taken() + (int(sys.argv[1]) << 20)
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
from aenet.cli import main
sys.argv = ["aenet", "locate", ".", "--gallery", "gallery", "-m", "model", "-o", "out"]
main()
"""


@pytest.mark.parametrize("megabytes", _DEADLY_MB)
def test_c13_a_job_that_libraries_would_end_is_refused_before_it_begins(tmp_path: Path, megabytes: int) -> None:
    """Beside its libraries this is too little; the limit that the sentence names is enough."""
    model, town = make_model(tmp_path / "model"), write_map(tmp_path / "town.tif", make_pixels(200, 200))
    build_gallery(town, tmp_path / "gallery", model, GalleryOptions(spacing_m=20.0, provider="cpu", threads=1))
    words = [sys.executable, "-c", _CRAMPED, str(megabytes)]
    refused = subprocess.run(words, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert refused.returncode == 2 and refused.stderr.count("\n") == 1, refused.stderr
    named = re.search(r"not enough memory: this process may have .*`ulimit -v (\d+)`", refused.stderr)
    assert named, refused.stderr
    if megabytes == _DEADLY_MB[0]:
        enough = subprocess.run([*words, named[1]], capture_output=True, text=True, check=False, cwd=tmp_path)
        assert enough.returncode == 3 and "report:" in enough.stdout, enough.stderr  # the map is no photo


@pytest.fixture
def cramped(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """This process may have hardly more than it has."""
    taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    need_room.cache_clear()
    monkeypatch.setattr(resource, "getrlimit", lambda _: (taken + (100 << 20), resource.RLIM_INFINITY))
    yield
    need_room.cache_clear()


_DOORS: dict[str, Callable[[Path], object]] = {
    "job": lambda nowhere: plan(nowhere, nowhere, nowhere, nowhere),
    "gallery": lambda nowhere: build_gallery(nowhere, nowhere, nowhere, GalleryOptions()),
    "model": lambda nowhere: OnnxBranch(nowhere, "ground"),
}


@pytest.mark.parametrize("door", _DOORS)
@pytest.mark.usefixtures("cramped")
def test_c13_every_door_asks_for_room_first(door: str, tmp_path: Path) -> None:
    with pytest.raises(TooSmallMachine, match=r"and a job takes some 1,835 more: raise the limit to `ulimit -v \d+`"):
        _DOORS[door](tmp_path / "nowhere")
    assert list(tmp_path.iterdir()) == []


def test_c13_room_is_asked_for_once_a_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a job has taken is no lack: its second shard is computed as the first was."""
    need_room.cache_clear()
    need_room()
    monkeypatch.setattr(resource, "getrlimit", lambda _: (1, 1))
    need_room()
    need_room.cache_clear()


@pytest.mark.parametrize(
    ("error", "sentence"),
    [(MemoryError(), "not enough memory"), (OSError(errno.EMFILE, os.strerror(errno.EMFILE)), "too many files")],
)
def test_c13_a_worker_of_dask_or_ray_hands_back_the_sentence(
    monkeypatch: pytest.MonkeyPatch, error: Exception, sentence: str
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(executors, "run_shard", fail)
    handed = executors._attempt(object.__new__(Job), 0)
    assert isinstance(handed, TooSmallMachine) and str(handed).startswith(sentence)


def test_c13_what_is_no_lack_passes_as_it_is() -> None:
    with pytest.raises(KeyError), lacking():
        raise KeyError
    with pytest.raises(AenetError, match="no gallery") as refused, lacking():
        raise AenetError("no gallery")
    assert not isinstance(refused.value, TooSmallMachine)


def test_c14_warnings_and_logs_of_libraries_stay_out() -> None:
    script = (
        "import logging, warnings; from aenet.io.terminal import quiet; quiet(); warnings.warn('noise');"
        "logging.getLogger('rasterio._env').warning('noise'); logging.getLogger('PIL').error('noise')"
    )
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONWARNINGS"}
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, env=environment)
    assert (ran.stdout, ran.stderr) == ("", "")
    script += ";logging.getLogger('aenet.tracking').warning('MLflow was not reached')"
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, env=environment)
    assert (ran.stdout, ran.stderr) == ("", "MLflow was not reached\n")


def test_c11_a_sentence_has_an_end_whatever_a_file_holds() -> None:
    """Names in files have no limit: what is said keeps its beginning, which names the file, and the way out."""
    error = AenetError("a.json names " + "x" * 10_000 + ": make it again")
    said = str(error)
    assert len(said) == 2000 and said.startswith("a.json names xxx") and said.endswith("xxx: make it again")
    assert str(copy.copy(error)) == said


def test_c14_what_gdal_says_of_a_damaged_map_stays_out(tmp_path: Path) -> None:
    """Its metadata hold a NUL; GDAL warns of it at each reading."""
    source = write_map(tmp_path / "map.tif", make_pixels()[:128, :160])
    with rasterio.open(source, "r+") as dataset:
        dataset.update_tags(TIFFTAG_COPYRIGHT="x" * 40)
    content = source.read_bytes()
    source.write_bytes(content.replace(b"x" * 40, b"x" * 20 + b"\0" + b"x" * 19))
    script = (
        "import sys; from pathlib import Path; from aenet.io.terminal import quiet; quiet();"
        "from aenet.serving.maps.mosaic import Mosaic; from aenet.serving.maps.mosaic import overview;"
        "print(overview(Mosaic(Path(sys.argv[1]), [Path(sys.argv[1])]), 32).pixels.shape)"
    )
    ran = subprocess.run([sys.executable, "-c", script, str(source)], capture_output=True, text=True, check=True)
    assert (ran.stdout, ran.stderr) == ("(26, 32, 3)\n", "")


def test_a_refused_lock_is_no_want_of_threads() -> None:
    """What an error hides on purpose (`from None`) does not speak for it."""
    try:
        try:
            raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")
        except BlockingIOError:
            raise AenetError("gallery g is in use by another run") from None
    except AenetError as refused:
        assert shortage(refused) is None
    assert shortage(BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")) is None
    assert "no further thread" in str(shortage(RuntimeError("can't start new thread")))
