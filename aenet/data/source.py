"""Where the images of a data set lie: the directory named, or an archive unpacked once below `.aenet/datasets`."""

import os
import shutil
from pathlib import Path
from typing import Any

from aenet.artifacts import sha256_file
from aenet.data.archive.unpack import unpack
from aenet.data.fetch import Progress, SourceConfig, fetch, local_path
from aenet.errors import AenetError
from aenet.locks import wait_for

_KEY = 16  # hexadecimal digits of the archive's digest that name its folder


def open_source(config: SourceConfig, state: Path, progress: Progress | None = None) -> tuple[Path, dict[str, Any]]:
    """Return the absolute directory that holds the data set, and what the manifest says of where it came from.

    A directory is used where it lies, nothing is copied. An archive is verified and unpacked once into
    `state/datasets/<key>`; a download stays in `state/downloads`.

    Raises:
        AenetError: what `fetch` and `unpack` refuse; a digest given for a directory.
    """
    if not config.is_remote and (path := local_path(config)).is_dir():
        if config.sha256 is not None:
            raise AenetError(f"{path} is a directory, download.sha256 is the digest of an archive: remove it")
        return path.resolve(), {"directory": str(path.resolve())}
    archive = fetch(config, state / "downloads", progress)
    digest = sha256_file(archive) if config.sha256 is None else config.sha256.lower()
    folder = _unpacked(archive, digest, state / "datasets", config, progress)
    return folder.resolve(), {"archive": config.shown.rsplit("/", 1)[-1], "sha256": digest}


def _unpacked(archive: Path, digest: str, folder: Path, config: SourceConfig, progress: Progress | None) -> Path:
    final = folder / digest[:_KEY]
    with wait_for(folder / ".lock"):  # a second run then finds the folder
        if final.is_dir():
            return final
        partial = folder / f"{digest[:_KEY]}.partial"
        shutil.rmtree(partial, ignore_errors=True)  # of a killed run
        partial.mkdir(parents=True)
        unpack(archive, partial, config, progress)
        os.sync()  # one call: a hundred thousand of fsync take minutes
        partial.rename(final)
    return final
