"""Find a data set's root by the names its publishers gave, and say what is missing and who has it."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from aenet.io.errors import AenetError
from aenet.io.plainfiles import check_plain

_DEPTH = 2  # levels below the source: an archive's top folder, and one inside it
_NAMED = 8
_LFS_POINTER = b"version https://git-lfs"


@dataclass(frozen=True)
class Layout:
    """Names by which a data set is known.

    Attributes:
        name: of the data set, for sentences.
        markers: names in the root, any of which tells that this is the root.
        required: paths below the root and what each holds.
        ask: where the data set is to be had.
    """

    name: str
    markers: tuple[str, ...]
    required: Mapping[str, str]
    ask: str


def find_root(source: Path, layout: Layout) -> Path:
    """Return the folder with the data set: `source` itself, or one up to two levels below it.

    Raises:
        AenetError: nothing of the layout is there (where it is above `source`, the sentence names it), or two copies.
    """
    marks = {folder: sum((folder / name).exists() for name in layout.markers) for folder in _folders(source, _DEPTH)}
    most = max(marks.values())
    best = [folder for folder, count in marks.items() if count == most]
    if most > 1 and len(best) > 1:
        raise AenetError(f"{source} holds {layout.name} more than once: set download.source to {best[0]} or {best[1]}")
    if most:
        return best[0]
    for parent in list(source.parents)[:2]:
        if sum((parent / marker).exists() for marker in layout.markers) > 1:
            raise AenetError(f"{source} lies inside the {layout.name} data set: set download.source to {parent}")
    raise AenetError(
        f"{source} is not the {layout.name} data set: it holds {names_in(source)}, expected "
        f"{', '.join(layout.required)}; {layout.ask}"
    )


def check_required(root: Path, layout: Layout) -> None:
    """Refuse a root that lacks a part, or holds Git-LFS pointers in the place of its tables.

    Raises:
        AenetError: every missing path with what it holds, what lies there instead, and where to get it.
    """
    if missing := [path for path in layout.required if not (root / path).exists()]:
        said = "; ".join(f"{path} ({layout.required[path]})" for path in missing)
        around = {str(Path(path).parent) for path in missing}
        there = "; ".join(f"{folder}/ holds {names_in(root / folder)}" for folder in sorted(around))
        raise AenetError(f"{root} lacks {said}; {there}; {layout.ask}")
    for path in layout.required:
        if not (root / path).is_dir():
            check_table(root / path, root)


def check_table(path: Path, root: Path) -> None:
    """Refuse an empty file, a Git-LFS pointer, or what is no regular file where a table should be."""
    check_plain(path)
    if not path.stat().st_size:
        raise AenetError(f"{path} is empty: copy the data set again")
    if is_pointer(path):
        raise AenetError(f"{path} is a Git-LFS pointer, not the file: run `git lfs pull` in {root}")


def is_pointer(path: Path) -> bool:
    """True for the small text that Git leaves where a large file was not fetched."""
    with path.open("rb") as file:
        return file.read(len(_LFS_POINTER)) == _LFS_POINTER


def names_in(folder: Path) -> str:
    """The first few names in a folder, in words."""
    if not folder.is_dir():
        return "nothing (there is no such folder)"
    names = sorted(child.name + "/" * child.is_dir() for child in folder.iterdir() if not child.name.startswith("."))
    more = f", ... ({len(names)} in all)" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more if names else "nothing"


def _folders(folder: Path, depth: int) -> list[Path]:
    """`folder` and those below it, nearest first."""
    level, found = [folder], [folder]
    for _ in range(depth):
        level = sorted(child for parent in level for child in _subfolders(parent))
        found += level
    return found


def _subfolders(folder: Path) -> list[Path]:
    """What systems add (`.git`, `__MACOSX`) is no content; `scandir` needs no look at each of 44,000 images."""
    try:
        with os.scandir(folder) as entries:
            return [Path(e.path) for e in entries if not e.name.startswith((".", "__MACOSX")) and e.is_dir()]
    except OSError as error:
        raise AenetError(f"{folder} cannot be read ({error.strerror}): fix its rights") from error
