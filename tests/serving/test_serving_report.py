"""The report: one file, no outside request, nothing of a file name ever runs as markup, readable when large."""

import base64
import html
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from serving import world
from serving.world import World

from aenet.serving.curve import error_curve
from aenet.serving.localize import LocateOptions, locate
from aenet.serving.trust import trust_bars

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
OPTIONS = LocateOptions(provider="cpu", threads=1, decoders=1, thumbnails=5)
# One is a file, the other a table's row whose folders no file system has: only a table can hold a slash.
NASTY = "<img src=x onerror=\"document.title='owned'\">.jpg"
NASTIER = "</script><script>document.title='owned'</script><img src=x onerror=alert(1)>.jpg"


@pytest.fixture(scope="module")
def report(small_world: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report on twelve good photos, one unreadable, two with hostile names."""
    folder = tmp_path_factory.mktemp("report")
    photos = shutil.copytree(small_world.photos, folder / "photos")
    (photos / "broken.jpg").write_bytes(b"")
    shutil.copy(small_world.photos / "0000.jpg", photos / NASTY)
    names = [*small_world.truth["path"], "broken.jpg", NASTY, NASTIER]
    pd.DataFrame({"path": names}).to_csv(photos / "photos.csv", index=False)
    locate(photos / "photos.csv", small_world.gallery, small_world.model, folder / "out", OPTIONS)
    return folder / "out" / "report.html"


def _data(report: Path) -> dict:  # type: ignore[type-arg]  # JSON
    text = report.read_text(encoding="utf-8")
    block = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
    assert block
    parsed: dict = json.loads(block[1])  # type: ignore[type-arg]  # JSON
    return parsed


def test_nothing_in_it_names_an_outside_address(report: Path) -> None:
    text = re.sub(r"base64,[A-Za-z0-9+/=]+", "", report.read_text(encoding="utf-8"))
    assert not re.search(r"(?:https?:)?//[a-z0-9]", text, re.IGNORECASE)
    assert "default-src 'none'" in text
    markup = re.sub(r"<script.*?</script>", "", text, flags=re.DOTALL).replace(html.escape(NASTIER), "")
    for address in re.findall(r"\b(?:src|href|action)=[\"']?([^\"' >]*)", markup):
        assert address.startswith(("data:", "#")), address
    assert "{{" not in text and "NaN" not in text


def test_it_says_the_error_beside_the_floor_and_what_ran(report: Path) -> None:
    text = report.read_text(encoding="utf-8")
    assert "13 of 15 photos placed" in text
    assert "floor 6.0 m" in text and "floor 9.0 m" in text
    assert "CPU (1 thread)" in text
    assert "Why 2 could not be placed" in text and "the file is empty" in text
    assert "pictures of 5 of 13 photos" in text


def test_points_lie_on_the_backdrop_where_the_photos_were_taken(report: Path, small_world: World) -> None:
    data = _data(report)
    photos = {photo["name"]: photo for photo in data["photos"]}
    assert data["map"]["metres"] == pytest.approx(world.PIXEL_M, rel=1e-3)
    for row in small_world.truth.itertuples():
        photo = photos[row.path]
        assert photo["tx"] * world.PIXEL_M == pytest.approx(row.x, abs=0.1)
        assert photo["ty"] * world.PIXEL_M == pytest.approx(row.y, abs=0.1)
        distance = np.hypot(photo["x"] - photo["tx"], photo["y"] - photo["ty"]) * data["map"]["metres"]
        assert distance == pytest.approx(photo["error"], abs=0.1)
    pictured = [photo for photo in data["photos"] if "picture" in photo]
    assert len(pictured) == 5
    for photo in pictured:
        assert all("picture" in data["tiles"][number] for number in photo["tiles"])
        assert base64.b64decode(photo["picture"].split(",")[1])[:2] == b"\xff\xd8"


def test_it_opens_in_a_browser_and_no_name_runs(report: Path) -> None:
    if CHROMIUM is None:
        reason = "needs chromium, chromium-browser or google-chrome on the PATH to open the report with; none is there"
        if os.environ.get("CI", "").lower() not in ("", "0", "false"):
            pytest.fail(reason)
        pytest.skip(reason)
    command = [str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    command += ["--virtual-time-budget=5000", f"--user-data-dir={report.parent / 'profile'}", "--enable-logging=stderr"]
    ran = subprocess.run(
        [*command, "--dump-dom", report.as_uri()], capture_output=True, text=True, check=True, timeout=120
    )
    page = ran.stdout
    assert 'data-ready="15"' in page, ran.stderr[-2000:]
    assert "<title>13 of 15 photos placed</title>" in page
    assert 'role="option"' in page
    assert "CONSOLE" not in ran.stderr and "Refused" not in ran.stderr, ran.stderr[-2000:]


def test_without_truth_it_says_so(small_world: World, tmp_path: Path) -> None:
    from aenet.images import decode, encode_jpeg

    photos = tmp_path / "photos"
    photos.mkdir()
    for name in ("0000.jpg", "0001.jpg"):
        (photos / name).write_bytes(encode_jpeg(decode(small_world.photos / name)))
    summary = locate(photos, small_world.gallery, small_world.model, tmp_path / "out", OPTIONS)
    text = (tmp_path / "out" / "report.html").read_text()
    assert summary.median_error_m is None and "No photo carries its true position" in text
    assert "Median error" not in text


def test_ten_thousand_photos_fit_in_one_file(small_world: World, tmp_path: Path) -> None:
    """The rows are all there, the pictures are capped, and the file opens on a telephone."""
    import pyarrow as pa

    from aenet.card import read_card
    from aenet.serving.gallery import Gallery
    from aenet.serving.job import PHOTOS, plan
    from aenet.serving.places import SCHEMA
    from aenet.serving.report import write_report
    from aenet.serving.summary import Summary

    job = plan(small_world.photos, small_world.gallery, small_world.model, tmp_path / "out", OPTIONS)
    gallery = Gallery.open(small_world.gallery, read_card(small_world.model))
    ids, count = gallery.tiles["tile_id"].to_numpy(), 10_000
    generator = np.random.default_rng(0)
    best = generator.integers(0, len(ids), (count, 5))
    latitude, longitude = (gallery.tiles[name].to_numpy()[best[:, 0]] for name in ("latitude", "longitude"))
    rows = [
        {
            "photo": f"{i:05d}.jpg",
            "status": "ok",
            "latitude": latitude[i],
            "longitude": longitude[i],
            "score": 0.5,
            "margin": 0.1,
            "tiles": list(ids[best[i]]),
            "scores": [0.5, 0.4, 0.3, 0.2, 0.1],
            "true_latitude": latitude[i],
            "true_longitude": longitude[i],
            "error_m": float(i % 70),
        }
        for i in range(count)
    ]
    listed = pd.concat([pd.read_parquet(job.out / PHOTOS)] * 834, ignore_index=True).iloc[:count]
    summary = Summary(job.out, count, count, 0, 0, count, 34.5, 66.0, 0.37, 6.0, 9.0, "CPU (1 thread)", 100.0, 0)
    write_report(tmp_path / "report.html", job, pa.Table.from_pylist(rows, schema=SCHEMA), listed, gallery, summary)
    data = _data(tmp_path / "report.html")
    assert len(data["photos"]) == count and sum("picture" in photo for photo in data["photos"]) == 5
    assert (tmp_path / "report.html").stat().st_size < 6e6


def test_the_curve_tells_the_truth() -> None:
    """Half of the errors at 10 m, half at 1000 m: a flat step at one half between."""
    svg = error_curve(np.array([10.0] * 50 + [1000.0] * 50), 20.0)
    points = re.search(r'class="curve" points="([^"]+)"', svg)
    assert points
    heights = [float(point.split(",")[1]) for point in points[1].split()]
    assert heights[0] == max(heights) and heights[-1] == min(heights)
    assert pytest.approx((max(heights) + min(heights)) / 2, abs=0.2) in heights
    assert "50.0 % within 25 m" in svg and 'class="perfect"' in svg
    assert 'class="perfect"' not in error_curve(np.array([3.0]), None)
    assert error_curve(np.array([]), 20.0) == ""


def test_bars_of_trust_rise_where_the_margin_knows() -> None:
    margins = np.linspace(0, 1, 100)
    errors = np.where(margins < 0.6, 300.0, 5.0)
    shares = re.findall(r'class="strong"[^>]*>(\d+)%', trust_bars(margins, errors))
    assert shares == ["0", "0", "0", "100", "100"]
    assert trust_bars(margins[:49], errors[:49]) == ""
    errors[:60] = np.nan
    assert trust_bars(margins, errors) == ""
