"""A download: the part that is there, and one HTTP request for the rest, with credentials to one host only."""

import http.client
import os
import socket
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, cast

from pydantic import Field, ValidationError, field_validator

from aenet.ingest.archive.archiveconfig import SourceConfig, authorization, same_host, signed
from aenet.io.atomic import write_json
from aenet.io.nolinks import open_unlinked
from aenet.io.params import Config
from aenet.io.plainfiles import CannotRead, read_plain

# A download in progress: its bytes, and what the server said of the file when it began.

_NOTES_BYTES = 64 * 1024
_LONGEST_VALIDATOR = 1024


class Said(Config):
    """What the server said when a part began.

    Attributes:
        validator: an entity tag or a date, None where it gave none.
        total: bytes of the whole file, None where it did not say.
    """

    validator: str | None
    total: int | None = Field(ge=0)

    @field_validator("validator")
    @classmethod
    def _can_be_sent(cls, value: str | None) -> str | None:
        if value is not None and not is_validator(value):
            raise ValueError("no header can carry it")
        return value


_NOTHING = Said(validator=None, total=None)


def is_validator(value: str | None) -> bool:
    """True for what a header can carry back to the server."""
    return value is not None and value.isascii() and value.isprintable() and 0 < len(value) <= _LONGEST_VALIDATOR


@dataclass(frozen=True)
class Part:
    """The bytes so far of a download, and beside them what the server said of the file (`.json`)."""

    path: Path

    @property
    def notes(self) -> Path:
        return self.path.with_name(self.path.name + ".json")

    def size(self) -> int:
        """Bytes so far; behind a link or without readable notes they are worth nothing and are dropped."""
        if self.path.is_symlink() or not self.path.is_file() or self._read() is None:
            self.delete()
            return 0
        return self.path.stat().st_size

    def said(self) -> Said:
        """Return what the server said when this part began."""
        return self._read() or _NOTHING

    def begin(self, validator: str | None, total: int | None) -> None:
        """Start from nothing."""
        self.delete()
        write_json(self.notes, {"validator": validator, "total": total})
        self.open().close()

    def open(self) -> BinaryIO:
        """Open it to add bytes; never through a link, which anybody may have put into a shared cache.

        Raises:
            CorruptArtifact: it is a link, or no regular file.
        """
        return os.fdopen(open_unlinked(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND), "ab")

    def delete(self) -> None:
        """Remove the bytes and the notes."""
        self.path.unlink(missing_ok=True)
        self.notes.unlink(missing_ok=True)

    def _read(self) -> Said | None:
        try:
            return Said.model_validate_json(read_plain(self.notes, _NOTES_BYTES))
        except (CannotRead, ValidationError):
            return None


_LONGEST_SAID = 200


class Watch:
    """Ends a connection that takes too long, though it may bring a byte now and then: a socket's timeout does not.

    Attributes:
        ran_out: what happened, in words; empty while nothing has.
    """

    def __init__(self) -> None:
        self.ran_out = ""
        self._socket: socket.socket | None = None

    def connected(self, to: socket.socket) -> None:
        """Take the connection that is to be watched."""
        self._socket = to

    @contextmanager
    def within(self, seconds: float) -> Iterator[None]:
        """End the connection unless the block ends within so many seconds."""
        timer = threading.Timer(seconds, self._end, (seconds,))
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def _end(self, seconds: float) -> None:
        self.ran_out = f"nothing whole came within {seconds:g} s"
        if self._socket is not None:
            with suppress(OSError):  # it has ended by itself
                self._socket.shutdown(socket.SHUT_RDWR)


def open_request(config: SourceConfig, size: int, validator: str | None, watch: Watch) -> http.client.HTTPResponse:
    """Ask for the source from byte `size` on, if it is still the file that `validator` names.

    Raises:
        AenetError: the credentials in the environment cannot be right, or would travel unencrypted.
        OSError, HTTPException, ValueError: the server cannot be reached, or answers with an error or with nonsense.
    """
    headers = {"User-Agent": "aenet", "Accept-Encoding": "identity"}
    if size:
        headers["Range"] = f"bytes={size}-"
        if validator is not None:
            headers["If-Range"] = validator
    opener = urllib.request.OpenerDirector()  # build_opener would bring file:, ftp: and data: along
    for handler in (
        urllib.request.ProxyHandler(),
        _Watched(watch),
        _WatchedTls(watch),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.HTTPDefaultErrorHandler(),
        _HttpRedirects(),
    ):
        opener.add_handler(handler)
    url = signed(config.source)
    request = urllib.request.Request(url, headers=headers)  # noqa: S310  the scheme is checked by the config
    if (credentials := authorization(config.source)) is not None:
        request.add_unredirected_header("Authorization", credentials)
    response = opener.open(request, timeout=config.timeout_s)
    return cast(http.client.HTTPResponse, response)  # typeshed allows for file: and ftp: answers


def printable(said: object) -> str:
    """Return what a server or a library said on one line, cut, and without characters that move a terminal's cursor."""
    text = " ".join(str(said).split())
    cut = text[:_LONGEST_SAID] + "..." * (len(text) > _LONGEST_SAID)
    return "".join(letter if letter.isprintable() else "?" for letter in cut)


class _Connection(http.client.HTTPConnection):
    def __init__(self, *arguments: Any, watch: Watch, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._watch = watch

    def connect(self) -> None:
        super().connect()
        self._watch.connected(self.sock)


class _TlsConnection(_Connection, http.client.HTTPSConnection):
    """The same over TLS."""


class _Watched(urllib.request.HTTPHandler):
    def __init__(self, watch: Watch) -> None:
        super().__init__()
        self._watch = watch

    def http_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(cast(Any, partial(_Connection, watch=self._watch)), req)


class _WatchedTls(urllib.request.HTTPSHandler):
    def __init__(self, watch: Watch) -> None:
        super().__init__()
        self._watch = watch

    def https_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(cast(Any, partial(_TlsConnection, watch=self._watch)), req)


class _HttpRedirects(urllib.request.HTTPRedirectHandler):
    """Follow redirects to http and https only, for urllib alone would also follow ftp; credentials stay at home."""

    def redirect_request(
        self, req: urllib.request.Request, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        if not newurl.startswith(("http://", "https://")):
            raise urllib.error.HTTPError(newurl, code, f"Redirection to url '{newurl}' is not allowed", headers, fp)
        request = super().redirect_request(req, fp, code, msg, headers, newurl)
        credentials = req.get_header("Authorization")
        if request is not None and credentials is not None and same_host(req.full_url, newurl):
            request.add_unredirected_header("Authorization", credentials)
        return request
