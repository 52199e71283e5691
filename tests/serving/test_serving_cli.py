"""The commands as a shell sees them: what they print and the status they end with."""

import shutil
from pathlib import Path

import pytest
from serving.world import World

from aenet.cli import main


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


def test_a_tile_size_the_model_was_not_trained_on_is_said(
    small_world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("gallery", "build", small_world.map, "--tile-size", "100m", "-o", tmp_path / "g", "-m", small_world.model)
    assert _run(monkeypatch, *words, "--provider", "cpu", "--threads", 1) == 0
    assert "warning: the model was trained on tiles of 60 m" in capsys.readouterr().out
