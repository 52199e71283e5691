"""Damaged archives, tables, images with EXIF and GPano, and settings: bytes changed by thousands, and no traceback.

Seeded, so that a failure comes again; `AENET_FUZZ` multiplies the rounds.
"""

import os
from pathlib import Path

import pytest

from aenet.ingest.archive.archiveconfig import SourceConfig
from aenet.ingest.archive.unpack import unpack
from aenet.io.errors import AenetError
from aenet.io.params import read_yaml
from aenet.serving.photos.listing import list_photos
from aenet.serving.photos.reading import read_photo
from aenet.view.spec import ViewSpec
from tests.support.damage import ARCHIVES, ENCODINGS, PHOTOS, archive, mutated, photo, table

ROUNDS = 100 * int(os.environ.get("AENET_FUZZ", "1"))
VIEW = ViewSpec.polar(height=16, width=64, tile_size_m=60.0)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("format_", PHOTOS)
def test_fuzzed_photos_are_rows(tmp_path: Path, format_: str) -> None:
    whole, path = photo(format_), tmp_path / "a.img"
    path.write_bytes(whole)
    assert "readable" not in str(read_photo(path, "a", VIEW).reason)  # what GPano, lens and shape say need not agree
    for seed in range(ROUNDS):
        path.write_bytes(mutated(whole, seed))
        reading = read_photo(path, "a", VIEW)
        assert (reading.view is None) == (reading.reason is not None), seed
        assert "object at 0x" not in (reading.reason or "") and "decoder" not in (reading.reason or "")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("format_", ARCHIVES)
def test_fuzzed_archives_are_unpacked_or_refused(tmp_path: Path, format_: str) -> None:
    whole, config = archive(format_), SourceConfig(source="x", max_unpacked_bytes=10**6, max_members=100)
    packed, folder = tmp_path / "a.bin", tmp_path / "in" / "out"
    folder.mkdir(parents=True)
    for seed in range(-1, ROUNDS):
        packed.write_bytes(whole if seed < 0 else mutated(whole, seed))
        try:
            unpack(packed, folder, config)
            for file in sorted(folder.rglob("*"), reverse=True):
                file.rmdir() if file.is_dir() else file.unlink()
        except AenetError as error:
            assert seed >= 0 and "a.bin" in str(error), seed
        assert not list(folder.iterdir()) and {path.name for path in tmp_path.iterdir()} == {"a.bin", "in"}, seed


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_fuzzed_tables_are_read_or_refused(tmp_path: Path, encoding: str) -> None:
    whole = table(encoding)
    for seed in range(ROUNDS):
        (tmp_path / "t.csv").write_bytes(mutated(whole, seed))
        try:
            listed = list_photos(tmp_path / "t.csv")
        except AenetError as error:
            assert len(str(error)) < 5000, seed
        else:
            assert listed["true_latitude"].abs().max(skipna=True) <= 90 or listed["true_latitude"].isna().all(), seed


def test_fuzzed_settings_are_read_or_refused(tmp_path: Path) -> None:
    whole = (Path(__file__).parents[1] / "params.yaml").read_bytes()[:1500]
    for seed in range(ROUNDS):
        (tmp_path / "params.yaml").write_bytes(mutated(whole, seed))
        try:
            assert isinstance(read_yaml(tmp_path / "params.yaml"), dict)
        except AenetError as error:
            assert len(str(error)) < 2000, seed
