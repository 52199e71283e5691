"""Downloads from a real server: nothing fetched twice, nothing unverified kept, nothing left behind."""

import hashlib
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from aenet.ingest.archive.archiveconfig import SourceConfig, check_source
from aenet.ingest.archive.request import Part
from aenet.ingest.fetching import fetch_archive
from aenet.io.errors import AenetError
from tests.support.file_server import FileServer, serving

CONTENT = np.random.default_rng(1).bytes(1_000_003)
OTHER = np.random.default_rng(2).bytes(1_400_000)


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    for name in ("USER", "PASSWORD", "TOKEN", "QUERY"):
        monkeypatch.delenv(f"AENET_DOWNLOAD_{name}", raising=False)


def archive(url: str | Path, content: bytes = CONTENT, **settings: object) -> SourceConfig:
    digest = hashlib.sha256(content).hexdigest()
    fields = {"source": str(url), "sha256": digest, "backoff_s": 0.0, "retries": 3, "timeout_s": 30.0}
    return SourceConfig.model_validate(fields | settings)


def left_in(cache: Path) -> set[str]:
    return {path.name for path in cache.iterdir()} - {".lock"}


def test_download_is_kept_under_its_digest_and_never_asked_for_again(tmp_path: Path) -> None:
    with serving(FileServer(CONTENT)) as server:
        seen: list[tuple[int, int, str]] = []
        config = archive(server.url)
        path = fetch_archive(config, tmp_path, lambda *event: seen.append(event))
        assert path.read_bytes() == CONTENT
        assert fetch_archive(config, tmp_path) == path
    assert len(server.asked) == 1
    assert left_in(tmp_path) == {config.sha256}
    assert seen[-1] == (len(CONTENT), len(CONTENT), "download")


def test_a_rotten_file_in_the_cache_is_fetched_again(tmp_path: Path) -> None:
    with serving(FileServer(CONTENT)) as server:
        path = fetch_archive(archive(server.url), tmp_path)
        path.write_bytes(CONTENT[:-1] + b"?")
        assert fetch_archive(archive(server.url), tmp_path).read_bytes() == CONTENT


@pytest.mark.parametrize(
    "habits",
    [
        {"etag": '"strong"'},
        {"etag": 'W/"weak"', "last_modified": "Wed, 21 Oct 2015 07:28:00 GMT"},
        {"etag": None},
    ],
)
def test_dropped_connections_fetch_no_byte_twice(tmp_path: Path, habits: dict[str, str | None]) -> None:
    with serving(FileServer(CONTENT, drop_at=[300_000, 1, 400_000], **habits)) as server:  # type: ignore[arg-type]
        assert fetch_archive(archive(server.url), tmp_path).read_bytes() == CONTENT
    assert server.asked == [None, "bytes=300000-", "bytes=300001-", "bytes=700001-"]
    assert sum(server.served) == len(CONTENT)


def test_a_server_that_ignores_range_starts_again(tmp_path: Path) -> None:
    with serving(FileServer(CONTENT, ranges=False, drop_at=[300_000])) as server:
        assert fetch_archive(archive(server.url), tmp_path).read_bytes() == CONTENT
    assert server.served == [300_000, len(CONTENT)]


def test_attempts_end_and_the_next_run_goes_on(tmp_path: Path) -> None:
    with serving(FileServer(CONTENT, drop_at=[200_000, 0, 0])) as server:
        with pytest.raises(AenetError, match=r"given up after 3 failed attempts.*200000 bytes are kept"):
            fetch_archive(archive(server.url, retries=2), tmp_path)
        assert len(server.asked) == 3
        assert fetch_archive(archive(server.url), tmp_path).read_bytes() == CONTENT
    assert sum(server.served) == len(CONTENT)


@pytest.mark.parametrize("obeys_if_range", [True, False])
def test_a_file_that_changed_on_the_server_is_never_mixed(tmp_path: Path, obeys_if_range: bool) -> None:
    with serving(FileServer(OTHER, etag='"old"', drop_at=[500_000], obeys_if_range=obeys_if_range)) as server:
        with pytest.raises(AenetError):
            fetch_archive(archive(server.url, retries=0), tmp_path)
        server.content, server.etag = CONTENT, '"new"'
        assert fetch_archive(archive(server.url), tmp_path).read_bytes() == CONTENT
    assert len(server.asked) == (2 if obeys_if_range else 3)


def test_a_file_that_shrank_below_the_part_starts_again(tmp_path: Path) -> None:
    with serving(FileServer(OTHER, etag=None, drop_at=[1_200_000])) as server:
        with pytest.raises(AenetError):
            fetch_archive(archive(server.url, retries=0), tmp_path)
        server.content = CONTENT  # 1,000,003 bytes: the rest asked for does not exist, status 416
        assert fetch_archive(archive(server.url), tmp_path).read_bytes() == CONTENT
    assert server.asked == [None, "bytes=1200000-", None]


def start_fetch(config: SourceConfig, cache: Path, progress: str = "None") -> subprocess.Popen[bytes]:
    code = (
        "import os, sys; from pathlib import Path; from aenet.ingest.fetching import SourceConfig, fetch_archive\n"
        f"fetch_archive(SourceConfig.model_validate_json(sys.argv[1]), Path(sys.argv[2]), {progress})"
    )
    return subprocess.Popen([sys.executable, "-c", code, config.model_dump_json(), str(cache)])


def test_kill_in_mid_download_then_resume_serves_every_byte_once(tmp_path: Path) -> None:
    stop = 4096 * 151  # not whole buffers of any usual size
    with serving(FileServer(CONTENT, stall_at=stop)) as server:
        config = archive(server.url)
        process = start_fetch(config, tmp_path)
        part, deadline = tmp_path / f"{config.sha256}.part", time.monotonic() + 60
        while not (part.exists() and part.stat().st_size == stop) and time.monotonic() < deadline:
            time.sleep(0.02)
        process.kill()
        process.wait()
        server.content, server.stall_at = CONTENT, None
        kept = part.stat().st_size
        assert fetch_archive(config, tmp_path).read_bytes() == CONTENT
    assert server.asked == [None, f"bytes={kept}-"]
    assert kept == stop
    assert server.served[1] == len(CONTENT) - kept
    assert left_in(tmp_path) == {config.sha256}


def test_kill_between_the_last_byte_and_the_rename_needs_no_request(tmp_path: Path) -> None:
    with serving(FileServer(CONTENT)) as server:
        config = archive(server.url)
        suicide = f"lambda done, total, what: done == total and os.kill(os.getpid(), {int(signal.SIGKILL)})"
        assert start_fetch(config, tmp_path, suicide).wait() == -signal.SIGKILL
        assert left_in(tmp_path) == {f"{config.sha256}.part", f"{config.sha256}.part.json"}
        assert fetch_archive(config, tmp_path).read_bytes() == CONTENT
    assert len(server.asked) == 1


def test_two_at_once_download_once(tmp_path: Path) -> None:
    with serving(FileServer(CONTENT)) as server, ThreadPoolExecutor(2) as pool:
        paths = list(pool.map(lambda _: fetch_archive(archive(server.url), tmp_path), range(2)))
    assert paths[0].read_bytes() == CONTENT
    assert len(server.asked) == 1


def test_wrong_digest_names_both_and_keeps_nothing(tmp_path: Path) -> None:
    with serving(FileServer(OTHER)) as server, pytest.raises(AenetError) as caught:
        fetch_archive(archive(server.url, CONTENT), tmp_path)
    assert hashlib.sha256(OTHER).hexdigest() in str(caught.value)
    assert hashlib.sha256(CONTENT).hexdigest() in str(caught.value)
    assert left_in(tmp_path) == set()


def test_too_large_by_its_header_is_refused_before_the_body(tmp_path: Path) -> None:
    with (
        serving(FileServer(CONTENT, stall_at=0)) as server,
        pytest.raises(AenetError, match=r"1000003.*max_bytes is 1000"),
    ):
        fetch_archive(archive(server.url, max_bytes=1000), tmp_path)
    assert left_in(tmp_path) == set()


def test_endless_stream_without_a_length_is_cut_at_the_cap(tmp_path: Path) -> None:
    with (
        serving(FileServer(CONTENT, length=False, endless=True)) as server,
        pytest.raises(AenetError, match="max_bytes"),
    ):
        fetch_archive(archive(server.url, max_bytes=3_000_000), tmp_path)
    assert left_in(tmp_path) == set()


def test_redirects_are_followed_over_http(tmp_path: Path) -> None:
    with serving(FileServer(CONTENT)) as server:
        server.redirect = server.url
        assert fetch_archive(archive(server.url.replace("set.zip", "moved")), tmp_path).read_bytes() == CONTENT


@pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://127.0.0.1/x", "data:,x"])
def test_redirects_elsewhere_are_refused(tmp_path: Path, target: str) -> None:
    with serving(FileServer(CONTENT, redirect=target)) as server, pytest.raises(AenetError, match="not allowed"):
        fetch_archive(archive(server.url.replace("set.zip", "moved")), tmp_path)
    assert len(server.asked) == 1
    assert left_in(tmp_path) == set()


def test_busy_server_is_asked_again_but_a_missing_file_is_not(tmp_path: Path) -> None:
    with serving(FileServer(CONTENT, statuses=[503, 429])) as server:
        assert fetch_archive(archive(server.url), tmp_path / "a").read_bytes() == CONTENT
        server.statuses, before = [404], len(server.asked)
        with pytest.raises(AenetError, match="404"):
            fetch_archive(archive(server.url), tmp_path / "b")
    assert before == 3
    assert len(server.asked) == 4


def test_a_port_nobody_listens_on_is_a_sentence(tmp_path: Path) -> None:
    with serving(FileServer(CONTENT)) as server:
        pass
    with pytest.raises(AenetError, match=r"given up.*refused"):
        fetch_archive(archive(server.url, retries=1), tmp_path)


@pytest.mark.parametrize("as_url", [True, False])
def test_local_archive_is_verified_and_not_copied(tmp_path: Path, as_url: bool) -> None:
    path = tmp_path / "my set.zip"
    path.write_bytes(CONTENT)
    config = archive(path.as_uri() if as_url else path)
    assert fetch_archive(config, tmp_path / "cache").samefile(path)
    assert not (tmp_path / "cache").exists()
    path.write_bytes(CONTENT[1:])
    with pytest.raises(AenetError, match="SHA-256"):
        fetch_archive(config, tmp_path / "cache")
    assert path.exists(), "a file of the user is never deleted"
    with pytest.raises(AenetError, match="max_bytes is 10"):
        fetch_archive(archive(path, max_bytes=10), tmp_path / "cache")
    path.unlink()
    with pytest.raises(AenetError, match="does not exist"):
        fetch_archive(config, tmp_path / "cache")


@pytest.mark.parametrize("wrong", [{"sha256": "abc"}, {"max_bytes": 0}, {"source": ""}])
def test_settings_that_cannot_work_are_refused(wrong: dict[str, object]) -> None:
    good = {"source": "https://host/x", "sha256": "0" * 64}
    check_source(SourceConfig.model_validate(good))
    with pytest.raises(ValidationError):
        SourceConfig.model_validate(good | wrong)


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"source": "ftp://host/x"}, "scheme 'ftp' is not supported"),
        ({"source": "data:,x"}, "scheme 'data'"),
        ({"sha256": None}, "set download.sha256"),
        ({"source": "https://me:secret@host/x"}, "AENET_DOWNLOAD_PASSWORD in the environment"),
    ],
)
def test_sources_that_cannot_work_are_refused_and_no_password_is_repeated(
    wrong: dict[str, object], sentence: str
) -> None:
    with pytest.raises(AenetError, match=sentence) as caught:
        check_source(SourceConfig.model_validate({"source": "https://host/x", "sha256": "0" * 64} | wrong))
    assert "secret" not in str(caught.value)


def test_part_is_only_readable_through_its_notes(tmp_path: Path) -> None:
    """A kill between creating the part and its notes must not leave bytes of unknown origin in use."""
    with serving(FileServer(CONTENT)) as server:
        config = archive(server.url)
        (tmp_path / f"{config.sha256}.part").write_bytes(os.urandom(1000))
        assert fetch_archive(config, tmp_path).read_bytes() == CONTENT
    assert server.asked == [None]


def test_b9_a_part_that_is_a_link_is_worth_nothing_and_never_written_through(tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.write_bytes(CONTENT[:1000])
    with serving(FileServer(CONTENT)) as server:
        config = archive(server.url)
        part = Part(tmp_path / f"{config.sha256}.part")
        part.begin('"one"', len(CONTENT))
        part.path.unlink()
        part.path.symlink_to(mine)
        with pytest.raises(AenetError, match=r"\.part is a link"):
            part.open()
        path = fetch_archive(config, tmp_path)
    assert server.asked == [None]
    assert path.read_bytes() == CONTENT and not path.is_symlink()
    assert mine.read_bytes() == CONTENT[:1000]


BASIC = "Basic bWU6czNjcmV0"  # base64 of me:s3cret


def basic(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AENET_DOWNLOAD_USER", "me")
    monkeypatch.setenv("AENET_DOWNLOAD_PASSWORD", "s3cret")


def test_user_and_password_come_from_the_environment_on_every_attempt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    basic(monkeypatch)
    with serving(FileServer(CONTENT, wants=BASIC, drop_at=[300_000])) as server:
        assert fetch_archive(archive(server.url), tmp_path).read_bytes() == CONTENT
    assert server.authorized == [BASIC, BASIC]


def test_missing_and_wrong_credentials_say_where_they_belong_and_never_what_they_were(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(FileServer(CONTENT, wants=BASIC)) as server:
        with pytest.raises(AenetError, match=r"401.*set AENET_DOWNLOAD_USER and AENET_DOWNLOAD_PASSWORD, or"):
            fetch_archive(archive(server.url), tmp_path)
        monkeypatch.setenv("AENET_DOWNLOAD_TOKEN", "wrong-s3cret")
        with pytest.raises(AenetError, match="401") as caught:
            fetch_archive(archive(server.url + "?sig=s3cret"), tmp_path)
    assert len(server.asked) == 2, "a refused password is not sent again and again"
    assert "s3cret" not in str(caught.value)
    assert left_in(tmp_path) == set()


def test_credentials_follow_a_redirect_on_their_host_and_no_further(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    basic(monkeypatch)
    with serving(FileServer(CONTENT)) as home, serving(FileServer(OTHER)) as away:
        home.redirect = home.url
        moved = home.url.replace("set.zip", "moved")
        fetch_archive(archive(moved), tmp_path)
        home.redirect = away.url
        fetch_archive(archive(moved, OTHER), tmp_path)
    assert home.authorized == [BASIC, BASIC, BASIC]
    assert away.authorized == [None]


@pytest.mark.parametrize(
    ("names", "sentence"),
    [
        (["USER"], "only one is set"),
        (["PASSWORD"], "only one is set"),
        (["USER", "PASSWORD", "TOKEN"], "keep the one"),
        (["TOKEN"], "unencrypted over http"),
    ],
)
def test_credentials_that_cannot_be_right_are_not_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, names: list[str], sentence: str
) -> None:
    for name in names:
        monkeypatch.setenv(f"AENET_DOWNLOAD_{name}", "s3cret")
    with pytest.raises(AenetError, match=sentence) as caught:
        fetch_archive(archive("http://example.org/set.zip"), tmp_path)
    assert "s3cret" not in str(caught.value)


def test_a_signed_address_is_asked_for_with_the_query_of_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AENET_DOWNLOAD_QUERY", "?sig=s3cret&se=1")
    with serving(FileServer(CONTENT)) as server:
        fetch_archive(archive(server.url), tmp_path)
        fetch_archive(archive(server.url + "?v=2"), tmp_path / "other")
        fetch_archive(archive(server.url + "#part"), tmp_path / "fragment")
    signed = "/set.zip?sig=s3cret&se=1"
    assert server.paths == [signed, "/set.zip?v=2&sig=s3cret&se=1", signed]
    with pytest.raises(AenetError, match="unencrypted over http") as caught:
        fetch_archive(archive("http://example.org/set.zip"), tmp_path / "third")
    assert "s3cret" not in str(caught.value)


def test_a_login_page_in_the_place_of_the_archive_is_called_one(tmp_path: Path) -> None:
    with (
        serving(FileServer(b"<!DOCTYPE html><html>Please log in</html>")) as server,
        pytest.raises(AenetError, match="web page, perhaps one that asks to log in"),
    ):
        fetch_archive(archive(server.url), tmp_path)


# --- Servers that cost time and bytes


def test_b9_bytes_that_come_again_and_again_are_no_progress(tmp_path: Path) -> None:
    """Each answer is of another file and breaks off a little later than the one before: nothing can be gone on from."""
    drops = list(range(100_000, 1_000_000, 2_000))
    with serving(FileServer(CONTENT, ranges=False, drop_at=drops, changing=True)) as server:
        with pytest.raises(
            AenetError, match=r"the server sent \d+ bytes of which \d+ are new .*are kept: run it again"
        ):
            fetch_archive(archive(server.url), tmp_path)
        assert len(server.asked) < 20 and sum(server.served) < 4 * max(server.served) + (2 << 20)


@pytest.mark.parametrize("obeys_if_range", [True, False])
def test_b9_a_file_that_changes_in_every_answer_is_given_up(tmp_path: Path, obeys_if_range: bool) -> None:
    with serving(FileServer(CONTENT, drop_at=[300_000] * 500, changing=True, obeys_if_range=obeys_if_range)) as server:
        with pytest.raises(AenetError, match="given up after 4 failed attempts in a row"):
            fetch_archive(archive(server.url), tmp_path)
        assert len(server.asked) <= 8


def test_b9_a_byte_a_request_is_no_progress(tmp_path: Path) -> None:
    with serving(FileServer(CONTENT, drop_at=[1] * 500)) as server:
        with pytest.raises(AenetError, match="given up after 4 failed attempts in a row"):
            fetch_archive(archive(server.url), tmp_path)
        assert len(server.asked) == 4


class Clock:
    """Seconds that pass while a server sends; sleeping takes as many."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, a_look_s: float) -> None:
        self.now, self._step, self.slept = 0.0, a_look_s, []
        monkeypatch.setattr("aenet.ingest.archive.transfer.time", self)

    def monotonic(self) -> float:
        self.now += self._step
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


def test_b9_a_least_rate_is_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By hand: with a second at every look no more than 30 looks, of 64 KiB at most, fall into a timeout of 30 s."""
    Clock(monkeypatch, 1.0)
    with (
        serving(FileServer(CONTENT, length=False, endless=True, ranges=False)) as server,
        pytest.raises(AenetError, match=r"given up after 3 .*bytes in 30 s, least_bytes_per_s is 100000"),
    ):
        fetch_archive(archive(server.url, least_bytes_per_s=100_000, retries=2), tmp_path)


def test_b9_a_deadline_holds_for_all_attempts_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch, 1.0)
    with serving(FileServer(CONTENT, drop_at=[65_536] * 500)) as server:
        with pytest.raises(AenetError, match=r"not whole within deadline_s = 40 s; \d+ bytes are kept"):
            fetch_archive(archive(server.url, deadline_s=40.0, least_bytes_per_s=0), tmp_path)
        assert clock.now < 45
        assert fetch_archive(archive(server.url), tmp_path).read_bytes() == CONTENT, "the next run goes on from there"
    lost = sum(server.served) - len(CONTENT)
    assert 0 <= lost <= 65_536, "at most the answer that the deadline cut short was sent in vain"


@pytest.mark.parametrize("raw", [b"HTTP/1.1 200 OK\r\nX: ", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;"])
def test_b9_heads_that_never_end_are_cut_off(tmp_path: Path, raw: bytes) -> None:
    """A byte comes every 20 ms, so that the socket itself never times out."""
    with serving(FileServer(b"", raw=raw, drips=True)) as server:
        with pytest.raises(AenetError, match=r"given up after 2 .*nothing whole came within 0\.[36] s"):
            fetch_archive(archive(server.url, CONTENT, timeout_s=0.3, retries=1), tmp_path)
        assert len(server.asked) == 2
        waits = 0
        while server.broken < 2 and waits < 500:  # the server notices at its next byte
            waits += not time.sleep(0.02)
        assert server.broken == 2, "the connection is closed, and not left behind"


def test_b9_a_server_that_says_when_is_asked_then(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch, 0.0)
    with serving(FileServer(CONTENT, statuses=[503, 429], retry_after="17")) as server:
        assert fetch_archive(archive(server.url), tmp_path).read_bytes() == CONTENT
        assert clock.slept == [17.0, 17.0]
        server.statuses, server.retry_after = [503], "86400"
        with pytest.raises(AenetError, match=r"503 .* asks to wait 86400 s: run it again then"):
            fetch_archive(archive(server.url), tmp_path / "b")
        odd = ("soon", "Wed, 21 Oct 2015 07:28:00 GMT", "-5", "9" * 400, "Wed, 99 Oct 2015 07:28:00 GMT")
        for number, text in enumerate(odd):
            server.statuses, server.retry_after = [503], text
            fetch_archive(archive(server.url), tmp_path / str(number))
    assert clock.slept[2:] == [0.0] * 5


@pytest.mark.parametrize(
    "notes",
    [
        "[1, 2]", "5", "null", '{"validator": 5, "total": 1}', '{"validator": null, "total": -1}', "[" * 50_000,
        '{"validator": "a\\r\\nX: y", "total": 1}', '{"validator": "\u00fc", "total": 1}', '{"total": 1000}', "\xff",
    ],
)  # fmt: skip
def test_b9_damaged_notes_begin_the_download_anew(tmp_path: Path, notes: str) -> None:
    with serving(FileServer(CONTENT)) as server:
        config = archive(server.url)
        (tmp_path / f"{config.sha256}.part").write_bytes(CONTENT[:1000])
        (tmp_path / f"{config.sha256}.part.json").write_text(notes, encoding="latin-1")
        assert fetch_archive(config, tmp_path).read_bytes() == CONTENT
    assert server.asked == [None]
    assert left_in(tmp_path) == {config.sha256}


@pytest.mark.parametrize(
    "raw",
    [
        b"HTTP/1.1 404 \x1b]0;owned\x07\x1b[2Jgone\r\n\r\n",
        b"HTTP/1.1 302 Found\r\nLocation: ftp://h/\x1b[2J\r\n\r\n",
        b"HTTP/1.1 302 Found\r\nLocation: http://[\x1b[2J\r\n\r\n",
        b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:port/\x1b\r\n\r\n",
        b"\x1b[31mnot HTTP at all\r\n\r\n",
        b"HTTP/1.1 500 " + b"x" * 60_000 + b"\x1b\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999999\r\n\r\n",
        b'HTTP/1.1 200 OK\r\nETag: "a\r\n b"\r\nContent-Length: 5\r\n\r\nab',
        b"HTTP/1.1 206 OK\r\nContent-Range: bytes 0-1/" + b"9" * 5000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\n",
        b"",
    ],
)
def test_b9_what_a_server_says_moves_no_cursor(tmp_path: Path, raw: bytes) -> None:
    with serving(FileServer(b"", raw=raw)) as server, pytest.raises(AenetError) as caught:
        fetch_archive(archive(server.url, CONTENT, retries=1, max_bytes=10**9), tmp_path)
    assert str(caught.value).isprintable() and len(str(caught.value)) < 600
    assert len(server.asked) <= 3
