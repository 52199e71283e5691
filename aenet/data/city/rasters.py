"""Where a town's rasters lie: in memory, or in files of a folder that any number of processes map.

A mapped file is no burden on memory: where it is short, the system writes pages out and reads them again.
"""

import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Shaped

from aenet.errors import AenetError


class Rasters:
    """Makes the arrays that a town is drawn into; with a folder, `name` is the file `name.npy` in it."""

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder

    def new(self, name: str, shape: tuple[int, ...], dtype: Any) -> Shaped[np.ndarray, "..."]:
        """An array of zeros.

        Raises:
            AenetError: its file does not fit on the disk.
        """
        if self.folder is None:
            return np.zeros(shape, dtype)
        return mapped_zeros(self.folder / f"{name}.npy", shape, dtype)

    def keep(self, name: str, values: Shaped[np.ndarray, "..."]) -> Shaped[np.ndarray, "..."]:
        """A copy of `values`; see `new`."""
        copy = self.new(name, values.shape, values.dtype)
        copy[...] = values
        return copy

    def drop(self, name: str) -> None:
        """Delete what nobody will map again; arrays that still refer to it stay good."""
        if self.folder is not None:
            (self.folder / f"{name}.npy").unlink()


def mapped_zeros(path: Path, shape: tuple[int, ...], dtype: Any) -> Shaped[np.ndarray, "..."]:
    """Write a .npy file of zeros and map it, to be written through.

    Raises:
        AenetError: it does not fit on the disk.
    """
    array = np.lib.format.open_memmap(path, "w+", dtype, shape)
    if hasattr(os, "posix_fallocate"):
        # Its blocks are claimed now: a write through a mapping to a full disk would kill the process without a word.
        with path.open("r+b") as file:
            try:
                os.posix_fallocate(file.fileno(), 0, max(path.stat().st_size, 1))
            except OSError as error:
                free = shutil.disk_usage(path.parent).free
                raise AenetError(
                    f"no room for {path}: it takes {array.nbytes / 1e9:.1f} GB, {free / 1e9:.1f} GB are free"
                    f" ({error.strerror}); make room, or the town smaller"
                ) from error
    # Viewed as a plain array, because indexing a np.memmap costs more than the look-up itself.
    return array.view(np.ndarray)
