"""Augmentation on a CPU, image by image: what is done to an image is done while it lies in the core's cache.

A batch of floats does not fit there: each operation on all of its images would fetch and write them anew, and with
several threads wait for them as often. One image does fit (64 x 256 pixels are 49 kB as bytes, 197 kB as floats); its
bytes come straight from the memory map, and only its end result goes to memory. NumPy and OpenCV let go of Python's
lock meanwhile.
"""

from collections.abc import Iterator

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Int, Int64, UInt8
from torch import Tensor

_BLACK, _WHITE = np.float32(0), np.float32(255)


def turn_rows(
    view: UInt8[np.ndarray, "n h w 3"],
    rows: Int[np.ndarray, " p"],
    mirrored: Bool[np.ndarray, " p"],
    first: Int64[np.ndarray, " p"],
) -> UInt8[Tensor, "p h w 3"]:
    """Return some rows of a view, each mirrored and turned.

    Args:
        mirrored: which are mirrored, East for West: column j becomes -j, because column 0 looks South.
        first: which column of each, mirrored or not, comes first; 0 .. w - 1.
    """
    out = torch.empty((len(rows), *view.shape[1:]), dtype=torch.uint8)
    for (image, start), target in zip(_images(view, rows, mirrored, first), out.numpy(), strict=True):
        _copy_from(image, start, target)
    return out


def turn_and_colour(
    view: UInt8[np.ndarray, "n h w 3"],
    rows: Int[np.ndarray, " p"],
    mirrored: Bool[np.ndarray, " p"],
    first: Int64[np.ndarray, " p"],
    contrast: Float[np.ndarray, "p 1"],
    gain: Float[np.ndarray, "p 3"],
) -> Float32[Tensor, "p h w 3"]:
    """Return some rows of a view, each mirrored and turned, its contrast and channels scaled; 0 .. 255.

    A pixel becomes gain * (mean + contrast * (pixel - mean)), with the mean of the image's pixels and channels.

    Args:
        mirrored, first: as `turn_rows` takes them.
    """
    height, width, channels = view.shape[1:]
    # NumPy asks for huge pages, PyTorch does not: a third of the time that writing to memory takes.
    out = np.empty((len(rows), height, width, channels), np.float32)
    scratch = np.empty((height, width, channels), np.float32)
    affine = np.zeros((len(rows), channels, channels + 1), np.float32)
    affine[:, range(channels), range(channels)] = contrast * gain
    per_sum = (1 - contrast) * gain / (height * width * channels)
    images = _images(view, rows, mirrored, first)
    for (image, start), target, matrix, share in zip(images, out, affine, per_sum, strict=True):
        matrix[:, channels] = share * cv2.sumElems(image.reshape(height, -1))[0]  # as one channel: the sum of all
        _copy_from(image, start, scratch)
        cv2.transform(scratch, matrix, scratch)
        np.clip(scratch, _BLACK, _WHITE, out=target)
    return torch.from_numpy(out)


def _images(
    view: np.ndarray, rows: np.ndarray, mirrored: np.ndarray, first: np.ndarray
) -> Iterator[tuple[UInt8[np.ndarray, "h w 3"], int]]:
    """Yield each image, mirrored where it is to be, with the column that comes first; good until the next."""
    pixels = np.asarray(view)  # each row of a memory map would be one, too, which takes longer than to mirror it
    mirror = np.empty(view.shape[1:], np.uint8)
    for row, flip, start in zip(rows.tolist(), mirrored.tolist(), first.tolist(), strict=True):
        if flip:
            yield cv2.flip(pixels[row], 1, mirror), (-1 - start) % len(mirror[0])  # column j is now at w - 1 - j
        else:
            yield pixels[row], start


def _copy_from(image: UInt8[np.ndarray, "h w 3"], start: int, target: np.ndarray) -> None:
    """Copy an image, from a column on and round, into an array of either type of number."""
    height, width, channels = image.shape
    # Runs of bytes: pixels of three would be taken one by one.
    source, there, cut = image.reshape(height, -1), target.reshape(height, -1), channels * start
    rest = channels * width - cut
    there[:, :rest], there[:, rest:] = source[:, cut:], source[:, :cut]
