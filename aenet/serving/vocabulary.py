"""What people may choose, in one vocabulary: flags of the command line, keywords in Python, keys of a flow's `options`.

`--tile-size 70m`, `tile_size="70m"` and `{tile_size: 70m}` are read here, and only here, into the options that the
library computes with. Their own field names (`tile_size_m: 70.0`) are taken as well.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from pydantic import BaseModel

from aenet.io.errors import AenetError
from aenet.io.params import parse
from aenet.serving.galleries.build import GalleryOptions
from aenet.serving.galleries.extend import AddOptions
from aenet.serving.jobs.job import LocateOptions
from aenet.serving.maps.quantities import parse_box, parse_metres
from aenet.serving.search.prior import parse_prior
from aenet.serving.sessions.runtime import SessionOptions

# Words of earlier versions, which answer with the present one.
RENAMED = {"network_precision": "precision", "area": "within_box", "box": "within_box"}
_PRIOR = ("near", "within", "within_box", "own_gps")
_PHOTOS = {"fov": "fov_deg", "vertical_fov": "vertical_deg"}
_CUDA = {
    "device": "device", "gpu_memory": "memory_mib", "tf32": "tf32", "cuda_graphs": "graphs", "tensorrt": "tensorrt",
}  # fmt: skip
_LENGTHS = {"tile_size": "tile_size_m", "spacing": "spacing_m"}

S = TypeVar("S", bound=SessionOptions)


def locate_options(given: Mapping[str, Any], source: str) -> LocateOptions:
    """Return how to place photos.

    Args:
        given: words as above; None stands for a word that was not said.
        source: names the origin in errors.

    Raises:
        AenetError: an unknown or renamed word, or a value that is none.
    """
    words = _said(given)
    prior = parse_prior(**{name: words.pop(name) for name in _PRIOR if name in words})
    if prior is not None:
        words["prior"] = prior
    if "also" in words:
        words["formats"] = _formats(words.pop("also"))
    _below(words, "photos", _PHOTOS)
    return _parsed(words, LocateOptions, source)


def gallery_options(given: Mapping[str, Any], source: str) -> GalleryOptions:
    """Return how to build a gallery; arguments and errors as `locate_options`."""
    return _gallery(given, GalleryOptions, source)


def add_options(given: Mapping[str, Any], source: str) -> AddOptions:
    """Return how to add to a gallery; arguments and errors as `locate_options`."""
    return _gallery(given, AddOptions, source)


def session_options(given: Mapping[str, Any], source: str) -> SessionOptions:
    """Return where and how a network runs; arguments and errors as `locate_options`."""
    return _parsed(_said(given), SessionOptions, source)


def _gallery(given: Mapping[str, Any], type_: type[S], source: str) -> S:
    words = _said(given)
    for name, field in _LENGTHS.items():
        if name in words:
            words[field] = parse_metres(words.pop(name), name)
    if "within_box" in words:
        words["within_box"] = parse_box(words["within_box"])
    return _parsed(words, type_, source)


def _said(given: Mapping[str, Any]) -> dict[str, Any]:
    words = {name: value for name, value in given.items() if value is not None}
    for name in words:
        if name in RENAMED:
            raise AenetError(f"`{name}` is called `{RENAMED[name]}` now: use that word")
    if isinstance(words.get("precision"), int | float):
        raise AenetError(
            f"`precision` is the network's number format now (auto, fp32 or fp16): to abstain below a confidence of "
            f"{words['precision']:g} use `min_confidence`"
        )
    return words


def _below(words: dict[str, Any], section: str, names: Mapping[str, str]) -> None:
    """Move words to where the library has them."""
    inner = {field: words.pop(name) for name, field in names.items() if name in words}
    if inner:
        words[section] = {**_plain(words.get(section, {})), **inner}


def _formats(given: str | Iterable[str]) -> list[str]:
    kinds = given.split(",") if isinstance(given, str) else list(given)
    return list(dict.fromkeys(kind.strip().lower() for kind in kinds if kind.strip()))


def _parsed(words: dict[str, Any], type_: type[S], source: str) -> S:
    _below(words, "cuda", _CUDA)
    return parse({"options": _plain(words)}, "options", type_, source)


def _plain(value: Any) -> Any:
    """Return what YAML could have said: Python's own kinds of numbers, lists and mappings."""
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    if isinstance(value, Mapping):
        return {str(name): _plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(inner) for inner in value]
    return str(value) if isinstance(value, Path) else value
