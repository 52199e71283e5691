"""Where a data set comes from and how large it may be: the settings shared by download, unpack and fetch."""

from collections.abc import Callable
from urllib.parse import urlsplit

from pydantic import Field

from aenet.errors import AenetError
from aenet.params import Config

# (done, total, what): bytes for "download" and "unpack", files for "check"; total is 0 where nobody knows it.
Progress = Callable[[int, int, str], None]


class SourceConfig(Config):
    """A directory, or an archive packed as zip or tar (plain, .gz, .bz2 or .xz) at a local path or an address.

    Attributes:
        source: a directory, a local archive, or the http, https or file URL of one.
        sha256: digest of the archive, 64 hexadecimal digits; nothing is unpacked before it matches. Needed for a URL.
        max_bytes: largest archive accepted.
        max_unpacked_bytes, max_members: what the archive may grow to; counted while reading, for headers can lie.
        timeout_s: longest silence of the server.
        retries: failed attempts in a row, none with a new byte, before giving up.
        backoff_s: pause after the first failure; doubles with each one in a row, up to a minute.
    """

    source: str = Field(min_length=1)
    sha256: str | None = Field(default=None, pattern="^[0-9a-fA-F]{64}$")
    max_bytes: int = Field(default=100 * 2**30, ge=1)
    max_unpacked_bytes: int = Field(default=200 * 2**30, ge=1)
    max_members: int = Field(default=1_000_000, ge=1)
    timeout_s: float = Field(default=60.0, gt=0)
    retries: int = Field(default=6, ge=0)
    backoff_s: float = Field(default=1.0, ge=0)

    @property
    def is_remote(self) -> bool:
        """True where the source is fetched over HTTP."""
        return urlsplit(self.source).scheme.lower() in ("http", "https")

    @property
    def shown(self) -> str:
        """The source as errors, manifests and journals may show it: a signed URL's query is a credential."""
        return self.source.partition("?")[0] + "?..." if self.is_remote and "?" in self.source else self.source


def check_source(config: SourceConfig) -> None:
    """Refuse a source that cannot work, before anything of it is recorded.

    Not a validator of the configuration: its message would quote the value, password and all.

    Raises:
        AenetError: the scheme is unknown, the URL holds a user or password, or a URL comes without digest.
    """
    parts = urlsplit(config.source)
    if parts.scheme not in ("", "http", "https", "file"):
        raise AenetError(f"download.source: scheme '{parts.scheme}' is not supported: use http, https or a local path")
    if "@" in parts.netloc:
        raise AenetError(
            f"download.source names a user or password for {parts.hostname}: params.yaml is no place for them; "
            "set AENET_DOWNLOAD_USER and AENET_DOWNLOAD_PASSWORD in the environment"
        )
    if config.is_remote and config.sha256 is None:
        raise AenetError(f"{config.shown} is fetched over a network: set download.sha256 to the archive's digest")
