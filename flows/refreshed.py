"""Galleries that are replaced while they are in use: each version a folder of its own, and a link to the present one.

gallery -> gallery-0123456789ab     what jobs are given; switched in one step once a version is finished
gallery-0123456789ab/               a version, named after what it is made of
gallery-0123456789ab.json           when and of what it was made
"""

import os
import shutil
from pathlib import Path

from aenet.atomic import write_json
from aenet.errors import AenetError
from aenet.params import Config
from aenet.serving.galleries.manifest import MANIFEST

_DIGITS = 12


class Record(Config):
    """Where a version of a gallery comes from.

    Attributes:
        key: its manifest's key.
        source: what it was built from, as given.
        model: what embedded it: `models:/NAME/VERSION` or a folder.
        built: time in UTC, ISO 8601.
    """

    key: str
    source: str
    model: str
    built: str


def version_folder(link: Path, key: str) -> Path:
    """Return where the version with that key is, or will be."""
    return link.with_name(f"{link.name}-{key[:_DIGITS]}")


def current(link: Path) -> Path | None:
    """Return the version the link shows, None if there is no link yet.

    Raises:
        AenetError: a folder or a file stands in the link's place.
    """
    if link.is_symlink():
        return link.parent / link.readlink()
    if link.exists():
        raise AenetError(
            f"{link} is no link: versions stand beside it, so give a path that is free, or move it away first"
        )
    return None


def write_record(version: Path, record: Record) -> None:
    """Write down where a version comes from."""
    write_json(_record(version), record.model_dump(mode="json"))


def read_record(gallery: Path) -> Record:
    """Return where a gallery comes from; `gallery` is a link or a version.

    Raises:
        AenetError: it was not made by `flows.gallery`.
    """
    path = _record(gallery.resolve())
    try:
        return Record.model_validate_json(path.read_bytes())
    except (OSError, ValueError) as error:
        raise AenetError(
            f"nobody wrote down which model embedded {gallery} ({path.name} is missing or damaged): name the model, "
            "or make the gallery with `python -m flows.gallery`"
        ) from error


def switch(link: Path, version: Path) -> None:
    """Let the link show `version`, in one step: whoever opens it finds the old version or the new one."""
    before = current(link)
    if before is not None and before.name != version.name and before.exists():
        os.utime(before)  # when it was retired: the order in which old versions are removed
    beside = link.with_name(f".{link.name}.{os.getpid()}.tmp")
    beside.unlink(missing_ok=True)
    beside.symlink_to(version.name)  # relative: the folder of both may be mounted elsewhere
    beside.replace(link)


def remove_old(link: Path, keep: int) -> list[Path]:
    """Remove all versions but the present one and the `keep` retired last; return what was removed.

    Unfinished versions of other inputs go at once.
    """
    present = current(link)
    digits = "[0-9a-f]" * _DIGITS
    versions = [path for path in link.parent.glob(f"{link.name}-{digits}") if path.is_dir() and path != present]
    finished = sorted((path for path in versions if (path / MANIFEST).exists()), key=_retired, reverse=True)
    removed = [*finished[keep:], *(path for path in versions if path not in finished)]
    for path in removed:
        (path / MANIFEST).unlink(missing_ok=True)  # first: half a gallery must not look like a whole one
        shutil.rmtree(path)
        _record(path).unlink(missing_ok=True)
    return removed


def _retired(version: Path) -> int:
    return version.stat().st_mtime_ns


def _record(version: Path) -> Path:
    return version.with_name(f"{version.name}.json")
