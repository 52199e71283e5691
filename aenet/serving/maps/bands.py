"""Which bands of a raster are its colours, and whether its alpha is one.

Of 8 bits all: a palette's colours are looked up; else the bands described as red, green and blue, wherever they stand;
else those marked so; else the first three that are neither alpha nor infrared; a single band becomes grey.
"Described" goes before "marked": writers mark bands 1 to 4 as red, green, blue and alpha unasked, a description is
somebody's. An alpha that is half-transparent nearly everywhere is another measurement, infrared mostly: GDAL marks a
fourth band so unless told otherwise.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import UInt8
from rasterio.enums import ColorInterp, MaskFlags
from rasterio.windows import Window

_COLOURS = ("red", "green", "blue")
_RGB = (ColorInterp.red, ColorInterp.green, ColorInterp.blue)
# In a description, these make another band of what a colour's name alone would be: `red edge`, `coastal blue`.
_OTHER = {"edge", "rededge", "coastal", "deep", "infrared", "nir", "swir", "ir", "near", "infra"}
# Bands of Sentinel-2 and Landsat 8 by their numbers; those of other sensors mean other colours.
_NUMBERED = "432"
_INFRARED = {"infrared", "nir", "swir", "ir", "infra"}
_SAMPLES, _SAMPLE_PX = 8, 64  # windows a side at which an alpha is looked at, and their size
_FAINT, _FULL = 8, 247  # beyond: transparent or opaque, give or take compression
_OPAQUE = 128  # as `geotiff` has it
_HALF, _SOME = 0.5, 0.1  # of the pixels that are not transparent: no alpha at all; worth a word
_KINDS = 32  # different values: fewer are somebody's choice of opacity


@dataclass(frozen=True, eq=False)
class Bands:
    """What a raster's bands are.

    Attributes:
        colours: the bands that are red, green and blue; one band three times is grey; none if it cannot be told.
        palette: colour of each value of the first band, if it is an index of colours.
        opaque: the band called alpha is none.
        notes: what was guessed or left aside.
    """

    colours: tuple[int, ...]
    palette: UInt8[np.ndarray, "256 3"] | None = None
    opaque: bool = False
    notes: tuple[str, ...] = ()


def choose_bands(dataset: Any) -> Bands:
    """Return the bands of an opened raster, by the module's rules."""
    meaning = dataset.colorinterp
    if meaning[0] == ColorInterp.palette and dataset.dtypes[0] == "uint8":
        palette = np.zeros((256, 3), np.uint8)
        for value, colour in dataset.colormap(1).items():
            palette[value] = colour[:3]
        return Bands((1,), palette)
    described = [_words(text) for text in dataset.descriptions]
    colours, notes = _colours(meaning, described, _numbered(dataset.descriptions))
    opaque, said = _no_alpha(dataset, described)
    return Bands(colours, None, opaque, (*notes, *said))


def _colours(
    meaning: Sequence[ColorInterp], described: Sequence[set[str]], numbered: tuple[int, ...] | None
) -> tuple[tuple[int, ...], list[str]]:
    named = [[number for number, words in enumerate(described, 1) if _is(words, colour)] for colour in _COLOURS]
    marked = tuple(meaning.index(colour) + 1 for colour in _RGB) if set(_RGB) <= set(meaning) else None
    if all(len(numbers) == 1 for numbers in named):
        found = tuple(numbers[0] for numbers in named)
        if found in (marked, (1, 2, 3)):
            return found, []
        return found, [f"its bands {found} are described as red, green, blue, and are taken so"]
    if numbered not in (None, marked):
        return numbered, [
            f"its bands {numbered} are called B4, B3, B2, as Sentinel-2 and Landsat 8 call red, green, blue, and are "
            "taken so (describe them as red, green, blue if they are others)"
        ]
    if marked is not None:
        return marked, _false_colours(marked, described)
    infrared = [number for number, words in enumerate(described, 1) if words & _INFRARED]
    plain = [
        number
        for number, what in enumerate(meaning, 1)
        if what not in (ColorInterp.alpha, ColorInterp.nir) and number not in infrared
    ]
    if len(plain) >= 3:
        first = tuple(plain[:3])
        return first, [f"which of {len(meaning)} bands are colours is not said: {first} are taken as red, green, blue"]
    return ((plain[0],) * 3 if len(plain) == 1 else ()), []


def _numbered(descriptions: Sequence[str | None]) -> tuple[int, ...] | None:
    """The bands that alone are called as a satellite's red, green and blue are, `B4` or `B04`; None without them."""
    called = [re.fullmatch(r"\s*b0?(\d)\s*", text or "", re.IGNORECASE) for text in descriptions]
    bands = [[band for band, name in enumerate(called, 1) if name and name[1] == number] for number in _NUMBERED]
    return tuple(found[0] for found in bands) if all(len(found) == 1 for found in bands) else None


def _false_colours(bands: tuple[int, ...], described: Sequence[set[str]]) -> list[str]:
    return [
        f"band {band} is marked {colour} and described as infrared: in false colours a model of natural ones is lost"
        for band, colour in zip(bands, _COLOURS, strict=True)
        if described[band - 1] & _INFRARED
    ]


def _no_alpha(dataset: Any, described: Sequence[set[str]]) -> tuple[bool, list[str]]:
    """Return whether the band called alpha is none, and what is to be said of it."""
    if ColorInterp.alpha not in dataset.colorinterp or MaskFlags.alpha not in dataset.mask_flag_enums[0]:
        return False, []
    band = dataset.colorinterp.index(ColorInterp.alpha) + 1
    if described[band - 1] & _INFRARED:
        return True, [f"band {band}, marked alpha, is described as infrared: it is not taken for transparency"]
    values = _sample(dataset, band)
    seen = values[values >= _FAINT]
    half = seen[seen <= _FULL]
    share = len(half) / max(len(seen), 1)
    if share > _HALF and len(np.unique(half)) >= _KINDS:
        return True, [
            f"band {band}, called alpha, is half-transparent in {share:.0%} of what it does not hide, as infrared is: "
            f"it is not taken for transparency (if it is, `gdal_translate -b 1 -b 2 -b 3 -mask {band}` says so)"
        ]
    if 0 < (most := int(values.max(initial=0))) < _OPAQUE:
        return False, [
            f"band {band}, alpha, is {most} of 255 at most: below {_OPAQUE} is no map (if it is none, "
            "`gdal_translate -b 1 -b 2 -b 3` leaves it away)"
        ]
    if share > _SOME:
        return False, [
            f"band {band}, alpha, is half-transparent in {share:.0%} of what it does not hide: below half is no map"
        ]
    return False, []


def _sample(dataset: Any, band: int) -> UInt8[np.ndarray, " n"]:
    """Return a band's values in small windows spread over the raster."""
    height, width = (min(_SAMPLE_PX, side) for side in (dataset.height, dataset.width))
    parts = [
        dataset.read(band, window=Window(int(left), int(top), width, height)).ravel()
        for top in np.linspace(0, dataset.height - height, _SAMPLES)
        for left in np.linspace(0, dataset.width - width, _SAMPLES)
    ]
    return np.concatenate(parts)


def _words(description: str | None) -> set[str]:
    return set(re.findall(r"[a-z]+", (description or "").lower()))


def _is(words: set[str], colour: str) -> bool:
    return (colour in words or words == {colour[0]}) and not words & _OTHER
