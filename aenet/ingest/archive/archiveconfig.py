"""Where a data set comes from, how large it may be, and credentials for its download."""

import base64
import os
import re
from collections.abc import Callable
from urllib.parse import parse_qsl, urlsplit

from pydantic import Field

from aenet.io.errors import AenetError
from aenet.io.params import Config
from aenet.io.redaction import without_secrets

# Credentials for a download: from the environment, sent to one host, written nowhere.

USER, PASSWORD, TOKEN = "AENET_DOWNLOAD_USER", "AENET_DOWNLOAD_PASSWORD", "AENET_DOWNLOAD_TOKEN"
QUERY = "AENET_DOWNLOAD_QUERY"  # what a signed URL has behind its `?`
HINT = f"{USER} and {PASSWORD}, or {TOKEN}, or {QUERY}"
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


def authorization(url: str) -> str | None:
    """Return the Authorization header for `url` (RFC 7617 Basic, RFC 6750 Bearer), None without credentials.

    Raises:
        AenetError: only half of a pair is set, both kinds are set, or they would travel unencrypted.
    """
    user, password, token = (os.environ.get(name, "") for name in (USER, PASSWORD, TOKEN))
    if not (user or password or token):
        return None
    if token and (user or password):
        raise AenetError(f"{TOKEN} is set and {USER} or {PASSWORD} too: keep the one that the server wants")
    if not token and not (user and password):
        raise AenetError(f"of {USER} and {PASSWORD} only one is set: set both, or neither")
    _refuse_unencrypted(url)
    if token:
        return f"Bearer {_header_text(token, TOKEN)}"
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def signed(url: str) -> str:
    """Return `url` with the query of the environment, if there is one.

    Raises:
        AenetError: it would travel unencrypted, or holds characters that no address may.
    """
    query = os.environ.get(QUERY, "").lstrip("?")
    if not query:
        return url
    _refuse_unencrypted(url)
    address, mark, fragment = url.partition("#")
    return f"{address}{'&' if urlsplit(url).query else '?'}{_header_text(query, QUERY)}{mark}{fragment}"


def same_host(url: str, other: str) -> bool:
    """True where both name the same scheme, host and port: only there may credentials follow a redirect."""
    (a, b) = (urlsplit(each) for each in (url, other))
    return (a.scheme, a.hostname, a.port) == (b.scheme, b.hostname, b.port)


def _refuse_unencrypted(url: str) -> None:
    host = urlsplit(url).hostname or ""
    if urlsplit(url).scheme != "https" and host not in _LOOPBACK:
        raise AenetError(
            f"the credentials for {host} would travel unencrypted over http: use an https address, "
            "or fetch the file yourself and set download.source to its path"
        )


def _header_text(value: str, name: str) -> str:
    if not (value.isascii() and value.isprintable()) or " " in value:
        raise AenetError(f"{name} holds characters that no header may: copy it again, without a line break")
    return value


# Of Amazon, Google, Azure, CloudFront, and what else servers call a key: whole words, or within one.
_SECRET_NAME = re.compile(
    r"(?i)(?:^|[-_.])(?:sig|auth|pass|pwd|code|policy|jwt|session|expires)(?:$|[-_.])|"
    "signature|token|secret|passw|credential|access_?key|api_?key|authkey|rlkey|key-pair|"
    "[-_.](?:key|hash)$|(?:^|[-_.])(?:key|hash)[-_.]"
)
# What may be the name of a file or of a sum, or a key: judged by the value.
_PERHAPS = re.compile("(?i)key|hash")
# What servers call a file that anybody may have, whose name or number may well look made by a machine.
_PUBLIC = re.compile("(?i)(?:file|file_?name|files|path|dir|name|id|file_?id|persistent_?id|doi)")
_FILE = re.compile(r"(?i)\.(?:zip|tar|tgz|tbz2?|txz|gz|bz2|xz)$")

# (done, total, what): bytes for "download" and "unpack", files for "check"; total is 0 where nobody knows it.
NotedProgress = Callable[[int, int, str], None]


class SourceConfig(Config):
    """A directory, or an archive packed as zip or tar (plain, .gz, .bz2 or .xz) at a local path or an address.

    Attributes:
        source: a directory, a local archive, or the http, https or file URL of one.
        sha256: digest of the archive, 64 hexadecimal digits; nothing is unpacked before it matches. Needed for a URL.
        max_bytes: largest archive accepted.
        max_unpacked_bytes, max_members: what the archive may grow to; counted while reading, for headers can lie.
        timeout_s: longest silence of the server.
        least_bytes_per_s: rate below which an attempt has failed; looked at every `timeout_s`, and when one breaks.
        deadline_s: of the whole download.
        retries: failed attempts in a row, none with new bytes at the least rate, before giving up.
        backoff_s: pause after the first failure; doubles with each one in a row, up to a minute.
    """

    source: str = Field(min_length=1)
    sha256: str | None = Field(default=None, pattern="^[0-9a-fA-F]{64}$")
    max_bytes: int = Field(default=100 * 2**30, ge=1)
    max_unpacked_bytes: int = Field(default=200 * 2**30, ge=1)
    max_members: int = Field(default=1_000_000, ge=1)
    timeout_s: float = Field(default=60.0, gt=0)
    least_bytes_per_s: int = Field(default=1000, ge=0)
    deadline_s: float = Field(default=7 * 86400.0, gt=0)
    retries: int = Field(default=6, ge=0)
    backoff_s: float = Field(default=1.0, ge=0)

    @property
    def is_remote(self) -> bool:
        """True where the source is fetched over HTTP."""
        return urlsplit(self.source).scheme.lower() in ("http", "https")

    @property
    def shown(self) -> str:
        """The source as errors, manifests and journals may show it: a signed URL's query is a credential."""
        return without_secrets(self.source)


def refuse_credentials(source: str) -> None:
    """Refuse a URL that holds credentials: params.yaml and dvc.lock are in everybody's git.

    Raises:
        AenetError: names the host and the parameter, never its value, and where credentials belong.
    """
    try:
        parts = urlsplit(source)
    except ValueError as error:
        raise AenetError(f"download.source is no address ({error})") from error
    if "@" in parts.netloc:
        raise AenetError(
            f"download.source names a user or password for {parts.hostname}: params.yaml is no place for them; "
            f"set {USER} and {PASSWORD} in the environment"
        )
    if parts.scheme.lower() not in ("http", "https"):
        return
    if not parts.hostname:
        raise AenetError("download.source is an address without a host: write https://HOST/PATH")
    for name, value in parse_qsl(f"{parts.query}&{parts.fragment}", keep_blank_values=True):
        if _is_secret(name, value):
            which = f"'{name}'" if value and len(name) <= 40 else "without a name"
            raise AenetError(
                f"download.source has a credential behind the '?' of its address on {parts.hostname} ({which}): "
                "params.yaml and dvc.lock are no place for it; leave the '?' and what follows out and set it as "
                f"{QUERY} in the environment, or fetch the file yourself and set download.source to its path"
            )


def _is_secret(name: str, value: str) -> bool:
    """Judge one parameter of a query by its name, and by a value that looks made by a machine."""
    if _SECRET_NAME.search(name):
        return True
    if _PUBLIC.fullmatch(name):
        return False
    least = 8 if _PERHAPS.fullmatch(name) else 20  # characters
    texts = [text for text in (name, value) if _FILE.search(text) is None]
    runs = re.findall(rf"[\w+/=]{{{least},}}", " ".join(texts))
    return any(re.search(r"\d", run) and re.search("[A-Za-z]", run) for run in runs)


def check_source(config: SourceConfig) -> None:
    """Refuse a source that cannot work, before anything of it is recorded.

    Not a validator of the configuration: its message would quote the value.

    Raises:
        AenetError: the scheme is unknown, the URL holds a user, a password or a signature, or comes without digest.
    """
    refuse_credentials(config.source)
    parts = urlsplit(config.source)
    if parts.scheme not in ("", "http", "https", "file"):
        raise AenetError(f"download.source: scheme '{parts.scheme}' is not supported: use http, https or a local path")
    if config.is_remote and config.sha256 is None:
        raise AenetError(f"{config.shown} is fetched over a network: set download.sha256 to the archive's digest")
