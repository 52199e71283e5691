"""The commands as a shell sees them: what they print and the status they end with."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from aenet.cli import main
from aenet.data.pairs import COLUMNS, write_pairs
from aenet.data.views import pack
from aenet.io.artifacts import write_manifest
from aenet.serving.jobs.job import read_record
from aenet.serving.sessions.cuda import CudaOptions
from aenet.view.images import encode_jpeg
from aenet.view.spec import ViewSpec
from tests.support import world
from tests.support.world import World


def _run(monkeypatch: pytest.MonkeyPatch, *words: object) -> int:
    monkeypatch.setattr("sys.argv", ["aenet", *map(str, words)])
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)


def test_gallery_and_locate_from_the_shell(
    small_world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    common = ("--model", small_world.model, "--provider", "cpu", "--threads", 1)
    gallery, out = tmp_path / "gallery", tmp_path / "out"
    build = ("gallery", "build", small_world.map, "--tile-size", "60m", "--spacing", "20m", "-o", gallery, *common)
    assert _run(monkeypatch, *build) == 0
    said = capsys.readouterr().out
    assert "8.0 m off (median)" in said and "ran on CPU (1 thread)" in said and "warning" not in said
    photos = shutil.copytree(small_world.photos, tmp_path / "photos")
    locate = ("locate", photos, "--gallery", gallery, *common, "-o")
    assert _run(monkeypatch, *locate, out) == 0
    said = capsys.readouterr().out
    assert "placed 12 of 12 photos" in said and "ran on CPU (1 thread)" in said and "report.html" in said
    (photos / "broken.jpg").write_bytes(b"")
    assert _run(monkeypatch, *locate, out) == 2  # other photos, same folder
    assert "--overwrite" in capsys.readouterr().err
    assert _run(monkeypatch, *locate, tmp_path / "partial") == 3
    assert "1 could not be" in capsys.readouterr().out
    assert _run(monkeypatch, *build[:-4], "--provider", "tpu") == 2


def test_options_of_locate_from_the_shell(
    small_world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    common = ("--gallery", small_world.gallery, "--model", small_world.model, "--provider", "cpu", "--threads", 1)
    locate, nights = ("locate", small_world.photos, *common, "-o"), tmp_path / "nights"
    more = ("--own-gps", "60m", "--min-confidence", 0.99, "--also", "geojson,kml", "--new-since", nights)
    assert _run(monkeypatch, *locate, nights / "1", *more) == 0
    said = capsys.readouterr().out
    assert "abstained from" in said and "expected and observed within 25 m" in said
    assert {"places.geojson", "places.kml"} <= {path.name for path in (nights / "1").iterdir()}
    assert _run(monkeypatch, *locate, nights / "2", *more) == 0
    assert "nothing new: all 12 photos" in capsys.readouterr().out
    for words, sentence in (
        (("--near", "48,9", "--within-box", "8,47,9,48"), "--near and --within-box exclude each other"),
        (("--near", "48"), "--near '48' is not LAT,LON"),
        (("--also", "shapefile"), "'geojson', 'gpkg' or 'kml' (found 'shapefile')"),
        (("--network-precision", "fp32"), "--network-precision is called --precision now"),
        (("--engine", "dask"), "--engine is called --executor now"),
        (("--box", "8,47,9,48"), "--box is called --within-box now"),
        (("--precision", "0.9"), "to abstain below a confidence of 0.9 write --min-confidence 0.9"),
        (("--precision=.9",), "write --min-confidence .9"),
    ):
        assert _run(monkeypatch, *locate, tmp_path / "out", *words) == 2
        assert sentence in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "out").exists()


def test_how_the_network_computes_can_be_chosen_from_the_shell(
    small_world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    common = ("--model", small_world.model, "--provider", "cpu", "--threads", 1)
    cuda = ("--device", 3, "--gpu-memory", 512, "--tf32", "--cuda-graphs", "--tensorrt")
    locate = ("locate", small_world.photos, "--gallery", small_world.gallery, *common)
    assert _run(monkeypatch, *locate, *cuda, "--precision", "fp32", "-o", tmp_path / "out") == 0
    record = read_record(tmp_path / "out")
    assert record is not None
    options = record.options
    assert options.precision == "fp32"
    assert options.cuda == CudaOptions(device=3, memory_mib=512, tf32=True, graphs=True, tensorrt=True)
    half = (*common, "--precision", "fp16", "-o", tmp_path / "gallery")
    source = ("gallery", "build", small_world.map, "--tile-size", "60m", "--spacing", "60m")
    assert _run(monkeypatch, *source, *half) == 2
    assert "holds no half-precision model" in " ".join(capsys.readouterr().err.split())


def test_views_of_another_kind_are_not_evaluated(
    small_world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of the same pixels, so that nothing else would notice: the recall would be of another question."""
    source = tmp_path / "source"
    source.mkdir()
    rows = []
    for number, (x, y) in enumerate(small_world.truth[["x", "y"]].to_numpy()[:4]):
        left, top = (round((metres - world.TILE_M / 2) / world.PIXEL_M) for metres in (x, y))
        tile = np.ascontiguousarray(small_world.pixels[top : top + 120, left : left + 120])
        (source / f"{number}.jpg").write_bytes(encode_jpeg(tile))
        ground = str(small_world.photos / f"{number:04d}.jpg")
        rows.append((f"p{number}", "test", f"{number}g.jpg", f"{number}.jpg", 48.0, 9.0, 48.0, 9.0, 0.0))
        shutil.copy(ground, source / f"{number}g.jpg")
    write_pairs(source / "pairs.parquet", pd.DataFrame(rows, columns=list(COLUMNS)))
    write_manifest(source, {})
    for size, status in ((60.0, 0), (70.0, 2)):
        views = tmp_path / f"views{size:g}"
        pack(source, views, ViewSpec.polar(height=world.HEIGHT, width=world.WIDTH, tile_size_m=size), threads=1)
        assert _run(monkeypatch, "evaluate", small_world.model, "--views", views, "--provider", "cpu") == status
    said = capsys.readouterr()
    assert "recall_at_1" in said.out and "100.00" in said.out
    assert "nothing says how many metres of ground the tiles behind" in said.err
    assert "tile_size_m=70.0, the model was trained on" in said.err and "tile_size_m=60.0" in said.err


def test_a_tile_size_the_model_was_not_trained_on_is_said(
    small_world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("gallery", "build", small_world.map, "--tile-size", "100m", "-o", tmp_path / "g", "-m", small_world.model)
    assert _run(monkeypatch, *words, "--provider", "cpu", "--threads", 1) == 0
    assert "warning: the model was trained on tiles of 60 m" in capsys.readouterr().out
