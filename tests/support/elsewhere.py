"""What a map may name of elsewhere: a secret map, or a server, which keeps what it is asked."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import numpy as np

COLOUR = (251, 3, 247)  # of the secret map; the world's has no such pixel


class Server(ThreadingHTTPServer):
    """Answers 404 and keeps what it was asked."""

    asked: list[str]


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.server.asked.append(self.path)  # type: ignore[attr-defined]  # a Server
        self.send_error(404)

    do_HEAD = do_GET  # noqa: N815  http.server's names

    def log_message(self, *arguments: object) -> None:
        """Say nothing."""


@contextmanager
def listening() -> Iterator[Server]:
    """Let one listen on a port of its own meanwhile."""
    made = Server(("127.0.0.1", 0), _Handler)
    made.asked = []
    thread = Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield made
    finally:
        made.shutdown()
        thread.join()
        made.server_close()


def _path(secret: Path, server: Server) -> str:
    return str(secret)


def _address(secret: Path, server: Server) -> str:
    return f"/vsicurl/http://127.0.0.1:{server.server_port}/o.tif"


def _archive(secret: Path, server: Server) -> str:
    return f"/vsizip//vsicurl/http://127.0.0.1:{server.server_port}/o.zip/o.tif"


def _service(secret: Path, server: Server) -> str:
    return (
        f'<GDAL_WMS><Service name="TMS"><ServerUrl>http://127.0.0.1:{server.server_port}/${{z}}/${{x}}/${{y}}.png'
        "</ServerUrl></Service><DataWindow><UpperLeftX>0</UpperLeftX><UpperLeftY>0</UpperLeftY><LowerRightX>1</LowerRightX>"
        "<LowerRightY>1</LowerRightY><SizeX>400</SizeX><SizeY>320</SizeY><TileLevel>2</TileLevel></DataWindow>"
        "<BandsCount>3</BandsCount></GDAL_WMS>"
    )


def _virtual(secret: Path, server: Server) -> str:
    bands = "".join(
        f'<VRTRasterBand dataType="Byte" band="{band}"><SimpleSource><SourceFilename>{secret}</SourceFilename>'
        f"<SourceBand>{band}</SourceBand></SimpleSource></VRTRasterBand>"
        for band in (1, 2, 3)
    )
    return f'<VRTDataset rasterXSize="200" rasterYSize="160">{bands}</VRTDataset>'


def _connection(secret: Path, server: Server) -> str:
    return f"vrt://{secret}?bands=1,2,3"


Named = Callable[[Path, Server], str]
TARGETS = [_path, _address, _archive, _service, _virtual, _connection]


def shows_the_secret(pixels: list[np.ndarray]) -> bool:
    """Whether a fifth of a picture is of the secret colour."""
    return any((np.abs(part.astype(int) - COLOUR).max(-1) < 20).mean() > 0.2 for part in pixels)
