"""Resumable download over HTTP: a killed or dropped transfer goes on where it stopped.

The rest is asked for by Range under If-Range, so a file that changed on the server starts again from nothing, as it
does with a server that ignores Range. Whether the bytes are the right ones is for the caller's digest to say.

A server may be slow, busy, forgetful or hostile, and each has an end: an attempt counts only for the bytes that it
brought beyond all before it, and only at a least rate; bytes that come again and again are given up, and so is what
does not end by a deadline.
"""

import email.utils
import http.client
import re
import socket
import ssl
import time
import urllib.error
from collections.abc import Iterator
from datetime import UTC, datetime

from aenet.ingest.archive.archiveconfig import HINT, NotedProgress, SourceConfig
from aenet.ingest.archive.request import Part, Watch, is_validator, open_request, printable
from aenet.io.errors import AenetError
from aenet.io.plainfiles import SHORT

_CHUNK = 64 * 1024
_LONGEST_PAUSE_S = 60.0
_LONGEST_WAIT_S = 600.0  # that a server may ask for
_AGAIN, _AGAIN_BYTES = 3, 1 << 20  # bytes received, at most so many times those kept, and so many more
_TRANSIENT = (408, 425, 429, 500, 502, 503, 504)
_RANGE = re.compile(r"bytes (\d{1,18})-\d{1,18}/(\d{1,18}|\*)")


class _Dropped(Exception):
    """This attempt failed; another may succeed, after so many seconds."""

    def __init__(self, why: str, wait_s: float = 0.0) -> None:
        super().__init__(why)
        self.wait_s = wait_s


def complete_part(config: SourceConfig, part: Part, progress: NotedProgress | None = None) -> None:
    """Complete `part` from `config.source`.

    Raises:
        AenetError: the server refuses, the file is larger than `max_bytes`, `retries` attempts in a row brought
            nothing new, the same bytes came too often, or `deadline_s` is over; in the last three cases the part stays
            for the next run.
    """
    transfer = _Transfer(config, part, progress)
    failures, most = 0, part.size()
    while True:
        began = time.monotonic()
        try:
            transfer.attempt()
            return
        except _Dropped as error:
            new = part.size() - most
            most = max(most, part.size())
            enough = new > config.least_bytes_per_s * max(time.monotonic() - began, _A_MOMENT_S)
            failures = 1 if enough else failures + 1
            kept = f"{part.size()} bytes are kept: run it again to go on from there"
            if failures > config.retries:
                raise AenetError(
                    f"{config.shown}: given up after {failures} failed attempts in a row ({error}); {kept}"
                ) from error
            if transfer.received > _AGAIN * most + _AGAIN_BYTES:
                raise AenetError(
                    f"{config.shown}: given up, the server sent {transfer.received} bytes of which {most} are new "
                    f"({error}); {kept}"
                ) from error
            pause = max(error.wait_s, min(config.backoff_s * 2 ** (failures - 1), _LONGEST_PAUSE_S))
            transfer.check_deadline(pause)
            time.sleep(pause)


_A_MOMENT_S = 0.01  # an attempt takes at least: one byte a request is no progress


class _Transfer:
    """The attempts of one complete_part, and what they have cost."""

    def __init__(self, config: SourceConfig, part: Part, progress: NotedProgress | None) -> None:
        self.config, self.part, self.progress = config, part, progress
        self.received = 0
        self._until = time.monotonic() + config.deadline_s

    def check_deadline(self, pause_s: float = 0.0) -> None:
        """Refuse to go on, or to go on after a pause, where the deadline is over by then."""
        if time.monotonic() + pause_s > self._until:
            raise AenetError(
                f"{self.config.shown}: given up, it is not whole within deadline_s = {self.config.deadline_s:g} s; "
                f"{self.part.size()} bytes are kept: run it again to go on from there"
            )

    def attempt(self) -> None:
        """Ask once for what is missing, and take it."""
        config, part, watch = self.config, self.part, Watch()
        size, said = part.size(), part.said()
        if size and size == said.total:
            return  # killed between the last byte and the rename
        try:
            with watch.within(config.timeout_s):
                response = open_request(config, size, said.validator, watch)
        except urllib.error.HTTPError as error:
            _refused(config, part, error)
            return
        except AenetError:
            raise
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise _problem(config, error, watch) from error
        with response:
            if watch.ran_out:  # then what came of the head passes for all of it
                raise _Dropped(watch.ran_out)
            size, total = _place(response, part, size)
            _check(config, part, total or size)
            with part.open() as file:
                for chunk in self._chunks(response, watch):
                    size += len(chunk)
                    _check(config, part, size)
                    file.write(chunk)
                    file.flush()  # so that a kill loses this chunk at most
                    if self.progress is not None:
                        self.progress(size, total or 0, "download")
        if total is not None and size < total:
            raise _Dropped(f"the connection ended at {size} of {total} bytes")

    def _chunks(self, response: http.client.HTTPResponse, watch: Watch) -> Iterator[bytes]:
        """Yield what comes, for as long as it comes at the least rate, looked at every `timeout_s`."""
        timeout_s, least = self.config.timeout_s, self.config.least_bytes_per_s
        while True:
            began, came = time.monotonic(), 0
            with watch.within(2 * timeout_s):
                while time.monotonic() - began < timeout_s:
                    chunk = _next_chunk(response, watch)
                    if not chunk and watch.ran_out:
                        raise _Dropped(watch.ran_out)
                    if not chunk:
                        return
                    came += len(chunk)
                    self.received += len(chunk)
                    self.check_deadline()
                    yield chunk
            if came < least * timeout_s:
                raise _Dropped(f"{came} bytes in {timeout_s:g} s, least_bytes_per_s is {least}")


def _next_chunk(response: http.client.HTTPResponse, watch: Watch) -> bytes:
    try:
        return response.read1(_CHUNK)
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise _Dropped(f"the connection broke: {watch.ran_out or printable(error)}") from error


def _place(response: http.client.HTTPResponse, part: Part, size: int) -> tuple[int, int | None]:
    """Return (bytes already there, bytes in all) for a response, beginning anew where it holds the whole file."""
    validator = _validator(response)
    if response.status == 206:
        match = _RANGE.fullmatch(response.headers.get("Content-Range", ""))
        said = part.said()
        changed = None not in (validator, said.validator) and validator != said.validator
        if match is None or int(match[1]) != size or changed:
            part.delete()
            raise _Dropped("the server answered with another range or another file than the one begun")
        return size, said.total if match[2] == "*" else int(match[2])
    total = None if response.length is None else int(response.length)
    part.begin(validator, total)
    return 0, total


def _validator(response: http.client.HTTPResponse) -> str | None:
    """What If-Range may carry: a strong ETag, else the date."""
    etag = response.headers.get("ETag")
    found = etag if etag and not etag.startswith("W/") else response.headers.get("Last-Modified")
    return found if is_validator(found) else None


def _check(config: SourceConfig, part: Part, size: int) -> None:
    if size > config.max_bytes:
        part.delete()
        raise AenetError(f"{config.shown} has at least {size} bytes, max_bytes is {config.max_bytes}: refused")


def _refused(config: SourceConfig, part: Part, error: urllib.error.HTTPError) -> None:
    """Judge an HTTP error; returns where it says that the part is already complete."""
    with error:
        if error.code == 416 and part.size():
            if error.headers.get("Content-Range") == f"bytes */{part.size()}":
                return
            part.delete()
            raise _Dropped("the file on the server is now shorter than the part begun")
        said = f"the server answered {error.code} {printable(error.reason)}"
        if error.code in _TRANSIENT:
            wait_s = _wait_s(error.headers.get("Retry-After"))
            if wait_s > _LONGEST_WAIT_S:
                raise AenetError(f"{config.shown}: {said} and asks to wait {wait_s:.0f} s: run it again then")
            raise _Dropped(said, wait_s)
        way_out = f"set {HINT} in the environment, or correct them" if error.code in (401, 403) else "check the URL"
        raise AenetError(f"{config.shown}: {said}; {way_out}")


def _wait_s(said: str | None) -> float:
    """Return the seconds that Retry-After asks for (RFC 9110, 10.2.3: seconds or a date), 0 where it says none."""
    if said is None:
        return 0.0
    if re.fullmatch(r"\d{1,9}", said.strip()):
        return float(said)
    try:
        until = email.utils.parsedate_to_datetime(said)
        return max(0.0, (until - datetime.now(until.tzinfo and UTC)).total_seconds())
    except (ValueError, TypeError, OverflowError):
        return 0.0


def _problem(config: SourceConfig, error: Exception, watch: Watch) -> Exception:
    """A wrong host name, address or certificate will not get better; everything else may."""
    reason = getattr(error, "reason", error)
    if isinstance(reason, OSError) and reason.errno in SHORT:
        return reason
    unknown_host = isinstance(reason, socket.gaierror) and reason.errno == socket.EAI_NONAME
    no_address = isinstance(reason, http.client.InvalidURL) or (
        isinstance(reason, ValueError) and not isinstance(reason, OSError)
    )
    if unknown_host or no_address or isinstance(reason, ssl.SSLCertVerificationError):
        return AenetError(f"{config.shown} cannot be reached ({printable(reason)}); check the URL")
    return _Dropped(watch.ran_out or printable(reason))
