"""A job whose photos carry truth, of headings too: every figure is in the report, and a browser clicks through it."""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from aenet.retrieval.azimuth import angle_between
from aenet.serving.jobs.outputs import read_places
from aenet.serving.localize import LocateOptions, Summary, finish, locate, plan, run_shard
from aenet.view.images import encode_jpeg
from tests.support import world
from tests.support.browser import Browser
from tests.support.world import World

COUNT = 60  # risk against coverage is drawn from 50 photos on
OPTIONS = LocateOptions(provider="cpu", threads=1, decoders=1, heading="unknown", thumbnails=8, min_confidence=0.5)


@pytest.fixture(scope="module")
def turned(small_world: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table of panoramas, each turned to another heading, with the truth of place and heading."""
    folder = tmp_path_factory.mktemp("turned")
    truth = world.take_photos(folder, small_world.pixels, COUNT, seed=5)
    truth["heading"] = np.random.default_rng(6).uniform(0, 360, COUNT).round(1)
    for row in truth.itertuples():
        north = world.panorama(small_world.pixels, row.x, row.y)
        turn = -round(row.heading / 360 * north.shape[1])  # what stood there comes to the centre
        (folder / row.path).write_bytes(encode_jpeg(np.roll(north, turn, axis=1), 92))
    truth.drop(columns=["x", "y"]).to_csv(folder / "photos.csv", index=False)
    return folder / "photos.csv"


@pytest.fixture(scope="module")
def job(small_world: World, turned: Path, tmp_path_factory: pytest.TempPathFactory) -> Summary:
    return locate(turned, small_world.gallery, small_world.model, tmp_path_factory.mktemp("job") / "out", OPTIONS)


@pytest.fixture(scope="module")
def page(job: Summary) -> Iterator[Browser]:
    with Browser(1400, 1000) as browser:
        browser.open(job.out / "report.html")
        yield browser


def test_the_summary_is_what_the_table_says(job: Summary, turned: Path) -> None:
    places, told = read_places(job.out / "places.parquet"), pd.read_csv(turned)
    answered = places[places["status"] == "ok"]["error_m"]
    assert job.photos == COUNT == len(told) and 0 < len(answered) < COUNT
    assert job.median_error_m == pytest.approx(answered.median())
    assert job.floor_max_m == pytest.approx(15 / np.sqrt(2))
    assert job.within_floor == pytest.approx((answered <= 15 / np.sqrt(2)).mean())
    near = (places["error_m"] <= 25).to_numpy()
    off = angle_between(places["heading_deg"].to_numpy(), told["heading"].to_numpy())
    assert job.median_heading_error_deg == pytest.approx(np.median(off[near])) and job.median_heading_error_deg < 6
    assert sum(count for count, _, _ in job.calibration) == COUNT and job.risk_coverage[-1][0] == 1.0
    assert job.risk_coverage[-1][1] == pytest.approx(1 - near.mean())
    said = "\n".join(job.lines())
    assert "within the floor's reach, 10.6 m" in said and "wrong among the surest" in said and "; off by" in said


def test_every_figure_stands_at_the_top(page: Browser, job: Summary) -> None:
    cards = "[...document.querySelectorAll('.number')]"
    shown = page.ask(cards + ".map((card) => [...card.children].slice(0, 2).map((part) => part.innerText))")
    figures = {name: re.sub(r"\s", "", value) for name, value in shown}
    assert figures["Placed"] == f"{job.ok}of{COUNT}"
    for name, value, unit in (
        ("Median error", job.median_error_m, "m"),
        ("Within 25 m", 100 * (job.within_25m or 0), "%"),
        ("Within floor's reach", 100 * (job.within_floor or 0), "%"),
        ("Heading error", job.median_heading_error_deg, "°"),
        ("Calibration error", 100 * (job.calibration_error or 0), "%"),
    ):
        assert figures[name] == f"{value:.1f}{unit}", name
    asked = page.ask("document.querySelector('header .facts').innerText")
    assert "headings unknown" in asked and "no answer below 50%" in asked


def test_clicking_through_filters_a_photo_and_the_charts(page: Browser, job: Summary) -> None:
    counts = "document.getElementById('count').textContent"
    page.click_on(".chip:has([value=abstain])")
    assert page.ask(counts) == f"{job.ok} of {COUNT} photos"
    page.ask(
        "(() => { const e = document.getElementById('order'); e.value = 'highest confidence first'; "
        "e.dispatchEvent(new Event('change')); })()"
    )
    page.click_on(".row[aria-posinset='1']")
    strip = str(page.ask("document.getElementById('strip').innerText"))
    for said in ("Confidence within 25 m", "Error radius, 90 %", "(matched)", "Heading error", "told: "):
        assert said in strip, said
    page.click_on("button[aria-label='Next photo']")
    assert page.ask("document.querySelector('.row[aria-selected=true]').ariaPosInSet") == "2"
    for title, columns, rows in (
        ("Share of photos within a distance of the true place", "Error at most", 7),
        ("Recall within metres", "Perfect ranking", 7),
        ("Wrong answers by how many are given", "Least confidence", 6),
        ("Expected and observed share within 25 m", "Observed", 3),
        ("Share of photos within an angle of the true heading", "Median", 2),
    ):
        found = page.ask(
            f"(() => {{ const chart = [...document.querySelectorAll('.charts figure')].find((figure) => "
            f"figure.querySelector('h2').textContent === {json.dumps(title)}); "
            "if (chart) chart.querySelector('summary').id = 'asked'; return Boolean(chart); })()"
        )
        assert found, title
        page.click_on("#asked")
        table = "document.getElementById('asked').parentElement"
        assert page.ask(f"{table}.open") and columns in page.ask(f"{table}.innerText")
        assert page.ask(f"{table}.querySelectorAll('tbody tr').length") >= rows, title
        page.ask("document.getElementById('asked').removeAttribute('id')")
    page.click_on("#clear")
    assert page.ask(counts) == f"{COUNT} of {COUNT} photos" and page.console == []


def test_two_fingers_zoom_the_map(job: Summary) -> None:
    with Browser(390, 844) as page:
        page.open(job.out / "report.html")
        box = page.ask(
            "(() => { const e = document.getElementById('map'); e.scrollIntoView({block: 'center'}); "
            "const b = e.getBoundingClientRect(); return [b.x + b.width / 2, b.y + b.height / 2]; })()"
        )

        def touch(kind: str, *apart: float) -> None:
            points = [{"x": box[0] + by, "y": box[1], "id": number} for number, by in enumerate(apart)]
            page.send("Input.dispatchTouchEvent", type=kind, touchPoints=points)

        metres = "document.getElementById('scale-text').textContent"
        before = page.ask(metres)
        touch("touchStart", -20, 20)
        for reach in (40, 80, 120):
            touch("touchMove", -reach, reach)
        touch("touchEnd")
        after = page.ask(metres)
        assert int(before.split()[0]) >= 4 * int(after.split()[0]), (before, after)
        assert page.console == []


def test_a_refined_job_says_that_places_lie_between_tiles(small_world: World, turned: Path, tmp_path: Path) -> None:
    options = OPTIONS.model_copy(update={"refine": True})
    locate(turned, small_world.gallery, small_world.model, tmp_path / "out", options)
    text = (tmp_path / "out" / "report.html").read_text()
    assert "stands between the tiles" in text and "refined places" in text and "at the centre of" not in text


@pytest.mark.parametrize("nightly", [False, True])
def test_photos_that_came_while_it_ran_are_counted_in_the_report(
    small_world: World, tmp_path: Path, nightly: bool
) -> None:
    """By a job of all photos, and by one that leaves out what the night before has answered."""
    photos, nights = shutil.copytree(small_world.photos, tmp_path / "photos"), tmp_path / "nights"
    given = (photos, small_world.gallery, small_world.model)
    if nightly:
        locate(*given, nights / "1", OPTIONS)
        shutil.copy(photos / "0000.jpg", photos / "new.jpg")
    job = plan(*given, nights / "2", OPTIONS, nights if nightly else None)
    shutil.copy(photos / "0001.jpg", photos / "newer.jpg")
    run_shard(job, 0)
    summary = finish(job)
    assert (summary.photos, summary.newcomers) == (1 if nightly else 12, 1)
    text = (nights / "2" / "report.html").read_text()
    assert "1 photo came to the source after this job was planned" in text
    assert finish(job) == summary
