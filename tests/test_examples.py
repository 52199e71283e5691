"""Each example runs as it says, on something small."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from aenet.view.images import encode_jpeg
from tests.support import world
from tests.support.training_project import new_project

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))


def _run(name: str, folder: Path, *words: object) -> str:
    command = [sys.executable, str(ROOT / "examples" / name), *map(str, words)]
    environment = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "HOME": str(folder), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_is_short_and_tried(example: Path) -> None:
    lines = [line for line in example.read_text().splitlines() if line.strip()]
    assert 8 <= len(lines) <= 30
    assert f'_run("{example.name}"' in Path(__file__).read_text()


def test_locate_ten_photos(tmp_path: Path) -> None:
    pixels = world.make_pixels()
    town = world.write_map(tmp_path / "town.tif", pixels)
    world.make_model(tmp_path / "models" / "onnx")
    world.take_photos(tmp_path / "photos", pixels, 11)
    said = _run("locate_ten_photos.py", tmp_path, town, tmp_path / "photos").splitlines()
    assert len(said) == 10 and all("% sure within 25 m" in line for line in said)
    assert (tmp_path / "places.geojson").stat().st_size > 1000


def test_the_readmes_python_runs(tmp_path: Path) -> None:
    (block,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), flags=re.DOTALL)
    pixels = world.make_pixels()
    world.write_map(tmp_path / "ORTHOPHOTO.tif", pixels)
    world.make_model(tmp_path / "models" / "onnx")
    for number, row in enumerate(world.take_photos(tmp_path, pixels, 2).itertuples()):
        (tmp_path / str(row.path)).rename(tmp_path / f"{'ab'[number]}.jpg")
    (tmp_path / "block.py").write_text(block + "print(places['status'].tolist(), len(gallery) > 0)\n")
    assert _run(str(tmp_path / "block.py"), tmp_path) == "['ok', 'ok'] True\n"


def test_train_ten_minutes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a preset of its own, in the folder it is started in, that is tiny."""
    from ruamel.yaml import YAML

    project = new_project(tmp_path, monkeypatch)
    (project / "presets").mkdir()
    yaml = YAML(typ="safe", pure=True)
    yaml.dump(yaml.load((project / "params.yaml").read_text()), project / "presets" / "town.yaml")
    said = _run("train_ten_minutes.py", project, "data/views")
    assert said.count("validation MRR") == 4 and "best.safetensors" in said
    assert (project / "models" / "mine" / "model.json").exists()


def test_evaluate_two_arrays(tmp_path: Path) -> None:
    for name, array in (("g", np.eye(3) * 7), ("t", np.eye(3)), ("truth", np.arange(3))):
        np.save(tmp_path / f"{name}.npy", array)
    said = _run("evaluate_two_arrays.py", tmp_path, "g.npy", "t.npy", "truth.npy")
    assert said.startswith("R@1 100.0 %, R@5 100.0 %, median rank 1\n")


def test_compare_two_models(tmp_path: Path) -> None:
    pixels, side = world.make_pixels(), round(world.TILE_M / world.PIXEL_M)
    truth = world.take_photos(tmp_path, pixels, 5)
    for row in truth.itertuples():
        top, left = (round(at / world.PIXEL_M - side / 2) for at in (row.y, row.x))
        tile = np.ascontiguousarray(pixels[top : top + side, left : left + side])
        (tmp_path / f"t{row.path}").write_bytes(encode_jpeg(tile))
    pd.DataFrame({"ground": truth["path"], "aerial": "t" + truth["path"]}).to_csv(tmp_path / "pairs.csv", index=False)
    models = [world.make_model(tmp_path / name, seed) for seed, name in enumerate(("a", "b"))]
    said = _run("compare_two_models.py", tmp_path, "pairs.csv", *models).splitlines()
    assert len(said) == 2 and all("R@1 100.0 %, median rank 1 of 5" in line for line in said)
