"""One HTTP request for the rest of a file: http and https only, credentials to one host only."""

import http.client
import urllib.error
import urllib.request
from typing import Any, cast

from aenet.data.archive.config import SourceConfig
from aenet.data.archive.credentials import authorization, same_host, signed


def open_request(config: SourceConfig, size: int, validator: str | None) -> http.client.HTTPResponse:
    """Ask for the source from byte `size` on, if it is still the file that `validator` names.

    Raises:
        AenetError: the credentials in the environment cannot be right, or would travel unencrypted.
        OSError, HTTPException: the server cannot be reached, or answers with an error.
    """
    headers = {"User-Agent": "aenet", "Accept-Encoding": "identity"}
    if size:
        headers["Range"] = f"bytes={size}-"
        if validator is not None:
            headers["If-Range"] = validator
    opener = urllib.request.OpenerDirector()  # build_opener would bring file:, ftp: and data: along
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
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
