"""A real HTTP server on 127.0.0.1 for one file, with the habits of good and bad servers."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class FileServer:
    """What is served and how; `served` counts the body bytes of every answer, `asked` holds the Range headers."""

    content: bytes
    etag: str | None = '"one"'
    last_modified: str | None = None
    ranges: bool = True
    obeys_if_range: bool = True
    length: bool = True
    endless: bool = False
    drop_at: list[int | None] = field(default_factory=list)  # bytes after which each answer in turn breaks off
    statuses: list[int] = field(default_factory=list)  # answers given before the file, one a request
    redirect: str | None = None
    wants: str | None = None  # the Authorization header without which the answer is 401
    retry_after: str | None = None
    raw: bytes | None = None  # what is sent in the place of any answer
    drips: bool = False  # and a byte every now and then behind it, without end
    broken: int = 0  # connections that the client ended
    changing: bool = False  # another entity tag in every answer
    stall_at: int | None = None
    go_on: threading.Event = field(default_factory=threading.Event)
    served: list[int] = field(default_factory=list)
    asked: list[str | None] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    authorized: list[str | None] = field(default_factory=list)  # Authorization headers, one a request
    url: str = ""


class _Handler(BaseHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Silence."""

    def do_GET(self) -> None:
        spec: FileServer = self.server.spec  # type: ignore[attr-defined]  # set by `serving`
        spec.paths.append(self.path)
        spec.asked.append(self.headers.get("Range"))
        spec.authorized.append(self.headers.get("Authorization"))
        spec.served.append(0)
        if spec.redirect is not None and self.path == "/moved":
            self._head(302, {"Location": spec.redirect})
        elif spec.wants is not None and spec.authorized[-1] != spec.wants:
            self._head(401, {})
        elif spec.statuses:
            self._head(spec.statuses.pop(0), {} if spec.retry_after is None else {"Retry-After": spec.retry_after})
        elif spec.raw is not None:
            self._raw(spec)
        else:
            self._file(spec, len(spec.served) - 1)

    def _raw(self, spec: FileServer) -> None:
        """Bytes in the place of an answer; dripped, they are said again and again, one at a time."""
        assert spec.raw is not None
        try:
            self.wfile.write(spec.raw)
            while spec.drips and not spec.go_on.wait(0.02):
                self.wfile.write(b"x")
        except ConnectionError:
            spec.broken += 1

    def _file(self, spec: FileServer, request: int) -> None:
        start, headers, size = self._start(spec), {}, len(spec.content)
        if start >= size > 0:
            self._head(416, {"Content-Range": f"bytes */{size}"})
            return
        if spec.etag is not None:
            headers["ETag"] = f'"{len(spec.asked)}"' if spec.changing else spec.etag
        if spec.last_modified is not None:
            headers["Last-Modified"] = spec.last_modified
        if start:
            headers["Content-Range"] = f"bytes {start}-{size - 1}/{size}"
        if spec.length:
            headers["Content-Length"] = str(size - start)
        self._head(206 if start else 200, headers)
        stop = spec.drop_at.pop(0) if spec.drop_at else None
        try:
            while True:
                self._body(spec, request, start, size if stop is None else min(size, start + stop))
                if not spec.endless:
                    return
        except ConnectionError:
            return

    def _body(self, spec: FileServer, request: int, start: int, end: int) -> None:
        for at in range(start, end, 4096):
            if spec.stall_at is not None and at >= spec.stall_at:
                spec.go_on.wait(60)
            piece = spec.content[at : min(at + 4096, end)]
            self.wfile.write(piece)
            spec.served[request] += len(piece)

    def _start(self, spec: FileServer) -> int:
        asked, condition = self.headers.get("Range"), self.headers.get("If-Range")
        if asked is None or not spec.ranges:
            return 0
        if spec.obeys_if_range and condition not in (None, spec.etag, spec.last_modified):
            return 0
        return int(asked.removeprefix("bytes=").removesuffix("-"))

    def _head(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()


@contextmanager
def serving(spec: FileServer) -> Iterator[FileServer]:
    """Serve until the block ends; `spec.url` is the file's address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.spec = spec  # type: ignore[attr-defined]  # read by the handler
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    spec.url = f"http://127.0.0.1:{server.server_address[1]}/set.zip"
    try:
        yield spec
    finally:
        spec.go_on.set()
        server.shutdown()
        server.server_close()
        thread.join()
