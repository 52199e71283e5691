"""What people hand to a door, brought to the one kind that the rooms take."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from aenet.io.errors import AenetError
from aenet.serving.photos.listing import Source

PathLike = str | os.PathLike[str]
Photos = PathLike | Iterable[PathLike]
Images = PathLike | Iterable[PathLike] | np.ndarray | Sequence[np.ndarray]


def one_path(given: Any, argument: str) -> Path:
    """Return a path.

    Raises:
        AenetError: it is none, or several.
    """
    if isinstance(given, str | os.PathLike) and isinstance(os.fspath(given), str):
        return Path(given)
    if isinstance(given, list | tuple):
        raise AenetError(f"`{argument}` takes one path, a {type(given).__name__} of {len(given)} was given")
    raise AenetError(f"`{argument}` takes a path (str or Path), a {type(given).__name__} was given")


def photo_source(given: Any, argument: str = "photos") -> Source:
    """Return a path (of a photo, a folder, a pattern, a list or a table), or a tuple of paths of photos.

    Raises:
        AenetError: neither a path nor paths, or none at all.
    """
    if isinstance(given, str | os.PathLike):
        return os.fspath(one_path(given, argument))
    if isinstance(given, np.ndarray) and given.dtype.kind not in "OUT":
        raise AenetError(f"`{argument}` takes paths, an array of {given.dtype} was given: write images to files first")
    if not isinstance(given, Iterable) or isinstance(given, bytes | dict) or hasattr(given, "columns"):
        raise AenetError(
            f"`{argument}` takes a path or a list of paths, a {type(given).__name__} was given: of a table its column "
            "`path`, or the path of its file, whose headings and positions then count too"
        )
    paths = tuple(os.fspath(one_path(item, f"{argument}[{number}]")) for number, item in enumerate(given))
    if not paths:
        raise AenetError(f"`{argument}` is an empty list: give at least one photo")
    return paths


def as_images(given: Any, argument: str) -> list[UInt8[np.ndarray, "_ _ 3"]] | None:
    """Return images that were given as pixels; None where paths were given.

    Raises:
        AenetError: an array that is no image of uint8 RGB pixels, or arrays and paths in one list.
    """
    items = [given] if isinstance(given, np.ndarray) and given.ndim == 3 else given
    if not isinstance(items, list | tuple | np.ndarray) or len(items) == 0 or isinstance(items[0], str):
        return None
    arrays = [isinstance(item, np.ndarray) for item in items]
    if not any(arrays):
        return None
    for number, item in enumerate(items):
        if not (arrays[number] and item.dtype == np.uint8 and item.ndim == 3 and item.shape[2] == 3):
            found = f"{item.dtype} {item.shape}" if arrays[number] else type(item).__name__
            raise AenetError(
                f"`{argument}[{number}]` is no image: uint8 of height x width x 3 (RGB, 0 to 255) is wanted, "
                f"found {found}"
            )
    return list(items)
