"""Look at every image of a data set before anything is made of it: is it there, whole, and of a usable shape?"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any, Literal, assert_never

import pandas as pd
from pydantic import Field

from aenet.ingest.archive.archiveconfig import NotedProgress, SourceConfig
from aenet.ingest.layout import is_pointer
from aenet.io.errors import AenetError, UnreadableImage
from aenet.view import images
from aenet.view.imagebounds import MAX_BYTES

Verify = Literal["headers", "decode", "none"]
POINTER = "a Git-LFS pointer"
_CHUNK = 256  # files a task: a future each would cost more memory than the names
_LARGEST_POINTER = 1024  # bytes
_TAIL = 4096
_OTHER_SUFFIXES = (".png", ".jpg", ".jpeg", ".JPG", ".PNG", ".JPEG")


@dataclass(frozen=True)
class Seen:
    """One file: its size in bytes and pixels (height, width; None where nobody looked), and what is wrong with it."""

    bytes: int
    size: tuple[int, int] | None = None
    problem: str | None = None


def inspect_images(
    root: Path, names: Sequence[str], verify: Verify, threads: int, progress: NotedProgress | None = None
) -> dict[str, Seen]:
    """Look at the files `names` below `root`, in threads.

    Args:
        verify: "headers" reads each image's header (a truncated file passes), "decode" all of its pixels, "none" only
            asks the file system for its bytes.

    Raises:
        AenetError: a name is absolute or leads out of `root`.
    """
    unique = list(dict.fromkeys(names))
    if strange := next((name for name in unique if not _is_plain(name)), None):
        raise AenetError(f"the table names {strange!r}, which lies outside the data set {root}: refused")
    seen: dict[str, Seen] = {}
    with ThreadPoolExecutor(threads) as pool:
        for found in pool.map(partial(_look_at, root, verify), _chunks(unique)):
            seen |= found
            if progress is not None:
                progress(len(seen), len(unique), "check")
    return seen


def listing_digest(seen: Iterable[tuple[str, Seen]]) -> str:
    """SHA-256 over name and bytes of every file: tells another copy of a data set, not an edited pixel."""
    hasher = hashlib.sha256()
    for name, file in sorted(seen, key=lambda item: item[0]):
        hasher.update(f"{name}\0{file.bytes}\n".encode())
    return hasher.hexdigest()


def same_contents(root: Path, seen: Mapping[str, Seen]) -> dict[str, str]:
    """Return, for every file with the same bytes as one before it in `seen`, the first one's name.

    Files of one size are compared by the digest of their last 4 KiB, and those alike by that of the whole.
    """
    alike: dict[tuple[int, bytes], list[str]] = {}
    sizes = Counter(file.bytes for file in seen.values())
    for name, file in seen.items():
        if sizes[file.bytes] > 1:
            alike.setdefault((file.bytes, _digest(root / name, file.bytes - _TAIL)), []).append(name)
    same: dict[str, str] = {}
    for names in alike.values():
        first: dict[bytes, str] = {}
        for name in names if len(names) > 1 else []:
            whole = _digest(root / name, 0)
            if first.setdefault(whole, name) != name:
                same[name] = first[whole]
    return same


def _digest(path: Path, start: int) -> bytes:
    with path.open("rb") as stream:
        stream.seek(max(0, start))
        return hashlib.file_digest(stream, "sha256").digest()


def _look_at(root: Path, verify: Verify, names: Sequence[str]) -> dict[str, Seen]:
    return {name: _look(root / name, verify) for name in names}


def _look(path: Path, verify: Verify) -> Seen:
    try:
        bytes_ = path.stat().st_size
    except (OSError, ValueError):  # missing, or a name no file system takes
        other = next((path.stem + s for s in _OTHER_SUFFIXES if path.with_suffix(s).exists()), None)
        return Seen(0, problem="missing" if other is None else f"missing ({other} lies there instead)")
    if problem := _problem(path, bytes_):
        return Seen(bytes_, problem=problem)
    try:
        return Seen(bytes_, _size(path, verify))
    except UnreadableImage as error:
        return Seen(bytes_, problem=str(error).removeprefix(f"{path}: "))


def _problem(path: Path, bytes_: int) -> str | None:
    """What the file system and the first bytes tell."""
    if not path.is_file():
        return "no file"
    if bytes_ == 0:
        return "the file is empty"
    if bytes_ > MAX_BYTES:
        return f"has {bytes_ / 1e6:,.0f} MB, the limit is {MAX_BYTES / 1e6:,.0f} MB"
    return POINTER if bytes_ < _LARGEST_POINTER and is_pointer(path) else None


def _size(path: Path, verify: Verify) -> tuple[int, int] | None:
    match verify:
        case "headers":
            return images.probe(path)
        case "decode":
            height, width = images.decode(path).shape[:2]
            return height, width
        case "none":
            return None
        case _:
            assert_never(verify)


def _is_plain(name: str) -> bool:
    path = PurePosixPath(name)
    return not path.is_absolute() and ".." not in path.parts and "\\" not in name


def _chunks(names: Sequence[str]) -> Iterator[list[str]]:
    rest = iter(names)
    while chunk := list(islice(rest, _CHUNK)):
        yield chunk


# What every reader of a data set is told (its settings) and answers (the list of its pairs).

SKIPPED_COLUMNS = ("pair_id", "split", "file", "reason")
VIEWS = ("ground", "aerial")


class DatasetConfig(SourceConfig):
    """A data set that lies elsewhere.

    Attributes:
        verify: "headers" reads every image's header, "decode" every pixel, "none" asks for the files' sizes only.
        threads: that look at the images.
        strict: refuse every departure from what was published or listed: counts, pixel sizes, a single file.
        max_skipped: share of the pairs that may be left out because a file is missing or unusable, 0 to 1.
    """

    verify: Verify = "headers"
    threads: int = Field(default=4, ge=1)
    strict: bool = False
    max_skipped: float = Field(default=0.05, ge=0, le=1)


@dataclass(frozen=True)
class Listing:
    """What a reader found in its data set's tables, before any image was looked at.

    Attributes:
        root: folder that the paths in `pairs` are relative to.
        pairs: one row a pair, with the columns of the pair table.
        sizes: published (height, width) of each view's images; None where any will do.
        protocol: what the publishers measure on, for the manifest.
        ask: where a whole copy is to be had; empty where nobody but the user has it.
        departures: sentences about what differs from what was published; `strict` refuses them.
        notices: other sentences the user should read.
        set_aside: rows left out for a reason other than their files, in `SKIPPED_COLUMNS`.
        view: settings of `polar_transform.view` that these images need.
    """

    root: Path
    pairs: pd.DataFrame
    protocol: Mapping[str, Any]
    ask: str = ""
    sizes: Mapping[str, tuple[int, int] | None] = field(default_factory=lambda: dict.fromkeys(VIEWS))
    departures: tuple[str, ...] = ()
    notices: tuple[str, ...] = ()
    set_aside: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=list(SKIPPED_COLUMNS)))
    view: Mapping[str, Any] = field(default_factory=dict)


def left_out(pairs: pd.DataFrame, reason: str) -> pd.DataFrame:
    """Rows of the list of what was left out, one a pair."""
    return pairs.assign(file=pairs["ground"], reason=reason)[list(SKIPPED_COLUMNS)]
