"""The doors take what people have at hand, give what the commands give, and refuse in sentences about arguments."""

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import geopandas
import numpy as np
import pytest

import aenet
from aenet.data.distance import distance_m
from aenet.io.errors import CorruptArtifact
from aenet.serving.jobs.job import LocateOptions
from aenet.serving.jobs.outputs import read_places
from aenet.serving.localize import locate as run_job
from aenet.view.images import decode
from tests.support import world
from tests.support.world import World

ROOT = Path(__file__).resolve().parents[2]
PIPELINE = [
    "torch", "torchvision", "timm", "accelerate", "safetensors", "onnx", "onnxscript", "dvc", "mlflow", "prefect",
    "fastapi", "sqlalchemy", "filelock", "matplotlib", "plotly", "psutil", "scipy",
]  # fmt: skip


@pytest.fixture(scope="module")
def model(small_world: World) -> aenet.Model:
    return aenet.load_model(small_world.model, provider="cpu", threads=1)


def _python(program: str, *words: object) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-c", program, *map(str, words)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_importing_aenet_imports_no_library() -> None:
    program = (
        "import json, sys, aenet\n"
        "print(json.dumps([sorted(dir(aenet)), [name for name in sys.argv[1:] if name in sys.modules]]))"
    )
    done = _python(program, *PIPELINE, "onnxruntime", "numpy", "pandas", "geopandas", "cv2", "pydantic", "typer")
    names, loaded = json.loads(done.stdout)
    assert loaded == []
    assert set(names) >= {"load_model", "Gallery", "locate", "evaluate", "train", "AenetError", "__version__"}


def test_a_name_that_is_no_door_is_refused() -> None:
    with pytest.raises(AttributeError, match=r"no attribute 'localise'; it offers .*locate"):
        aenet.localise  # noqa: B018  # pyright: ignore
    assert set(aenet.__all__) <= set(dir(aenet)) and all(hasattr(aenet, name) for name in aenet.__all__)


def test_the_types_are_announced() -> None:
    """Without the marker in the wheel no type checker looks at them."""
    data = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]["aenet"]
    assert "py.typed" in data and (ROOT / "aenet" / "py.typed").exists()


def test_the_base_install_locates(small_world: World, tmp_path: Path) -> None:
    """In an interpreter that has nothing of the pipeline's extra."""
    program = (
        "import sys\n"
        f"sys.modules.update(dict.fromkeys({PIPELINE!r}))\n"
        "import aenet\n"
        "town, folder, photos, out = sys.argv[1:]\n"
        "model = aenet.load_model(folder, provider='cpu', threads=1)\n"
        "gallery = aenet.Gallery.build(town, model, out + '/gallery', spacing=40)\n"
        "places = aenet.locate(photos, gallery, model, out + '/out', thumbnails=1)\n"
        "print((places['status'] == 'ok').sum(), len(places))\n"
        "try:\n    aenet.train('views')\nexcept aenet.AenetError as error:\n    print(error)\n"
    )
    done = _python(program, small_world.map, small_world.model, small_world.photos, tmp_path)
    assert done.stdout.startswith("12 12\n`aenet.train` needs torch, timm"), done.stderr[-2000:]


def test_paths_and_lists_of_any_kind_are_taken(small_world: World, model: aenet.Model, tmp_path: Path) -> None:
    files = sorted(small_world.photos.glob("*.jpg"))[:3]
    expected = model.ground.embed(files)
    assert expected.shape == (3, 96) and expected.dtype == np.float32
    for given in (tuple(map(str, files)), [str(files[0]), *files[1:]], iter(files), np.array(list(map(str, files)))):
        np.testing.assert_array_equal(model.ground.embed(given), expected)
    np.testing.assert_array_equal(model.ground.embed(files[0]), expected[:1])
    np.testing.assert_array_equal(model.ground.embed(str(small_world.photos))[:3], expected)
    pixels = [decode(file) for file in files]
    np.testing.assert_allclose(model.ground.embed(pixels), expected, atol=1e-6)
    np.testing.assert_allclose(model.ground.embed(np.stack(pixels)), expected, atol=1e-6)
    np.testing.assert_allclose(model.ground.embed(pixels[0]), expected[:1], atol=1e-6)


def test_a_tile_finds_the_panorama_taken_at_its_centre(small_world: World, model: aenet.Model, tmp_path: Path) -> None:
    """Tiles cut by hand around the photos' true places; views of the model's own size are taken as they are."""
    side = round(world.TILE_M / world.PIXEL_M)
    corners = [
        (round(row.y / world.PIXEL_M - side / 2), round(row.x / world.PIXEL_M - side / 2))
        for row in small_world.truth.itertuples()
    ]
    tiles = [np.ascontiguousarray(small_world.pixels[top : top + side, left : left + side]) for top, left in corners]
    aerial = model.aerial.embed(tiles)
    ground = model.ground.embed(small_world.photos)
    assert aenet.evaluate(ground, aerial, range(12))["recall_at_1"] == 100
    views = np.random.default_rng(0).integers(0, 256, (2, world.HEIGHT, world.WIDTH, 3), dtype=np.uint8)
    np.testing.assert_array_equal(model.aerial.embed(views), model.aerial.network.embed(views))
    np.testing.assert_array_equal(model.ground.embed(views), model.ground.network.embed(views))


def test_locate_gives_the_rows_of_the_job(small_world: World, model: aenet.Model, tmp_path: Path) -> None:
    """In memory, as a job, and by the library's own job: the same places, and one row a photo in the given order."""
    gallery = aenet.Gallery.open(str(small_world.gallery))
    files = sorted(small_world.photos.glob("*.jpg"))[::-1]
    places = aenet.locate(files, gallery, model, near=(48.0, 9.0), within=900_000.0, refine=True)
    assert isinstance(places, geopandas.GeoDataFrame) and places.crs == "EPSG:4326"
    assert places["photo"].tolist() == [str(file) for file in files]
    truth = small_world.truth.iloc[::-1]
    away = distance_m(*(frame[name].to_numpy() for frame in (truth, places) for name in ("latitude", "longitude")))
    assert np.median(away) < 15
    assert places.geometry.x.tolist() == places["longitude"].tolist()
    words: Any = {"near": "48,9", "within": "900km", "refine": True}
    job = aenet.locate([str(file) for file in files], gallery, model, tmp_path / "out", **words)
    assert job.drop(columns="geometry").equals(places.drop(columns="geometry"))
    found = aenet.locate(files, str(small_world.gallery), str(small_world.model), str(tmp_path / "out"), **words)
    assert found["photo_sha256"].tolist() == places["photo_sha256"].tolist()
    run_job(str(small_world.photos), small_world.gallery, small_world.model, tmp_path / "job",
            LocateOptions(provider="cpu", threads=1, refine=True))  # fmt: skip
    plain = read_places(tmp_path / "job" / "places.parquet").iloc[::-1]
    assert plain["latitude"].tolist() == places["latitude"].tolist()


def test_another_list_of_as_many_photos_is_another_job(small_world: World, model: aenet.Model, tmp_path: Path) -> None:
    files, out = sorted(small_world.photos.glob("*.jpg")), tmp_path / "out"
    first = aenet.locate(files[:2], small_world.gallery, model, out, shard_size=1)
    (out / "_SUCCESS").unlink()  # as a killed job leaves it
    assert aenet.locate(files[:2], small_world.gallery, model, out, shard_size=1).equals(first)
    (out / "_SUCCESS").unlink()
    with pytest.raises(aenet.AenetError, match=r"another job \(its photos were a list of 2 photos .*`overwrite`"):
        aenet.locate(files[2:4], small_world.gallery, model, out, shard_size=1)
    again = aenet.locate(files[2:4], small_world.gallery, model, out, shard_size=1, overwrite=True)
    assert again["photo"].tolist() == [str(file) for file in files[2:4]]


def test_a_photo_that_cannot_be_read_is_a_row_and_to_embed_it_an_error(
    small_world: World, model: aenet.Model, tmp_path: Path
) -> None:
    gone = tmp_path / "gone.jpg"
    files = [small_world.photos / "0000.jpg", gone]
    places = aenet.locate(files, small_world.gallery, model)
    assert places["status"].tolist() == ["ok", "error"] and places.geometry.isna().tolist() == [False, True]
    with pytest.raises(aenet.AenetError, match=r"gone\.jpg: "):
        model.ground.embed(files)


def test_a_gallery_is_built_from_words_or_numbers(small_world: World, model: aenet.Model, tmp_path: Path) -> None:
    west, south, east, north = aenet.Gallery.open(small_world.gallery).manifest.coverage
    box = (west, south, (west + east) / 2, north)
    built = aenet.Gallery.build(str(small_world.map), model, str(tmp_path / "g"), "60m", "0.04km", within_box=box)
    same = aenet.Gallery.build(
        small_world.map, small_world.model, tmp_path / "g", 60.0, 40.0,
        within_box=",".join(str(edge) for edge in box),
    )  # fmt: skip
    assert built.summary and built.summary.computed == 1 and same.summary and same.summary.computed == 0
    assert len(built) == len(built.tiles) == built.manifest.tiles and (built.tiles["longitude"] <= box[2]).all()
    assert built.manifest.spacing_m == 40
    grown = built.add(small_world.map, model)
    assert len(grown) > len(built) and len(aenet.Gallery.open(tmp_path / "g").tiles) == len(grown)


# Written as a user writes them, and run in an interpreter of their own, in which nobody else checks types.
REFUSED = {
    "aenet.load_model([folder, folder])": "`path` takes one path, a list of 2 was given",
    "aenet.load_model(3)": r"`path` takes a path \(str or Path\), a int was given",
    "aenet.load_model(folder, provider='tpu')": "load_model: 'options.provider': .*found 'tpu'",
    "aenet.load_model(folder, precision=0.9)": "to abstain below a confidence of 0.9 use `min_confidence`",
    "aenet.Gallery.build(town, model, 'g', spacing='20px')": "`spacing` '20px' is not a length",
    "aenet.Gallery.build([town], model, 'g')": "`map` takes one path, a list of 1",
    "aenet.Gallery.build(town, model, 'g', within_box='1,2')": "`within_box` '1,2' is not WEST",
    "aenet.Gallery.build(town, model, 'g', dtype='int8')": "Gallery.build: 'options.dtype': .*found 'int8'",
    "aenet.locate([], gallery, model)": "`photos` is an empty list",
    "aenet.locate(pandas.DataFrame({'path': []}), gallery, model)": "`photos` takes a path .* a DataFrame was given",
    "aenet.locate(numpy.zeros(3), gallery, model)": "`photos` takes paths, an array of float64 was given",
    "aenet.locate(['a', 3], gallery, model)": r"`photos\[1\]` takes a path",
    "aenet.locate(photos, gallery, model, box='1,2,3,4')": "`box` is called `within_box` now",
    "aenet.locate(photos, gallery, model, topk=3)": "unknown key 'options.topk' .*'top_k'",
    "aenet.locate(photos, gallery, model, within=5)": "`within` is the radius around `near`",
    "aenet.locate(photos, gallery, model, near=(48, 9), within=30e6)": "no distance on Earth",
    "aenet.locate(photos, gallery, model, fov=70, heading='south')": "'options.heading': .*found 'south'",
    "model.ground.embed(numpy.zeros((4, 8, 3)))": r"`photos\[0\]` is no image: .* found float64 \(4, 8, 3\)",
    "model.ground.embed([numpy.zeros((4, 8, 3), 'uint8'), 'a.jpg'])": r"`photos\[1\]` is no image: .* found str",
    "model.aerial.embed(photos + '/0000.jpg')": r"0000\.jpg: a satellite tile must be square",
    "aenet.evaluate([[1.0, 0.0]], [[1.0, 0.0]], [0.5])": "`truth` must name one row .* found float64",
    "aenet.evaluate([[1, 0]], [[1.0, 0.0]], [0])": "`ground` must be descriptors",
}


@pytest.fixture(scope="module")
def said(small_world: World) -> dict[str, str]:
    """What is said to each of REFUSED."""
    program = (
        "import json, sys, aenet, numpy, pandas\n"
        "town, folder, gallery, photos = sys.argv[1:5]\n"
        "model, said = aenet.load_model(folder, provider='cpu', threads=1), {}\n"
        "for call in sys.argv[5:]:\n"
        "    try:\n        eval(call)\n"
        "    except aenet.AenetError as error:\n        said[call] = str(error)\n"
        "print(json.dumps(said))"
    )
    done = _python(program, small_world.map, small_world.model, small_world.gallery, small_world.photos, *REFUSED)
    assert done.returncode == 0, done.stderr[-2000:]
    found: dict[str, str] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize(("call", "sentence"), REFUSED.items())
def test_what_cannot_be_is_said_of_the_argument(said: dict[str, str], call: str, sentence: str) -> None:
    assert re.search(sentence, said[call])


def test_a_trained_model_is_not_taken_for_an_exported_one(tmp_path: Path) -> None:
    (tmp_path / "best.safetensors").write_bytes(b"")
    with pytest.raises(aenet.AenetError, match="a trained model that was not exported"):
        aenet.load_model(tmp_path)


def test_a_damaged_model_is_refused_when_it_is_loaded(small_world: World, tmp_path: Path) -> None:
    folder = world.make_model(tmp_path / "model")
    (folder / "aerial.onnx").write_bytes((folder / "ground.onnx").read_bytes() + b"\0")
    with pytest.raises(CorruptArtifact, match=r"aerial\.onnx has SHA-256"):
        aenet.load_model(folder)


def test_the_commands_say_arguments_as_options() -> None:
    import typer

    from aenet.cli import app
    from aenet.commands.flags import dashed, option_names

    names = option_names(typer.main.get_command(app))
    said = "give `tile_size` 70m, or `overwrite`; run `dvc repro`, and see `champion`"
    assert dashed(said, names) == "give --tile-size 70m, or --overwrite; run `dvc repro`, and see `champion`"
