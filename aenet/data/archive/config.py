"""What a packed data set is, and how large it may be: the settings shared by download, unpack and fetch."""

from collections.abc import Callable
from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator

from aenet.params import Config

# (done, total, what): bytes for "download" and "unpack", files for "check"; total is 0 where nobody knows it.
Progress = Callable[[int, int, str], None]


class ArchiveConfig(Config):
    """A data set packed as zip or tar (plain, .gz, .bz2 or .xz).

    Attributes:
        url: http, https or file URL, or a local path.
        sha256: digest of the archive, 64 hexadecimal digits; nothing is unpacked before it matches.
        max_bytes: largest archive accepted.
        max_unpacked_bytes, max_members: what the archive may grow to; counted while reading, for headers can lie.
        timeout_s: longest silence of the server.
        retries: failed attempts in a row, none with a new byte, before giving up.
        backoff_s: pause after the first failure; doubles with each one in a row, up to a minute.
    """

    kind: Literal["archive"]
    url: str = Field(min_length=1)
    sha256: str = Field(pattern="^[0-9a-fA-F]{64}$")
    max_bytes: int = Field(default=100 * 2**30, ge=1)
    max_unpacked_bytes: int = Field(default=200 * 2**30, ge=1)
    max_members: int = Field(default=1_000_000, ge=1)
    timeout_s: float = Field(default=60.0, gt=0)
    retries: int = Field(default=6, ge=0)
    backoff_s: float = Field(default=1.0, ge=0)

    @field_validator("url")
    @classmethod
    def _known_scheme(cls, url: str) -> str:
        if (scheme := urlsplit(url).scheme) not in ("", "http", "https", "file"):
            raise ValueError(f"scheme '{scheme}' is not supported: use http, https, file or a local path")
        return url
