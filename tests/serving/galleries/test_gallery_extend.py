"""Galleries that grow, are killed, run out of disk or are built twice at once: whole or unfinished, never a mixture."""

import os
import resource
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from rasterio.transform import from_origin

from aenet.cli import main
from aenet.data.card import read_card
from aenet.data.distance import distance_m, near
from aenet.io.atomic import write_json
from aenet.io.errors import AenetError
from aenet.io.locks import hold
from aenet.serving.galleries.build import GalleryOptions, build_gallery
from aenet.serving.galleries.extend import AddOptions, add_to_gallery
from aenet.serving.galleries.gallery import Gallery
from aenet.serving.report.reportdata import SheetProjection
from aenet.serving.report.reporttext import footer
from aenet.view.images import decode, decode_bytes
from aenet.view.spec import ViewSpec
from tests.support import world
from tests.support.world import World

FAST = {"provider": "cpu", "threads": 1}
WEST, EAST = 450, 260  # columns of the map at which the halves end and begin: they overlap


@pytest.fixture(scope="module")
def halves(small_world: World, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    """The west half's gallery (every 20 m), and the maps of both halves."""
    root = tmp_path_factory.mktemp("halves")
    west = world.write_map(root / "west.tif", small_world.pixels[:, :WEST])
    corner = from_origin(world.EAST + EAST * world.PIXEL_M, world.NORTH, world.PIXEL_M, world.PIXEL_M)
    east = world.write_map(root / "east.tif", small_world.pixels[:, EAST:], transform=corner)
    options = GalleryOptions(spacing_m=20.0, shard_size=50, attribution="West", **FAST)
    build_gallery(west, root / "gallery", small_world.model, options)
    return root / "gallery", west, east


@pytest.fixture
def gallery(halves: tuple[Path, Path, Path], tmp_path: Path) -> Path:
    return shutil.copytree(halves[0], tmp_path / "gallery")


def _open(small: World, folder: Path) -> Gallery:
    return Gallery.open(folder, read_card(small.model))


def test_an_added_source_is_searched_with_the_first(
    small_world: World, halves: tuple[Path, Path, Path], gallery: Path
) -> None:
    before = _open(small_world, gallery)
    summary = add_to_gallery(
        gallery, halves[2], small_world.model, AddOptions(shard_size=50, attribution="East", licence="CC0", **FAST)
    )
    after = _open(small_world, gallery)
    made = after.manifest
    assert summary.added == len(after.tiles) - len(before.tiles) > 50
    assert summary.duplicates == made.duplicates == made.sources[1].duplicates > 0
    assert list(made.shards)[: len(before.manifest.shards)] == list(before.manifest.shards)
    assert after.tiles["tile_id"].is_unique
    np.testing.assert_array_equal(
        np.concatenate(after.descriptors)[: len(before.tiles)], np.concatenate(before.descriptors)
    )
    assert made.credits == ["West", "East - CC0"] and "Imagery: West; East - CC0." in footer(after)
    assert made.coverage[2] > before.manifest.coverage[2] and made.coverage[0] == before.manifest.coverage[0]
    assert made.area_km2 == pytest.approx(made.tiles * 400 / 1e6)
    # A thumbnail of the added part shows the map at its tile's position.
    row = len(after.tiles) - 5
    tile = after.tiles.iloc[row]
    x, y = (round(m / world.PIXEL_M) for m in (tile["easting"] - world.EAST, world.NORTH - tile["northing"]))
    want = small_world.pixels[y - 3 : y + 3, x - 3 : x + 3].reshape(-1, 3).mean(axis=0)
    shown = decode_bytes(after.thumbnail(row), "")
    np.testing.assert_allclose(shown[45:51, 45:51].reshape(-1, 3).mean(axis=0), want, atol=12)


def test_no_two_centres_are_nearer_than_half_a_spacing(
    small_world: World, halves: tuple[Path, Path, Path], gallery: Path
) -> None:
    first = len(_open(small_world, gallery).tiles)
    add_to_gallery(gallery, halves[2], small_world.model, AddOptions(**FAST))
    tiles = _open(small_world, gallery).tiles
    old, new = (part[["latitude", "longitude"]].to_numpy() for part in (tiles[:first], tiles[first:]))
    nearest = [
        distance_m(np.full(len(old), lat), np.full(len(old), lon), old[:, 0], old[:, 1]).min() for lat, lon in new
    ]
    assert min(nearest) >= 9.95


def test_near_is_measured_in_metres() -> None:
    known = np.array([[60.0, 10.0], [-33.0, 179.99999]])
    asked = known[[0, 0, 1, 1]] + np.array(
        [[0.0, 9.9 / 55_800], [0.0, 10.1 / 55_800], [9.9 / 110_900, 0], [10.1 / 110_900, 0]]
    )
    assert near(known, asked, 10.0).tolist() == [True, False, True, False]
    assert near(known, np.array([[-33.0, -179.99999]]), 10.0).tolist() == [True]  # across the antimeridian


@pytest.mark.parametrize(("latitude", "reach"), [(0.0, 10.0), (51.5, 10.0), (-89.9, 10.0), (70.0, 300.0)])
def test_near_is_what_all_distances_say(latitude: float, reach: float) -> None:
    generator = np.random.default_rng(int(reach + abs(latitude)))
    step = 20 * reach / 111_000
    span = np.array([step, min(step / max(np.cos(np.radians(latitude)), 1e-3), 300.0)])
    known, asked = (generator.uniform(-1, 1, (count, 2)) * span + [latitude, 180.0] for count in (400, 300))
    known[:, 1], asked[:, 1] = ((places[:, 1] + 180) % 360 - 180 for places in (known, asked))
    rows, columns = (axis.ravel() for axis in np.mgrid[:300, :400])
    every = distance_m(asked[rows, 0], asked[rows, 1], known[columns, 0], known[columns, 1]).reshape(300, 400)
    want = every.min(axis=1) < reach
    assert 0 < want.sum() < 300
    np.testing.assert_array_equal(near(known, asked, reach), want)


def test_the_same_source_again_adds_nothing(small_world: World, halves: tuple[Path, Path, Path], gallery: Path) -> None:
    for source in (halves[1], halves[2], halves[2]):
        summary = add_to_gallery(gallery, source, small_world.model, AddOptions(**FAST))
    before = (gallery / "manifest.json").read_bytes()
    summary = add_to_gallery(gallery, halves[2], small_world.model, AddOptions(shard_size=70, **FAST))
    assert (summary.computed, summary.added) == (0, 0) and summary.duplicates > 50
    assert (gallery / "manifest.json").read_bytes() == before
    assert any("nothing to add" in line for line in summary.lines())


def test_the_backdrop_grows_with_the_gallery(
    small_world: World, halves: tuple[Path, Path, Path], gallery: Path
) -> None:
    add_to_gallery(gallery, halves[2], small_world.model, AddOptions(**FAST))
    opened = _open(small_world, gallery)
    backdrop = opened.manifest.backdrop
    assert backdrop is not None and [path.name for path in gallery.glob("*.jpg")] == [backdrop.file]
    picture = decode(gallery / backdrop.file)
    for x, y in ((100.0, 100.0), (320.0, 200.0)):  # one place in each half
        latitude, longitude = world.position(x, y)
        column, row = (int(v[0]) for v in SheetProjection(opened)(np.array([latitude]), np.array([longitude])))
        want = small_world.pixels[round(y / world.PIXEL_M), round(x / world.PIXEL_M)].astype(int)
        assert np.abs(picture[row, column] - want).max() < 40


def test_what_does_not_fit_a_gallery_is_not_added(
    small_world: World, halves: tuple[Path, Path, Path], gallery: Path, tmp_path: Path
) -> None:
    east, before = halves[2], (gallery / "manifest.json").read_bytes()
    other = world.make_model(tmp_path / "other", seed=1)
    with pytest.raises(AenetError, match=r"embedded by model \w{12}, the model given is \w{12}"):
        add_to_gallery(gallery, east, other, AddOptions(**FAST))
    card = read_card(small_world.model)
    wide = shutil.copytree(small_world.model, tmp_path / "wide")
    view = ViewSpec.polar(height=world.HEIGHT, width=world.WIDTH, tile_size_m=50.0)
    write_json(wide / "model.json", card.model_copy(update={"view": view}).model_dump(mode="json"))
    with pytest.raises(AenetError, match=r"views .*tile_size_m=60\.0.*tile_size_m=50\.0"):
        add_to_gallery(gallery, east, wide, AddOptions(**FAST))
    with pytest.raises(AenetError, match=r"tiles of 60 m, 50 m were asked for"):
        add_to_gallery(gallery, east, small_world.model, AddOptions(tile_size_m=50.0, **FAST))
    table = tmp_path / "t.csv"
    table.write_text("path,latitude,longitude\na.png,47.85,9.0\n")
    with pytest.raises(AenetError, match=r"tiles on a grid, .* brings tiles with positions of their own"):
        add_to_gallery(gallery, table, small_world.model, AddOptions(**FAST))
    with pytest.raises(AenetError, match="not a finished gallery"):
        add_to_gallery(tmp_path / "none", east, small_world.model, AddOptions(**FAST))
    assert not (tmp_path / "none").exists()
    assert (gallery / "manifest.json").read_bytes() == before


ADD = (
    "import sys; from pathlib import Path; from aenet.serving.galleries.extend import *;"
    "g, s, m = map(Path, sys.argv[1:]);"
    "add_to_gallery(g, s, m, AddOptions(shard_size=40, provider='cpu', threads=1))"
)


def test_a_killed_addition_leaves_the_gallery_as_it_was_and_goes_on(
    small_world: World, halves: tuple[Path, Path, Path], gallery: Path, tmp_path: Path
) -> None:
    before, east = (gallery / "manifest.json").read_bytes(), halves[2]
    numbers = len(_open(small_world, gallery).manifest.shards)
    first = gallery / f"shard-{numbers:05d}" / "manifest.json"
    stamps = []
    for event, end, moved in (
        ("os.rename", "plan-add.json", False),
        ("os.rename", f"shard-{numbers + 1:05d}", False),
        ("os.rename", "gallery/manifest.json", False),
        ("os.remove", "plan-add.json", True),
    ):
        arguments = (event, end, str(gallery), str(east), str(small_world.model))
        ran = subprocess.run([sys.executable, "-c", world.KILL_AT + ADD, *arguments], check=False)
        assert ran.returncode == -signal.SIGKILL
        assert ((gallery / "manifest.json").read_bytes() != before) == moved
        _open(small_world, gallery)
        if first.exists():
            stamps.append(first.stat().st_mtime_ns)
        if end.startswith("shard"):
            with pytest.raises(AenetError, match=r"unfinished addition of .*east\.tif.*`overwrite`"):
                add_to_gallery(gallery, east, small_world.model, AddOptions(shard_size=41, **FAST))
    assert len(stamps) == 3 and len(set(stamps)) == 1  # what was finished was not computed again
    assert add_to_gallery(gallery, east, small_world.model, AddOptions(shard_size=40, **FAST)).computed == 0
    straight = shutil.copytree(halves[0], tmp_path / "straight")
    add_to_gallery(straight, east, small_world.model, AddOptions(shard_size=40, **FAST))
    assert (gallery / "manifest.json").read_bytes() == (straight / "manifest.json").read_bytes()
    assert sorted(path.name for path in gallery.iterdir()) == sorted(path.name for path in straight.iterdir())


def test_an_unfinished_addition_can_be_given_up(
    small_world: World, halves: tuple[Path, Path, Path], gallery: Path
) -> None:
    moment = ("os.rename", f"shard-{len(_open(small_world, gallery).manifest.shards) + 1:05d}")
    arguments = (*moment, str(gallery), str(halves[2]), str(small_world.model))
    subprocess.run([sys.executable, "-c", world.KILL_AT + ADD, *arguments], check=False)
    add_to_gallery(gallery, halves[2], small_world.model, AddOptions(shard_size=41, overwrite=True, **FAST))
    assert {path.name for path in gallery.glob("shard-*")} == set(_open(small_world, gallery).manifest.shards)


def test_kills_at_random_moments(small_world: World) -> None:
    script = Path(__file__).parents[3] / "benchmarks" / "kill_gallery.py"
    words = [sys.executable, str(script), "3", "--map", str(small_world.map), "--model", str(small_world.model)]
    ran = subprocess.run([*words, "--shard-size", "15"], check=False, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "none torn, all equal" in ran.stdout


def test_a_full_disk_is_said_and_tears_nothing(
    small_world: World, halves: tuple[Path, Path, Path], gallery: Path, tmp_path: Path
) -> None:
    """No file may grow beyond a limit, that is what a full disk looks like; then there is room again."""
    before = (gallery / "manifest.json").read_bytes()
    build = (
        "import sys; from pathlib import Path; from aenet.serving.galleries.build import *;"
        "o, s, m = map(Path, sys.argv[1:]);"
        "build_gallery(s, o, m, GalleryOptions(spacing_m=20.0, provider='cpu', threads=1))"
    )
    for limit in (0, 5_000, 60_000):
        for code, folder in ((ADD, gallery), (build, tmp_path / "new")):
            wrapped = "from aenet.io.errors import AenetError\ntry:\n    " + code
            wrapped += "\nexcept AenetError as error:\n    sys.exit(str(error))"
            ran = subprocess.run(
                [sys.executable, "-c", wrapped, str(folder), str(halves[2]), str(small_world.model)],
                check=False,
                capture_output=True,
                text=True,
                preexec_fn=lambda limit=limit: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
                env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
            )
            assert ran.returncode == 1 and "cannot be written" in ran.stderr, (limit, ran.stderr)
            assert "Traceback" not in ran.stderr
        assert (gallery / "manifest.json").read_bytes() == before
        _open(small_world, gallery)
        assert not (tmp_path / "new" / "manifest.json").exists()
    add_to_gallery(gallery, halves[2], small_world.model, AddOptions(shard_size=40, **FAST))
    build_gallery(halves[2], tmp_path / "new", small_world.model, GalleryOptions(spacing_m=20.0, **FAST))
    for folder in (gallery, tmp_path / "new"):
        _open(small_world, folder)
        assert not [path for path in folder.iterdir() if path.name.endswith(".tmp")]


def test_a_second_run_on_the_same_gallery_is_refused(
    small_world: World, halves: tuple[Path, Path, Path], gallery: Path
) -> None:
    before = (gallery / "manifest.json").read_bytes()
    with hold(gallery / ".lock", "the test"):
        with pytest.raises(AenetError, match=r"in use by another run \(process \d+\)"):
            add_to_gallery(gallery, halves[2], small_world.model, AddOptions(**FAST))
        with pytest.raises(AenetError, match=r"in use by another run \(process \d+\)"):
            build_gallery(halves[2], gallery, small_world.model, GalleryOptions(overwrite=True, **FAST))
    assert (gallery / "manifest.json").read_bytes() == before


def test_two_builds_at_once_give_one_gallery(
    small_world: World, halves: tuple[Path, Path, Path], tmp_path: Path
) -> None:
    """Of two maps into one folder: one is refused, and what stands is wholly of the other."""
    code = (
        "import sys; from pathlib import Path; from aenet.serving.galleries.build import *;"
        "from aenet.io.errors import AenetError\n"
        "s, o, m = map(Path, sys.argv[1:])\n"
        "try: build_gallery(s, o, m, GalleryOptions(spacing_m=10.0, shard_size=20, provider='cpu', threads=1))\n"
        "except AenetError as error: sys.exit(str(error))"
    )
    out = tmp_path / "gallery"
    both = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(source), str(out), str(small_world.model)],
            stderr=subprocess.PIPE,
            text=True,
        )
        for source in halves[1:]
    ]
    said = [process.communicate()[1] for process in both]
    assert sorted(process.returncode for process in both) == [0, 1], said
    assert "in use by another run" in "".join(said) or "other inputs" in "".join(said)
    winner = halves[1 + [process.returncode for process in both].index(0)]
    assert _open(small_world, out).manifest.source == winner.name


def test_info_and_add_from_the_shell(
    small_world: World,
    halves: tuple[Path, Path, Path],
    gallery: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def run(*words: object) -> int:
        monkeypatch.setattr("sys.argv", ["aenet", "gallery", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            main()
        return int(ended.value.code or 0)

    words = ("--model", small_world.model, "--provider", "cpu", "--threads", 1)
    assert run("add", gallery, halves[2], "--licence", "CC0", *words) == 0
    assert "left out because the gallery has them" in capsys.readouterr().out
    assert run("info", gallery) == 0
    said = " ".join(capsys.readouterr().out.split())
    for part in (
        "8.0 m median",
        "km2 in 9.",
        "full float32 384 bytes a tile, 0.00096 GB a km2",
        "left out: the gallery had them",
        "west.tif (raster)",
    ):
        assert part in said, part
    assert "attribution: West" in said and "licence: CC0" in said
    assert run("add", gallery, halves[2], "--tile-size", "50m", *words) == 2
    assert "60 m, 50 m" in capsys.readouterr().err
    assert run("info", gallery / "none") == 2
