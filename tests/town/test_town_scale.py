"""A town too large for memory is raised in files and in bands, to the very same bytes."""

import errno
import hashlib
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from aenet.io.artifacts import read_manifest
from aenet.io.errors import AenetError
from aenet.town import aerial, ground, layers, relief, zones
from aenet.town.dataset import generate, write_geotiff
from aenet.town.layers import Layers, Rasters, mapped_zeros
from aenet.town.town import Town, raise_town
from tests.town.test_town import TINY

# What the committed figures on the town rest on. Another NumPy or OpenCV rounds in other places.
DIGESTS = {
    "aerial/00000.jpg": "a2f923aa68d6b187",
    "ground/00025.jpg": "2bff0f502dd2a8b7",
    "labels.npy": "85890e0641b7b71c",
    "town.tif": "b530e047eb9c250b",
    "visible.npy": "0fe2a6746daed801",
}
WITHOUT_AVX2 = {"town.tif": "8b70b9876f197f97"}  # OpenCV's own; NumPy's do not tell here
MADE_WITH = ("2.4.6", "4.14.0")
_AVX2 = 11  # OpenCV's number of it


@pytest.fixture(scope="module")
def town() -> Town:
    return raise_town(TINY)


def same(one: Town, other: Town) -> bool:
    layers = all(np.array_equal(a, b) for a, b in zip(one.layers, other.layers, strict=True))
    return layers and np.array_equal(one.orthophoto, other.orthophoto) and np.array_equal(one.houses, other.houses)


def test_a_town_raised_in_files_is_the_one_raised_in_memory(town: Town, tmp_path: Path) -> None:
    filed = raise_town(TINY, tmp_path)
    assert same(town, filed)
    rasters = {path.stem for path in tmp_path.iterdir()}
    assert rasters == {*Layers._fields, "orthophoto"}, "others map these, and drafts are deleted"
    assert all(np.array_equal(a, b) for a, b in zip(town.layers, Layers.load(tmp_path), strict=True))


def test_the_height_of_bands_and_the_number_of_threads_change_nothing(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (ground, relief, zones):
        monkeypatch.setattr(module, "BAND", 53)
    monkeypatch.setattr(aerial, "SHADOW_BAND", 53)
    monkeypatch.setattr(layers, "usable_cores", lambda: 5)
    assert same(town, raise_town(TINY))


def test_a_wide_town_is_lit_in_lower_bands(monkeypatch: pytest.MonkeyPatch) -> None:
    even = TINY.model_copy(update={"height_m": 308.0})  # an odd last row stretches its band's shadows
    high = raise_town(even)
    monkeypatch.setattr(aerial, "BAND_PX", 1 << 12)
    assert same(high, raise_town(even))


def test_shadows_in_bands_are_those_of_the_whole_map() -> None:
    rng = np.random.default_rng(0)
    surface = np.zeros((700, 300), np.float32)
    surface[rng.integers(0, 700, 60), rng.integers(0, 300, 60)] = 40.0
    canopy = np.zeros((3, 700, 300), np.uint8)
    bands_of = aerial.all_shadows(surface, canopy, 0.5, Rasters())
    small = cv2.resize(surface, (150, 350), interpolation=cv2.INTER_NEAREST)
    for sun, shadow in zip(aerial.SUNS, bands_of, strict=True):
        np.testing.assert_array_equal(shadow, aerial.cast_shadow(small, 1.0, sun))


def test_the_tiny_towns_bytes_are_those_they_were(tmp_path: Path) -> None:
    expected = DIGESTS if cv2.checkHardwareSupport(_AVX2) else DIGESTS | WITHOUT_AVX2
    generate(TINY, tmp_path / "town")
    files = read_manifest(tmp_path / "town").files
    here = f"the digests were made with NumPy and OpenCV {MADE_WITH}, here are {np.__version__, cv2.__version__}"
    assert {name: files[name].sha256[:16] for name in DIGESTS} == expected, here


def test_the_tiny_towns_bytes_on_an_older_processor(tmp_path: Path) -> None:
    """In a process of its own, in which NumPy and OpenCV leave newer instructions alone."""
    older = {"OPENCV_CPU_DISABLE": "AVX2", "NPY_DISABLE_CPU_FEATURES": "X86_V4 X86_V3"}
    known = "test_the_tiny_towns_bytes_are_those_they_were"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"{__file__}::{known}"]
    ran = subprocess.run(command, env={**os.environ, **older}, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout


def test_a_geotiffs_bytes_do_not_depend_on_the_number_of_threads(tmp_path: Path) -> None:
    from aenet.town.dataset import TownFrame

    image = np.random.default_rng(0).integers(0, 256, (90, 140, 3), np.uint8).repeat(10, 0).repeat(10, 1)
    digests = set()
    for cores in ({min(os.sched_getaffinity(0))}, os.sched_getaffinity(0)):
        before = os.sched_getaffinity(0)
        try:
            os.sched_setaffinity(0, cores)
            write_geotiff(tmp_path / "a.tif", image, TownFrame.of(490.0, 315.0), 0.35)
        finally:
            os.sched_setaffinity(0, before)
        digests.add(hashlib.sha256((tmp_path / "a.tif").read_bytes()).hexdigest())
    assert len(digests) == 1


def test_a_disk_without_room_is_a_sentence_before_anything_is_drawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without it, the first write beyond the disk's end through a mapping would kill the process."""

    def full(*_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(AenetError, match=r"no room for .*x\.npy: it takes 0\.8 GB, .* GB are free \(No space left"):
        mapped_zeros(tmp_path / "x.npy", (100_000, 1000), np.float64)
    with pytest.raises(AenetError, match="make room, or the town smaller"):
        generate(TINY, tmp_path / "town")
    assert not (tmp_path / "town").exists()
