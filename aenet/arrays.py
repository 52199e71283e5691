"""Arrays in files of numpy's: the one door through which those come that may be damaged, or anybody's."""

from collections.abc import Collection
from pathlib import Path

import numpy as np

from aenet.errors import CorruptArtifact


def open_array(path: Path, kinds: Collection[str], shape: tuple[int | None, ...]) -> np.ndarray:
    """Return the read-only memory map of an array in a `.npy` file.

    Args:
        path: the file.
        kinds: numpy's names of the types it may be of: `float32`.
        shape: its length on every axis; None where any will do.

    Raises:
        CorruptArtifact: it is no such file, or of another type or shape.
    """
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except Exception as error:  # numpy raises half a dozen kinds for damaged files
        raise CorruptArtifact(f"{path} is no array, or damaged: make {path.parent} again") from error
    if not isinstance(array, np.ndarray):
        raise CorruptArtifact(f"{path} is an archive, an array is needed: make {path.parent} again")
    right = array.dtype.isnative and array.dtype.name in kinds and array.flags.c_contiguous
    if (
        not right
        or len(shape) != array.ndim
        or any(n not in (None, m) for n, m in zip(shape, array.shape, strict=True))
    ):
        wanted = " x ".join("any" if length is None else f"{length:,}" for length in shape)
        raise CorruptArtifact(
            f"{path} holds {array.dtype} of {' x '.join(f'{length:,}' for length in array.shape)}, "
            f"{' or '.join(kinds)} of {wanted} is needed: make {path.parent} again"
        )
    return array
