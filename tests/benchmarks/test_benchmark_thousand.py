"""`benchmarks/thousand.py` on a small town: its photos are held out and truly turned, and its figures are the jobs'."""

import importlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pyproj import Transformer

from aenet.io.errors import AenetError
from aenet.serving.jobs.outputs import read_places
from aenet.town.config import Panorama, Places, TownConfig
from aenet.town.dataset import EPSG, TownFrame, generate
from aenet.town.materials import Scene
from aenet.town.panorama import render_panorama
from aenet.town.town import districts, raise_town
from aenet.view import images
from tests.support import world
from tests.support.closure import ROOT

COUNT = 20  # more than twice the town's own test places
TOWN = TownConfig(
    width_m=400.0, height_m=300.0, resolution_m=0.5, spacing_m=4.0, places=Places(train=14, val=4, test=8),
    panorama=Panorama(height=64, width=256),
)  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project's folder in which the benchmark has run."""
    folder = tmp_path_factory.mktemp("project")
    generate(TOWN, folder / "data" / "raw")
    world.make_model(folder / "models" / "onnx")
    script = str(ROOT / "benchmarks" / "thousand.py")
    words = ["--folder", folder, "--count", COUNT, "--spacing", "20m", "--provider", "cpu", "--threads", 1]
    ran = subprocess.run(
        [sys.executable, script, *map(str, words)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    (folder / "said.md").write_text(ran.stdout)
    return folder


def test_photos_are_of_the_test_district_and_look_where_the_table_says(folder: Path) -> None:
    photos = pd.read_csv(folder / "demo" / "thousand" / "photos" / "photos.csv")
    easting, northing = Transformer.from_crs(4326, EPSG, always_xy=True).transform(
        photos["longitude"].to_numpy(), photos["latitude"].to_numpy()
    )
    frame = TownFrame.of(TOWN.width_m, TOWN.height_m)
    x, y = easting - frame.west, frame.north - northing
    (strip,) = [strip for strip in districts(TOWN) if strip.split == 2]
    assert len(photos) == COUNT and ((x > strip.west) & (x < strip.east)).all()
    assert photos["heading"].nunique() > COUNT / 2
    town = raise_town(TOWN)
    scene = Scene.of(TOWN, town.layers, town.houses, town.slots)
    for number in (0, 7):
        turned = images.decode(folder / "demo" / "thousand" / "photos" / photos["path"][number])
        north = np.roll(turned, round(photos["heading"][number] / 360 * turned.shape[1]), axis=1)
        seen, _ = render_panorama(scene, float(x[number]), float(y[number]), TOWN.places.total + number)
        assert np.abs(north.astype(int) - seen).mean() < np.abs(turned.astype(int) - seen).mean() / 2


def test_figures_are_those_of_the_jobs(folder: Path) -> None:
    said, out = (folder / "said.md").read_text(), folder / "demo" / "thousand"
    errors = read_places(out / "places" / "places.parquet")["error_m"]
    refined = read_places(out / "refined" / "places.parquet")["error_m"]
    assert f"| within 25 m | {(errors <= 25).mean():.1%} | {(refined <= 25).mean():.1%} | 100.0% |" in said
    assert f"| median error | {errors.median():,.1f} m | {refined.median():,.1f} m | 8.0 m |" in said
    reach = f"| within 14.1 m, the floor's reach | {(errors <= 20 / np.sqrt(2)).mean():.1%} |"
    assert reach in said
    summary = json.loads((out / "places" / "summary.json").read_text())
    assert f"Off by {summary['calibration_error']:.1%} on average" in said
    assert f"| 100% | {summary['risk_coverage'][-1][1]:.1%} |" in said
    assert "heading" in said.lower() and f"# {COUNT} town photos" in said


def test_photos_once_taken_are_kept(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    photograph = importlib.import_module("townphotos").photograph
    photos = folder / "demo" / "thousand" / "photos"
    taken = {path.name: path.stat().st_mtime_ns for path in photos.iterdir()}
    assert photograph(folder / "data" / "raw", photos, COUNT) == photos / "photos.csv"
    assert {path.name: path.stat().st_mtime_ns for path in photos.iterdir()} == taken
    with pytest.raises(AenetError, match="no town's data set"):
        photograph(photos, folder / "others", COUNT)
