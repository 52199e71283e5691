"""The report in a real browser: filters, keys, clicks, the strip, ten thousand rows, paper, and no script at all."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import reports
from tests.support.browser import Browser
from tests.support.world import World

HOSTILE = [
    "</script><script>document.title='owned'</script>.jpg",
    "<img src=x onerror=\"document.title='owned'\">.jpg",
    "two\nlines 🏔 räksmörgås.jpg",
    '=HYPERLINK("a")&+1.jpg',
    "long " * 200 + ".jpg",
]
CAP = 20e6  # bytes of a report on ten thousand photos, 200 of them with pictures, without its backdrop


@pytest.fixture(scope="module")
def report(small_world: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report on forty photos: 24 near, 4 far, 4 of unknown truth, 4 abstentions, 4 errors."""
    return reports.write(tmp_path_factory.mktemp("report") / "report.html", small_world, 40)


@pytest.fixture(scope="module")
def opened(report: Path) -> Iterator[Browser]:
    """One browser for the tests that each load the page anew."""
    with Browser() as browser:
        yield browser


@pytest.fixture
def page(opened: Browser, report: Path) -> Browser:
    opened.open(report)
    return opened


def _count(page: Browser) -> str:
    return str(page.ask("document.getElementById('count').textContent"))


def _rows(page: Browser) -> list[str]:
    script = "[...document.querySelectorAll('.row')].sort((a, b) => a.ariaPosInSet - b.ariaPosInSet)"
    return list(page.ask(f"{script}.map((row) => row.querySelector('b').textContent)"))


def _strip(page: Browser) -> str | None:
    name = "document.getElementById('strip').hidden ? null : document.getElementById('strip-name').textContent"
    found = page.ask(name)
    return None if found is None else str(found)


def _choose(page: Browser, control: str, value: str, event: str) -> None:
    page.ask(
        f"(() => {{ const e = document.getElementById('{control}'); e.value = {json.dumps(value)}; "
        f"e.dispatchEvent(new Event('{event}')); }})()"
    )


def test_filters_narrow_the_list_and_the_counts_follow(page: Browser) -> None:
    chip = "document.querySelector('.chip:has([value={}]) b').textContent"
    assert _count(page) == "40 of 40 photos"
    assert [page.ask(chip.format(grade)) for grade in ("near", "far", "placed", "abstain", "error")] == [
        *("24", "4", "4", "4", "4")
    ]
    page.click_on(".chip:has([value=near])")
    assert _count(page) == "16 of 40 photos" and _rows(page)[0] == "IMG 00006.jpg"
    # Between 30 and 40 per cent are those of kind 6 (35 %); errors have no confidence and go.
    _choose(page, "least", "30", "input")
    _choose(page, "most", "40", "input")
    assert _count(page) == "4 of 40 photos"
    assert _rows(page) == [f"IMG {number:05d}.jpg" for number in (6, 16, 26, 36)]
    assert page.ask(chip.format("far")) == "4" and page.ask(chip.format("error")) == "0"
    page.click_on("#clear")
    assert _count(page) == "40 of 40 photos" and page.ask("document.getElementById('least').value") == "0"
    reasons = page.ask("[...document.getElementById('reason').options].map((option) => option.textContent)")
    assert reasons == ["any", "confidence 0.15 is below 0.2", "the file is empty", "not a panorama: … x 3000 px"]
    _choose(page, "reason", "2", "change")
    assert _rows(page) == ["IMG 00019.jpg", "IMG 00039.jpg"]
    _choose(page, "reason", "", "change")
    _choose(page, "order", "largest error first", "change")
    assert sorted(_rows(page)[:4]) == [f"IMG {number:05d}.jpg" for number in (6, 16, 26, 36)]
    assert page.console == []


def test_the_keyboard_alone_finds_opens_and_closes_a_photo(page: Browser) -> None:
    page.press("Escape")
    assert _strip(page) is None
    page.press("/")
    page.type("img 0001")
    assert page.ask("document.activeElement.value") == "img 0001"  # the slash itself is not written
    assert _count(page) == "10 of 40 photos"
    page.press("ArrowDown")
    active = "document.getElementById(document.activeElement.getAttribute('aria-activedescendant'))"
    assert page.ask(f"{active}.querySelector('b').textContent") == "IMG 00010.jpg"
    page.press("ArrowDown")
    assert page.ask(f"{active}.querySelector('b').textContent") == "IMG 00011.jpg"
    assert _strip(page) is None
    page.press("Enter")
    assert _strip(page) == "IMG 00011.jpg"
    assert page.ask(f"{active}.getAttribute('aria-selected')") == "true"
    page.press("ArrowDown")
    assert _strip(page) == "IMG 00012.jpg"
    page.press("End")
    assert _strip(page) == "IMG 00019.jpg"
    page.press("Escape")
    assert _strip(page) is None and page.ask("document.activeElement.id") == "list"


def test_tab_reaches_everything_and_shows_where_it_is(page: Browser) -> None:
    seen = []
    for _ in range(40):
        page.press("Tab")
        seen.append(page.ask("document.activeElement.id || document.activeElement.getAttribute('aria-label')"))
        ring = page.ask(
            "[document.activeElement, document.activeElement.closest('.rows')]"
            ".some((e) => e && getComputedStyle(e).outlineStyle !== 'none')"
        )
        assert ring, f"no visible focus on {seen[-1]}"
        if seen[-1] == "Close":
            break
    assert {"least", "most", "reason", "order", "find", "clear", "map", "zoom-in", "colour", "lines"} <= set(seen)
    assert seen[-3:] == ["list", "Next photo", "Close"]  # of the first photo: there is no previous one
    page.press("Enter")
    assert _strip(page) is None and page.ask("document.activeElement.id") == "list"


def test_a_click_on_the_map_opens_the_photo_that_stands_there(page: Browser) -> None:
    script = """(() => {
      document.getElementById('map').scrollIntoView({block: 'center'});
      const data = JSON.parse(document.getElementById('data').textContent), photo = data.photos[3];
      const box = document.getElementById('map').getBoundingClientRect();
      const scale = Math.min((box.width - 28) / data.map.width, (box.height - 28) / data.map.height);
      return [box.x + (box.width - data.map.width * scale) / 2 + photo.x * scale,
              box.y + (box.height - data.map.height * scale) / 2 + photo.y * scale];
    })()"""
    x, y = page.ask(script)
    page.send("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)
    assert page.ask("document.getElementById('tip').textContent").startswith("IMG 00003.jpg: 0.0 m off")
    page.click(x, y)
    assert _strip(page) == "IMG 00003.jpg"
    page.click_on(".row[aria-posinset='2']")
    assert _strip(page) == "IMG 00001.jpg"


def test_the_strip_says_all_that_is_known_and_leaves_out_the_rest(page: Browser) -> None:
    def opened(name: str) -> str:
        _choose(page, "find", name, "input")
        page.click_on(".row")
        return str(page.ask("document.getElementById('strip').innerText"))

    far = opened("00006")
    for said in ("165 m off", "165 m (floor: 6.0 m median)", "35 %", "26 m", "90° (estimated)", "5. 0.200"):
        assert said in far, said
    assert page.ask("document.querySelectorAll('#strip .tile').length") == 5
    abstained = opened("00008")
    assert "confidence 0.15 is below 0.2" in abstained and "Best guess" in abstained
    assert "heading was magnetic" in abstained
    failed = opened("00009")
    assert "the file is empty" in failed
    for absent in ("Place", "Confidence", "Heading", "Notes", "Score", "undefined", "NaN", "null"):
        assert absent not in failed
    pictured = page.ask(
        "JSON.parse(document.getElementById('data').textContent).photos.find((photo) => photo.picture).name"
    )
    opened(pictured)
    # East lies three quarters from the left where south is the edge.
    assert page.ask("document.querySelector('#strip .arrow').style.left") == "75%"
    assert page.ask("document.querySelector('#strip .frame img').naturalWidth") == 480


def test_ten_thousand_photos_open_and_stay_under_the_cap(small_world: World, tmp_path: Path, opened: Browser) -> None:
    options = reports.OPTIONS.model_copy(update={"thumbnails": 200})
    large = reports.write(tmp_path / "large.html", small_world, 10_000, options)
    assert large.stat().st_size < CAP
    opened.requests.clear()
    opened.open(large)
    assert opened.ask("document.body.dataset.ready") == "10000" and _count(opened) == "10,000 of 10,000 photos"
    nodes, pictures = "document.querySelectorAll('*').length", "document.querySelectorAll('#list img').length"
    assert opened.ask(nodes) < 1500
    opened.press("/")
    opened.press("ArrowDown")
    opened.press("End")
    assert _rows(opened)[-1] == "IMG 09999.jpg"
    assert opened.ask("document.querySelectorAll('.row').length") < 60 and opened.ask(pictures) < 60
    opened.press("Enter")
    assert _strip(opened) == "IMG 09999.jpg"
    asked = {address for address in opened.requests if not address.startswith("data:")}
    assert asked == {large.as_uri()} and opened.console == []


def test_names_are_text_whatever_they_hold(small_world: World, tmp_path: Path, opened: Browser) -> None:
    from aenet.data.card import read_card
    from aenet.serving.galleries.gallery import Gallery

    gallery = Gallery.open(small_world.gallery, read_card(small_world.model))
    rows = reports.made_up(gallery, 10)
    for row, name in zip(rows, HOSTILE, strict=False):
        row["photo"] = name
    rows[9]["reason"] = HOSTILE[1]
    rows[8]["notes"] = HOSTILE[0]
    opened.open(reports.write(tmp_path / "hostile.html", small_world, rows))
    assert _rows(opened)[:4] == HOSTILE[:4]
    for number in (1, 3, 9, 10):
        opened.click_on(f".row[aria-posinset='{number}']")
    assert opened.ask("document.title") == "8 of 10 photos placed"
    assert opened.console == []
    assert opened.ask("document.documentElement.scrollWidth <= window.innerWidth")


@pytest.mark.parametrize("width", [400, 800, 1440])
def test_no_window_is_too_narrow(report: Path, width: int) -> None:
    with Browser(width=width, dark=width == 800) as page:
        page.open(report)
        assert page.ask("document.documentElement.scrollWidth") <= width
        assert page.ask("document.querySelector('#map').clientHeight") >= 200


def test_on_paper_the_list_shows_its_first_rows(page: Browser) -> None:
    page.ask("window.dispatchEvent(new Event('beforeprint'))")
    page.send("Emulation.setEmulatedMedia", media="print")
    assert len(_rows(page)) == 40
    last, charts = "[...document.querySelectorAll('.row')].at(-1)", "document.querySelector('.charts')"
    assert page.ask(f"{last}.getBoundingClientRect().bottom <= {charts}.getBoundingClientRect().top")
    assert page.ask("document.getElementById('paper').innerText").startswith("Rows 1 to 40 of the 40 chosen")
    page.send("Emulation.setEmulatedMedia", media="screen")
    page.ask("window.dispatchEvent(new Event('afterprint'))")
    assert len(_rows(page)) < 40


def test_without_a_script_the_charts_still_stand(report: Path) -> None:
    with Browser() as page:
        page.send("Emulation.setScriptExecutionDisabled", value=True)
        page.send("Page.navigate", url=report.as_uri())
        while page.value("document.readyState") != "complete" or not page.value("document.body.innerText"):
            time.sleep(0.02)
        text = page.value("document.body.innerText")
        assert "Recall within metres" in text and "drawn by a script inside this file" in text
        assert page.value("document.getElementById('map').getClientRects().length") == 0
