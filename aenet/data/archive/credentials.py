"""Credentials for a download: from the environment, sent to one host, written nowhere."""

import base64
import os
from urllib.parse import urlsplit

from aenet.errors import AenetError

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
