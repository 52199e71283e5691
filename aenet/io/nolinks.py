"""Files reached without a link: those that a manifest, a card or a journal names, and those written to in place.

Such a list comes with the folder it lies in, from anybody. So a name in it is that of a regular file below the folder,
reached without a link, whose size is the one stated: nothing else on this machine is read, hashed, sent or waited for
because somebody wrote its name down. The folder itself, which a person names, may be a link; what else a person names
is `plainfiles`'s.
"""

import os
import stat
from pathlib import Path, PurePosixPath

from aenet.io.errors import CorruptArtifact
from aenet.io.plainfiles import read_plain

LIMIT_BYTES = 256 << 20  # of a list of files: a data set of a million images has one of 130 MB
_LONGEST_NAME = 1024
_KINDS = {
    stat.S_IFLNK: "a link",
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
}


def listed_path(folder: Path, name: str, said_in: str, size: int | None = None) -> Path:
    """Return the path of a file that a list in `folder` names, once it is known to be a plain one.

    Args:
        folder: where the list lies; all it names lies below.
        name: as it stands in the list: `a.bin`, `train/a.npy`.
        said_in: the list's file name, for errors.
        size: in bytes, as the list states it; None where it states none.

    Raises:
        CorruptArtifact: the name leads out of the folder; or there is no such file, it is reached by a link, it is none
            that can be read to an end, or it has another size.
    """
    path, found = _walk(folder, name, said_in)
    if not stat.S_ISREG(found.st_mode):
        raise _no_plain(path, found)
    if size is not None and found.st_size != size:
        raise CorruptArtifact(f"{path} has {found.st_size} bytes, its manifest says {size}: make it again")
    return path


def listed_folder(folder: Path, name: str, said_in: str) -> Path:
    """Return the path of a folder that a list in `folder` names; arguments and errors as `listed_path`."""
    path, found = _walk(folder, name, said_in)
    if not stat.S_ISDIR(found.st_mode):
        raise _no_plain(path, found, "folder")
    return path


def listed_tree(folder: Path, name: str, said_in: str) -> Path:
    """Return the path of a file, or of a folder of nothing but plain files; arguments and errors as `listed_path`."""
    path, found = _walk(folder, name, said_in)
    if not stat.S_ISDIR(found.st_mode):
        return listed_path(folder, name, said_in)
    check_tree(path)
    return path


def check_tree(folder: Path) -> None:
    """Refuse a folder that holds anything but plain files and folders of such.

    Raises:
        CorruptArtifact: names what it found.
    """
    for path in sorted(folder.rglob("*")):
        found = path.lstat()
        if not (stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode)):
            raise _no_plain(path, found)


def _walk(folder: Path, name: str, said_in: str) -> tuple[Path, os.stat_result]:
    """Step from `folder` to what is named, refusing every link on the way."""
    parts = PurePosixPath(name).parts
    plain = "/".join(parts) == name and len(name) <= _LONGEST_NAME
    if not parts or ".." in parts or not plain or "\0" in name:
        raise CorruptArtifact(
            f"{folder / said_in} names {name[:200]!r}, and may only name files below {folder}: it is damaged, or was "
            "made to have other files read; do not use that folder"
        )
    path = folder
    for at, part in enumerate(parts, start=1):
        path = path / part
        try:
            found = path.lstat()
        except OSError as error:
            raise CorruptArtifact(f"{path} is missing although {said_in} lists it: make {folder} again") from error
        if stat.S_ISLNK(found.st_mode) or (at < len(parts) and not stat.S_ISDIR(found.st_mode)):
            raise _no_plain(path, found)
    return path, found


def _no_plain(path: Path, found: os.stat_result, wanted: str = "regular file") -> CorruptArtifact:
    kind = _KINDS.get(stat.S_IFMT(found.st_mode), "a regular file")
    return CorruptArtifact(f"{path} is {kind}, a {wanted} is needed there: put the {wanted} itself in its place")


def read_listed(path: Path, limit: int = LIMIT_BYTES) -> bytes:
    """Return the bytes of a regular file, which is no link and has at most `limit` bytes.

    Raises:
        CorruptArtifact: it is a link, a folder, a pipe or a device.
        AenetError: it is not there, may not be read or is too large.
    """
    found = path.lstat() if path.is_symlink() or path.exists() else None
    if found is not None and not stat.S_ISREG(found.st_mode):
        raise _no_plain(path, found)
    return read_plain(path, limit)


def open_unlinked(path: Path, flags: int) -> int:
    """Return an open descriptor of a regular file, made (with `os.O_CREAT`) as the umask says.

    Whoever can make a link in a shared folder must not choose which file is written to.

    Raises:
        CorruptArtifact: it is a link, a folder, a pipe or a device.
        OSError: it may not be opened.
    """
    try:
        handle = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK, 0o666)
    except OSError as error:
        if path.is_symlink() or (path.exists() and not path.is_file()):
            raise _no_plain(path, path.lstat()) from error
        raise
    found = os.fstat(handle)
    if not stat.S_ISREG(found.st_mode):
        os.close(handle)
        raise _no_plain(path, found)
    return handle
