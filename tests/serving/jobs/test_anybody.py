"""Anybody's photos: of unknown heading, of part of the horizon, near a place; how sure an answer is; the next night."""

import math
import re
import shutil
from pathlib import Path

import geopandas
import numpy as np
import pandas as pd
import pytest

from aenet.io.errors import AenetError
from aenet.serving.jobs.outputs import read_places
from aenet.serving.jobs.summary import far_lines, metres_away
from aenet.serving.localize import LocateOptions, NothingNew, locate, plan, run_shard
from aenet.serving.search.prior import Box, Near, OwnGps
from aenet.view.images import encode_jpeg
from tests.support import world
from tests.support.world import World

OPTIONS = LocateOptions(provider="cpu", threads=1, decoders=1, shard_size=8, thumbnails=0)
HEADINGS = np.linspace(0, 330, 12)


def _places(out: Path) -> pd.DataFrame:
    return read_places(out / "places.parquet").set_index("photo")


def _locate(small: World, photos: Path, out: Path, **changes: object) -> pd.DataFrame:
    locate(photos, small.gallery, small.model, out, OPTIONS.model_copy(update=changes))
    return _places(out)


@pytest.fixture(scope="module")
def turned(small_world: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The world's photos, each headed elsewhere: panoramas, their middle halves, and a table that knows."""
    folder = tmp_path_factory.mktemp("turned")
    rows = []
    for number, heading in enumerate(HEADINGS):
        upright = world.panorama(small_world.pixels, *small_world.truth.loc[number, ["x", "y"]])
        pixels = np.roll(upright, -round(heading / 360 * upright.shape[1]), axis=1)
        (folder / f"{number:02d}.jpg").write_bytes(encode_jpeg(pixels, 95))
        (folder / f"half{number:02d}.jpg").write_bytes(encode_jpeg(np.ascontiguousarray(pixels[:, 64:192]), 95))
        place = dict(
            zip(("latitude", "longitude"), small_world.truth.loc[number, ["latitude", "longitude"]], strict=True)
        )
        rows.append({"path": f"{number:02d}.jpg", "heading": heading, "fov": 360, **place})
        rows.append({"path": f"half{number:02d}.jpg", "heading": heading, "fov": 180, **place})
    pd.DataFrame(rows).to_csv(folder / "photos.csv", index=False)
    return folder


def test_unknown_headings_are_found_with_the_places(small_world: World, turned: Path, tmp_path: Path) -> None:
    options = OPTIONS.model_copy(update={"heading": "unknown"})
    summary = locate(turned / "photos.csv", small_world.gallery, small_world.model, tmp_path / "out", options)
    whole = _places(tmp_path / "out").filter(regex=r"^\d", axis=0)
    assert set(whole["heading_from"]) == {"matched"} and whole["error_m"].median() < 12
    right = whole["error_m"] < 15
    off = np.abs((whole["heading_deg"] - HEADINGS + 180) % 360 - 180)
    assert right.sum() >= 10 and off[right].max() < 22.5  # half a column of the map
    assert np.median(off[right]) < 8
    assert summary.median_heading_error_deg is not None and summary.median_heading_error_deg < 12


def test_known_headings_and_halves_are_taken_as_told(small_world: World, turned: Path, tmp_path: Path) -> None:
    places = _locate(small_world, turned / "photos.csv", tmp_path / "out")
    assert set(places["status"]) == {"ok"} and set(places["heading_from"]) == {"table"}
    whole, half = (places.filter(regex=pattern, axis=0) for pattern in (r"^\d", "^half"))
    assert whole["heading_deg"].to_numpy() == pytest.approx(HEADINGS) and whole["error_m"].max() < 15
    assert half["error_m"].median() < 15
    assert (half["confidence"].to_numpy() < whole["confidence"].to_numpy()).mean() > 0.7  # half says less


def test_photos_without_a_heading_are_matched_or_taken_to_look_north(
    small_world: World, turned: Path, tmp_path: Path
) -> None:
    auto = _locate(small_world, small_world.photos, tmp_path / "auto")
    assert set(auto["heading_from"]) == {"matched"} and auto["error_m"].median() < 12
    north = _locate(small_world, small_world.photos, tmp_path / "north", heading="north")
    assert set(north["heading_from"]) == {"assumed north"} and (north["heading_deg"] == 0).all()


def test_a_model_without_a_map_turns_the_photo_and_refuses_parts(
    small_world: World, turned: Path, tmp_path: Path
) -> None:
    model = shutil.copytree(small_world.model, tmp_path / "model")
    world.write_card(model, 96)
    table = pd.read_csv(turned / "photos.csv")
    table["path"] = [str(turned / name) for name in table["path"]]
    table.to_csv(tmp_path / "photos.csv", index=False)
    options = OPTIONS.model_copy(update={"heading": "unknown"})
    locate(tmp_path / "photos.csv", small_world.gallery, model, tmp_path / "out", options)
    places = _places(tmp_path / "out")
    half = places["reason"].notna()
    assert half.sum() == 12 and places.loc[half, "reason"].str.contains("covers 180 of 360 degrees").all()
    whole = places[~half]
    assert whole["error_m"].median() < 15 and whole["confidence"].isna().all()
    off = np.abs((whole["heading_deg"] - HEADINGS + 180) % 360 - 180)
    assert np.median(off) < 12
    with pytest.raises(AenetError, match="`min_confidence` needs confidences"):
        plan(turned, small_world.gallery, model, tmp_path / "b", OPTIONS.model_copy(update={"min_confidence": 0.9}))


def test_priors_restrict_the_tiles(small_world: World, tmp_path: Path) -> None:
    free = _locate(small_world, small_world.photos, tmp_path / "free", heading="north")
    truth = small_world.truth.set_index("path")
    own = _locate(small_world, small_world.photos, tmp_path / "own", heading="north", prior=OwnGps(radius_m=40.0))
    assert (own["latitude"] == free["latitude"]).all() and np.allclose(own["score"], free["score"], atol=1e-6)
    assert (own["confidence"] >= free["confidence"] - 1e-9).all()  # fewer rivals
    first = truth.iloc[0]
    near = Near(latitude=first["latitude"], longitude=first["longitude"], radius_m=30.0)
    there = _locate(small_world, small_world.photos, tmp_path / "near", prior=near)
    assert there["error_m"].iloc[0] < 15 and there["latitude"].nunique() <= 13  # tiles within 30 m at 15 m spacing
    box = Box(west=8.0, south=40.0, east=8.1, north=40.1)
    none = _locate(small_world, small_world.photos, tmp_path / "box", prior=box)
    assert set(none["status"]) == {"error"} and none["reason"].str.contains("no tile of the gallery lies").all()
    blind = tmp_path / "blind"
    blind.mkdir()
    (blind / "a.jpg").write_bytes(encode_jpeg(world.panorama(small_world.pixels, 200, 150)))
    lost = _locate(small_world, blind, tmp_path / "lost", prior=OwnGps(radius_m=40.0))
    assert lost["reason"].iloc[0].startswith("no GPS position to search around")


def test_below_the_least_confidence_it_abstains_and_says_its_guess(small_world: World, tmp_path: Path) -> None:
    options = OPTIONS.model_copy(update={"min_confidence": 0.6, "heading": "north"})
    summary = locate(small_world.photos, small_world.gallery, small_world.model, tmp_path / "out", options)
    places = _places(tmp_path / "out")
    shy = places["confidence"] < 0.6
    assert shy.any() and not shy.all() and ((places["status"] == "abstain") == shy).all()
    assert places.loc[shy, "reason"].str.contains("is below the one asked for, 0.6").all()
    assert places["latitude"].notna().all() and places["error_m"].notna().all()
    assert (summary.ok, summary.abstain, summary.known) == (int((~shy).sum()), int(shy.sum()), int((~shy).sum()))
    assert sum(count for count, _, _ in summary.calibration) == 12 and summary.risk_coverage[-1][0] == 1.0
    assert (places["radius_m"].dropna() > 0).all() and (places["spread_m"] > 0).all()


def test_a_folder_that_grows_is_resumed_as_it_was(small_world: World, tmp_path: Path) -> None:
    photos = shutil.copytree(small_world.photos, tmp_path / "photos")
    job = plan(photos, small_world.gallery, small_world.model, tmp_path / "out", OPTIONS)
    run_shard(job, 0)
    shutil.copy(photos / "0000.jpg", photos / "9999.jpg")
    with pytest.raises(AenetError, match="another job"):
        plan(photos, small_world.gallery, small_world.model, tmp_path / "out", OPTIONS.model_copy(update={"top_k": 2}))
    again = plan(photos, small_world.gallery, small_world.model, tmp_path / "out", OPTIONS)
    assert (again.key, again.photos, again.newcomers, again.missing) == (job.key, 12, 1, (1,))
    summary = locate(photos, small_world.gallery, small_world.model, tmp_path / "out", OPTIONS)
    assert (summary.photos, summary.newcomers) == (12, 1)
    assert "1 photo came after the job was planned" in "\n".join(summary.lines())


def test_every_night_only_new_photos_are_placed(small_world: World, tmp_path: Path) -> None:
    photos, nights = shutil.copytree(small_world.photos, tmp_path / "photos"), tmp_path / "nights"

    def night(name: str) -> int:
        arguments = (photos, small_world.gallery, small_world.model, nights / name, OPTIONS)
        return locate(*arguments, history=nights).photos

    assert night("first") == 12
    with pytest.raises(NothingNew, match="all 12 photos"):
        night("second")
    assert not (nights / "second").exists()
    shutil.copy(photos / "0000.jpg", photos / "new.jpg")
    (photos / "0003.jpg").write_bytes((photos / "0004.jpg").read_bytes())  # another photo under an old name
    assert night("third") == 2
    assert sorted(_places(nights / "third").index) == ["0003.jpg", "new.jpg"]


def test_formats_are_written_also_of_a_finished_job(small_world: World, tmp_path: Path) -> None:
    _locate(small_world, small_world.photos, tmp_path / "out", formats=("geojson",))
    log = (tmp_path / "out" / "shards" / "computed.log").read_text()
    places = _locate(small_world, small_world.photos, tmp_path / "out", formats=("geojson", "gpkg"))
    assert (tmp_path / "out" / "shards" / "computed.log").read_text() == log
    for name in ("places.geojson", "places.gpkg"):
        table = geopandas.read_file(tmp_path / "out" / name)
        assert list(table["photo"]) == list(places.index)
        assert table.geometry.x.to_numpy() == pytest.approx(places["longitude"].to_numpy(), abs=1e-7)


def test_refined_places_lie_between_tiles(small_world: World, tmp_path: Path) -> None:
    plain = _locate(small_world, small_world.photos, tmp_path / "plain", heading="north")
    refined = _locate(small_world, small_world.photos, tmp_path / "refined", heading="north", refine=True)
    moved = np.hypot(*(111_000 * (refined[c] - plain[c]) for c in ("latitude", "longitude")))
    assert moved.max() <= 1.5 * 15 * math.sqrt(2) and (moved > 0.1).mean() > 0.5
    assert (refined["tiles"].map(list) == plain["tiles"].map(list)).all()


def test_known_places_far_from_the_map_are_said(small_world: World, tmp_path: Path) -> None:
    """47.8 north, 9.0 east exchanged is 5,500 km away; 100 degrees further east nothing is exchanged."""
    truth = small_world.truth.head(3)
    for name, change, reason in (
        ("right", {}, None),
        (
            "exchanged",
            {"latitude": truth["longitude"], "longitude": truth["latitude"]},
            r"3 of 3 known places of photos lie 5,\d\d\d km or more from the map: .* exchanged",
        ),
        (
            "one",
            {"longitude": [109.0, *truth["longitude"][1:]]},
            r"1 of 3 .* lie 6,899 km .*: one of the two is wrong",
        ),
    ):
        table = truth.assign(path=[str(small_world.photos / path) for path in truth["path"]], **change)
        table[["path", "latitude", "longitude"]].to_csv(tmp_path / f"{name}.csv", index=False)
        arguments = (tmp_path / f"{name}.csv", small_world.gallery, small_world.model, tmp_path / name, OPTIONS)
        for summary in (locate(*arguments), locate(*arguments)):  # a finished job says it again
            said = [line for line in summary.lines() if "from the map" in line]
            assert len(said) == (reason is not None) and (reason is None or re.search(reason, said[0]))


@pytest.mark.parametrize(
    ("prior", "reason"),
    [
        (Near(latitude=9.0, longitude=47.85, radius_m=1e4), r"place of `near` lies 5,\d\d\d km .* exchanged"),
        (Box(west=47.0, south=9.0, east=48.0, north=10.0), r"place of `within_box` lies 5,\d\d\d km .* exchanged"),
        (Near(latitude=47.9, longitude=9.1, radius_m=1e4), None),
        (Box(west=8.0, south=47.0, east=10.0, north=49.0), None),
        (OwnGps(radius_m=100.0), None),
    ],
)
def test_a_prior_far_from_the_map_is_said(prior: Near | Box | OwnGps, reason: str | None) -> None:
    places = pd.DataFrame({"true_latitude": [None, 47.85], "true_longitude": [None, 9.0]})
    lines = far_lines(places, prior, (8.99, 47.84, 9.01, 47.86))
    assert len(lines) == (reason is not None) and (reason is None or re.search(reason, lines[0]))


def test_metres_to_a_map_are_those_to_its_nearer_edge() -> None:
    """One degree of longitude is 111.3 km at the equator; from 178 east it is nearer to go across 180 degrees."""
    box = (179.0, -1.0, -179.0, 1.0)
    places = np.array([[0.0, 180.0], [0.0, 178.0], [0.0, -177.0], [3.0, 179.5], [0.0, 0.0]])
    away = metres_away(places, box) / 1000
    assert away == pytest.approx([0.0, 111.3, 222.6, 221.1, 179 * 111.32], rel=0.006)
