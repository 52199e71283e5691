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

from aenet.data.card import read_card
from aenet.serving.galleries.gallery import Gallery
from aenet.serving.localize import LocateOptions, locate
from aenet.serving.photos.reading import PhotoOptions
from aenet.serving.report import reportdata
from aenet.serving.report.chart import error_curve, heading_curve, recall_bars
from aenet.serving.report.reliability import calibration, risk_card, score_histogram, trust_bars, wilson
from aenet.serving.report.reportpictures import draw
from aenet.serving.report.reportrows import reason_kinds
from aenet.view.images import decode_bytes
from aenet.view.spec import NEUTRAL, ViewSpec
from tests.support import reports, world
from tests.support.browser import chromium
from tests.support.world import World

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
    assert "Why 2 have no answer" in text and "the file is empty" in text
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
    command = [chromium(), "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
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
    from aenet.view.images import decode, encode_jpeg

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
    path = reports.write(tmp_path / "report.html", small_world, 10_000)
    data = _data(path)
    assert len(data["photos"]) == 10_000 and sum("picture" in photo for photo in data["photos"]) == 5
    assert path.stat().st_size < 6e6


def test_pictures_take_no_more_than_their_share(
    small_world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = reports.OPTIONS.model_copy(update={"thumbnails": 40})
    full = _data(reports.write(tmp_path / "full.html", small_world, 40, options))
    assert sum("picture" in photo for photo in full["photos"]) == 36  # errors have none
    monkeypatch.setattr(reportdata, "PICTURE_BYTES", 100_000)
    path = reports.write(tmp_path / "capped.html", small_world, 40, options)
    capped = _data(path)
    pictured = [photo for photo in capped["photos"] if "picture" in photo]
    uris = [thing["picture"] for thing in (*capped["photos"], *capped["tiles"]) if "picture" in thing]
    assert 0 < len(pictured) < 36 and sum(map(len, uris)) <= 100_000
    assert f"pictures of {len(pictured)} of 36 photos" in path.read_text(encoding="utf-8")


def test_a_picture_shows_what_the_model_sees_and_how_much_of_the_horizon(small_world: World) -> None:
    """A photo of 90 degrees that a search found to look east covers 45 to 135 degrees, right of the north in front."""
    photo = small_world.photos / "0000.jpg"
    listed = pd.DataFrame({"path": [os.fsencode(photo)] * 3, "fov_deg": [90.0, 90.0, np.nan]})
    listed[["true_latitude", "true_longitude", "heading_deg"]] = np.nan
    rows = pd.DataFrame({"heading_deg": [90.0, np.nan, np.nan], "photo_sha256": [None, None, "of another file"]})
    view, taken = ViewSpec.polar(height=16, width=64, tile_size_m=60.0), PhotoOptions(partial="place")
    (_, east), (_, unknown), (_, changed) = draw(rows, listed, [0, 1, 2], view, 1, taken)
    assert east is not None and east.north and east.width_deg == pytest.approx(90)
    assert east.start_deg == pytest.approx(180 + 45)  # from the left edge, which is the south
    assert unknown is not None and not unknown.north and unknown.start_deg == pytest.approx(180 - 45)
    assert changed is None
    # One that says north itself, but was matched as looking east: what was matched counts.
    listed["heading_deg"] = 0.0
    (_, matched) = next(draw(rows, listed, [0], view, 1, taken))
    assert matched is not None and matched.start_deg == pytest.approx(180 + 45)
    pixels = decode_bytes(base64.b64decode(east.uri.split(",")[1]), "")
    assert pixels.shape == (120, 480, 3)
    filled = np.abs(pixels[:, :280].astype(int) - NEUTRAL.colour).max()
    assert filled < 30, "what the photo does not cover has the filling's colour"


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


def _table(card: str) -> list[list[str]]:
    return [re.findall(r"<td[^>]*>([^<]*)</td>", row) for row in re.findall(r"<tr>(<td.*?)</tr>", card)]


def test_risk_falls_as_fewer_are_answered() -> None:
    """Of a hundred the surest half are right, of the others every second is wrong: 0 of 50, then 25 of 100."""
    certainty = np.linspace(1, 0, 100)
    errors = np.where((np.arange(100) >= 50) & (np.arange(100) % 2 == 1), 300.0, 5.0)
    card = risk_card(certainty, errors, "confidence", 0.75)
    risk = {row[0]: row[1] for row in _table(card)}
    assert risk == {"10%": "0.0%", "25%": "0.0%", "50%": "0.0%", "75%": "16.0%", "90%": "22.2%", "100%": "25.0%"}
    assert "75% answered, the others abstained" in card
    # No threshold parts equal certainties: only all or none can be answered.
    tied = _table(risk_card(np.ones(100), errors, "confidence"))
    assert {tuple(row) for row in tied} == {("100%", "25.0%", "1.000")}
    assert risk_card(certainty[:49], errors[:49], "confidence") == ""


def test_calibration_counts_promises_and_what_came_of_them() -> None:
    """Ten at 95 % of whom nine are right, forty at 25 % of whom twenty are: off by 5 and 25 points, 21 on average."""
    confidence = np.array([0.95] * 10 + [0.25] * 40)
    errors = np.array([5.0] * 9 + [99.0] + [5.0] * 20 + [99.0] * 20)
    card = calibration(confidence, errors)
    assert _table(card) == [["20% to 30%", "40", "25.0%", "50.0%"], ["90% to 100%", "10", "95.0%", "90.0%"]]
    assert "Off by 21.0% on average" in card
    assert calibration(confidence, np.full(50, np.nan)) == ""
    # Wilson's interval of 5 in 10, from the literature's tables.
    assert wilson(0.5, 10) == pytest.approx((0.2366, 0.7634), abs=1e-4)


def test_recall_stands_beside_what_the_grid_allows() -> None:
    card = recall_bars(np.array([4.0, 9.0, 30.0, 400.0]), 20.0)
    rows = {row[0]: row[1:] for row in _table(card)}
    assert rows["5 m"] == ["25.0%", "19.6%"]  # pi 5^2 / 20^2
    assert rows["10 m"] == ["50.0%", "78.5%"] and rows["500 m"] == ["100.0%", "100.0%"]


def test_every_chart_says_in_words_what_it_shows(small_world: World, tmp_path: Path) -> None:
    path = reports.write(tmp_path / "report.html", small_world, 100)
    charts = re.findall(r'<figure class="card">.*?</figure>', path.read_text(encoding="utf-8"), re.DOTALL)
    titles = [re.findall("<h2>(.*?)</h2>", chart)[0] for chart in charts]
    assert len(titles) == 5 and any(title.startswith("Expected and observed") for title in titles)
    for chart in charts:
        (label,) = re.findall(r'role="img" aria-label="([^"]+)"', chart)
        assert re.search(r"\d", label) and _table(chart), "a label with numbers, and a table"


def test_reasons_that_differ_only_in_numbers_are_one_kind() -> None:
    reasons = ["4000 x 3000 px of 360-degree", "empty", "2000 x 3000 px of 360-degree", "limit 1,500.5 MB", "empty"]
    assert reason_kinds(reasons) == [
        "… x 3000 px of 360-degree",
        "empty",
        "… x 3000 px of 360-degree",
        "limit 1,500.5 MB",
        "empty",
    ]


def test_scores_of_right_and_wrong_stand_apart() -> None:
    scores, errors = np.array([0.9, 0.8, 0.3, 0.2, 0.5]), np.array([1.0, 2.0, 90.0, 80.0, np.nan])
    rows = {row[0]: row[1] for row in _table(score_histogram(scores, errors))}
    assert rows == {"within 25 m": "2", "farther": "2", "truth unknown": "1"}
    assert score_histogram(np.full(3, np.nan), np.full(3, np.nan)) == ""
    assert "<svg" in score_histogram(np.array([0.5]), np.array([np.nan]))


def test_headings_are_judged_where_the_place_is_right() -> None:
    near = np.array([True, True, False, False])
    rows = _table(heading_curve(np.array([4.0, 8.0, 90.0, 180.0]), near))
    assert rows[0][:5] == ["all", "4", "49.0°", "25.0%", "50.0%"]
    assert rows[1] == ["within 25 m", "2", "6.0°", "50.0%", "100.0%", "100.0%", "100.0%"]
    assert heading_curve(np.array([]), np.array([], dtype=bool)) == ""


def test_found_headings_are_compared_around_the_circle(small_world: World, tmp_path: Path) -> None:
    rows = reports.made_up(Gallery.open(small_world.gallery, read_card(small_world.model)), 9)
    for row in rows:
        row |= {"heading_deg": 355.0, "heading_from": "matched"}
    path = reports.write(tmp_path / "report.html", small_world, rows, heading_deg=5.0)
    (card,) = re.findall(r'<figure class="card"><figcaption><h2>[^<]*heading</h2>.*?</figure>', path.read_text())
    assert _table(card)[0][:3] == ["all", "9", "10.0°"]
    rows[0]["heading_from"] = "table"
    path = reports.write(tmp_path / "told.html", small_world, rows, heading_deg=5.0)
    assert re.search(r'<td class="n">all</td><td class="n">8</td>', path.read_text())
