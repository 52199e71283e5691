"""Resumable download over HTTP: a killed or dropped transfer goes on where it stopped.

The rest is asked for by Range under If-Range, so a file that changed on the server starts again from nothing, as it
does with a server that ignores Range. Whether the bytes are the right ones is for the caller's digest to say.
"""

import http.client
import re
import socket
import ssl
import time
import urllib.error
from collections.abc import Iterator

from aenet.data.archive.config import Progress, SourceConfig
from aenet.data.archive.credentials import HINT
from aenet.data.archive.part import Part
from aenet.data.archive.request import open_request
from aenet.errors import AenetError

_CHUNK = 64 * 1024
_LONGEST_PAUSE_S = 60.0
_TRANSIENT = (408, 425, 429, 500, 502, 503, 504)


class _Dropped(Exception):
    """This attempt failed; another may succeed."""


def download(config: SourceConfig, part: Part, progress: Progress | None = None) -> None:
    """Complete `part` from `config.source`.

    Raises:
        AenetError: the server refuses, the file is larger than `max_bytes`, or `retries` attempts in a row brought
            nothing; in the last case the part stays for the next run.
    """
    failures = 0
    while True:
        before = part.size()
        try:
            _attempt(config, part, progress)
            return
        except _Dropped as error:
            failures = 1 if part.size() > before else failures + 1
            if failures > config.retries:
                raise AenetError(
                    f"{config.shown}: given up after {failures} failed attempts in a row ({error}); "
                    f"{part.size()} bytes are kept: run it again to go on from there"
                ) from error
            time.sleep(min(config.backoff_s * 2 ** (failures - 1), _LONGEST_PAUSE_S))


def _attempt(config: SourceConfig, part: Part, progress: Progress | None) -> None:
    size, said = part.size(), part.said()
    if size and size == said.get("total"):
        return  # killed between the last byte and the rename
    try:
        response = open_request(config, size, said.get("validator"))
    except urllib.error.HTTPError as error:
        _refused(config, part, error)
        return
    except (OSError, http.client.HTTPException) as error:
        raise _problem(config.shown, error) from error
    with response:
        size, total = _place(response, part, size)
        _check(config, part, total or size)
        with part.path.open("ab") as file:
            for chunk in _chunks(response):
                size += len(chunk)
                _check(config, part, size)
                file.write(chunk)
                file.flush()  # so that a kill loses this chunk at most
                if progress is not None:
                    progress(size, total or 0, "download")
    if total is not None and size < total:
        raise _Dropped(f"the connection ended at {size} of {total} bytes")


def _place(response: http.client.HTTPResponse, part: Part, size: int) -> tuple[int, int | None]:
    """Return (bytes already there, bytes in all) for a response, beginning anew where it holds the whole file."""
    validator = _validator(response)
    if response.status == 206:
        match = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", ""))
        said = part.said()
        changed = None not in (validator, said.get("validator")) and validator != said["validator"]
        if match is None or int(match[1]) != size or changed:
            part.delete()
            raise _Dropped("the server answered with another range or another file than the one begun")
        return size, said.get("total") if match[2] == "*" else int(match[2])
    total = None if response.length is None else int(response.length)
    part.begin(validator, total)
    return 0, total


def _validator(response: http.client.HTTPResponse) -> str | None:
    """What If-Range may carry: a strong ETag, else the date."""
    etag = response.headers.get("ETag")
    return etag if etag and not etag.startswith("W/") else response.headers.get("Last-Modified")


def _chunks(response: http.client.HTTPResponse) -> Iterator[bytes]:
    while True:
        try:
            chunk = response.read1(_CHUNK)
        except (OSError, http.client.HTTPException) as error:
            raise _Dropped(f"the connection broke: {error}") from error
        if not chunk:
            return
        yield chunk


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
        if error.code in _TRANSIENT:
            raise _Dropped(f"the server answered {error.code} {error.reason}")
        way_out = f"set {HINT} in the environment, or correct them" if error.code in (401, 403) else "check the URL"
        raise AenetError(f"{config.shown}: the server answered {error.code} {error.reason}; {way_out}")


def _problem(url: str, error: Exception) -> Exception:
    """A wrong host name, address or certificate will not get better; everything else may."""
    reason = getattr(error, "reason", error)
    unknown_host = isinstance(reason, socket.gaierror) and reason.errno == socket.EAI_NONAME
    if unknown_host or isinstance(reason, (ssl.SSLCertVerificationError, http.client.InvalidURL)):
        return AenetError(f"{url} cannot be reached ({reason}); check the URL")
    return _Dropped(f"{reason}")
