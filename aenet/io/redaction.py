"""Secrets taken out of whatever is said or stored: sentences, journals, logs and other programs' databases."""

import os
import re
from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import quote, unquote

MASK = "***"
_SCHEME = r"(?i)\b([a-z][a-z0-9+.-]*://"
# Up to the last @ before a slash, as URL parsers read it: passwords hold an @ now and then.
_USER = re.compile(_SCHEME + r")[^\s/?#'\"<>]*@")
# And up to the last @ of all where a password seems to begin, as database drivers read it: `mysql://me:pa/ss@host`.
# In a web address digits and a slash are a port and a path, in which an @ is no secret: `http://host:5000/#/aenet@best`.
_PASSWORD = re.compile(
    r"(?i)\b((?!https?:)[a-z][a-z0-9+.-]*://|https?://(?![^:]*:\d{1,5}[/?#]))[^\s/?#'\"<>:@]*:[^\s'\"<>]*@"
)
# A signed URL's query is its signature; of a fragment only what assigns something. `?...` has been here before.
_QUERY = re.compile(
    _SCHEME + r"[^\s?#'\"<>]*)(?:\?(?!\.\.\.)|#(?=[^\s'\"<>]*=))[^\s'\"<>]*?(?=[.,;:)]*(?:[\s'\"<>]|$))"
)
_ASSIGNED = re.compile(
    r"(?i)(\b[\w-]*(?:password|passwd|passphrase|secret|token|api[_-]?key|access[_-]?key)['\"]?\s*[=:]\s*)"
    r"(?!\*\*\*)(\"[^\"]*\"|'[^']*'|[^\s,;&'\"]+)"
)
# Behind it a quoted text, a scheme with its parameters (`Digest username="me", response="..."`), one with a word, or a
# word alone.
_HEADER = re.compile(
    r"(?i)(\b(?:proxy-)?authorization['\"]?\s*[=:]\s*)(?!\*\*\*)"
    r"(?:\"(?:\\.|[^\"\\])*\"|'(?:\\.|[^'\\])*'"
    r"|[\w-]+\s+[\w-]+=(?:\"[^\"\n]*\"|[^\s,'\"]*)(?:\s*,\s*[\w-]+=(?:\"[^\"\n]*\"|[^\s,'\"]*))*"
    r"|(?:basic|bearer|digest|negotiate|ntlm|token|apikey)\s+[^\s'\",;]+|[^\s'\",;]+)"
)
# Parameters of signed addresses, where an address has been cut or only its query stands.
_SIGNED = re.compile(
    r"(?i)((?:^|(?<=[\s?&;'\"(]))(?:sig|policy|key-pair-id|(?:x-(?:amz|goog|ms|oss)-)?(?:signature|credential))=)"
    r"(?!\*\*\*)[^\s&'\",;)]+"
)
_HELD = re.compile(
    r"(?i)(password|passwd|passphrase|secret|token|api_?key|access_key|download_query)$"
)  # names of variables
_LONGEST = 1 << 16  # characters of a line that are held back
_LEAST = 4  # characters: shorter ones are words of every sentence
_WORD = re.compile("[a-z]{,7}")  # no secret, whatever variable holds it: `test`, `metrics`


def without_secrets(text: str) -> str:
    """Return `text` with every secret in it masked.

    Taken out are: values of environment variables whose names say that they are secrets, and the password within any
    variable that holds a URL; users and passwords of URLs; queries of URLs (as `?...`) and what signs them; what stands
    behind `password=`, `token:` and the like, and authorization headers. Applied twice it changes nothing.
    """
    for secret in sorted(set(_held()), key=len, reverse=True):
        text = re.sub(rf"(?<!\w){re.escape(secret)}(?!\w)", MASK, text)
    for pattern in (_PASSWORD, _USER):
        text = pattern.sub(rf"\1{MASK}@", text)
    text = _QUERY.sub(_query, text)
    for pattern in (_HEADER, _SIGNED, _ASSIGNED):
        text = pattern.sub(rf"\1{MASK}", text)
    return text


def clean(value: Any) -> Any:
    """Return a JSON value with the secrets of all its texts masked; keys name things, and stay."""
    if isinstance(value, str):
        return without_secrets(value)
    if isinstance(value, dict):
        return {key: clean(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [clean(inner) for inner in value]
    return value


def excerpt(value: object) -> str:
    """Return what a sentence may show of a value that somebody mistyped: never all of a text that may be a secret.

    Plain small words and numbers are shown whole, other texts by their first four characters.
    """
    if isinstance(value, str):
        if re.fullmatch(r"[a-z_ -]{0,20}|[\d.eE+-]{0,12}", value):
            return repr(value)
        return f"{without_secrets(value)[:4]!r}... ({len(value)} characters)"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(excerpt, value[:3]))}{', ...' * (len(value) > 3)}]"
    return f"a mapping of {len(value)} keys" if isinstance(value, dict) else repr(value)[:40]


class Redacted:
    """A text stream that takes secrets out of what is written to it, line by line.

    A line is held back until it ends, whoever flushes: half of a secret looks like none.
    """

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._line = ""

    def write(self, text: str) -> int:
        """Write the lines that `text` ends, without their secrets; return its length."""
        self._line += text
        end = max(self._line.rfind("\n"), self._line.rfind("\r")) + 1
        if len(self._line) - end > _LONGEST:
            end = len(self._line)
        whole, self._line = self._line[:end], self._line[end:]
        if whole:
            self._stream.write(without_secrets(whole))
        return len(text)

    def finish(self) -> None:
        """Write a last line that has no end."""
        whole, self._line = self._line, ""
        self._stream.write(without_secrets(whole))
        self._stream.flush()

    def writelines(self, lines: Iterable[str]) -> None:
        """Write `lines` without their secrets."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _query(found: re.Match[str]) -> str:
    local = found[1].lower().startswith(("file:", "sqlite:"))
    return found[0] if local else f"{found[1]}?..."


def _held() -> Iterator[str]:
    """Yield the secrets of this process's environment, as they are and as URLs write them."""
    for name, value in os.environ.items():
        if _HELD.search(name):
            found = value.strip()
        elif (url := re.match(r"[A-Za-z][A-Za-z0-9+.-]*://(?:[^@]*?:(.+)|([^@]{12,}))@", value)) is not None:
            found = url[1] or url[2]  # a password, or a token in the user's place
        else:
            continue
        forms = (found, unquote(found), quote(found, safe=""), *found.splitlines())  # keys have several lines
        yield from (form for form in forms if len(form) >= _LEAST and not _WORD.fullmatch(form))
