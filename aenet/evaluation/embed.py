"""Views in, descriptors out: the one embedding loop of training, evaluation and export."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import nn

from aenet.data.views import Views
from aenet.io.errors import AenetError
from aenet.nn.branches import Branch, TwoBranch
from aenet.view.spec import ViewSpec

_IN_MEMORY_BYTES = 2**30


def embed(
    branch: Branch,
    views: UInt8[np.ndarray, "n h w 3"],
    batch_size: int,
    device: torch.device | None = None,
    folder: Path | None = None,
) -> Float[np.ndarray, "n d"]:
    """Return float32 unit descriptors of packed views, computed in evaluation mode without gradients.

    Args:
        folder: where there is one, descriptors of more than 1 GiB are a read-only memory map of a file there. It has
            no name, so that its space is free again once the array is gone, however the process ends.
    """
    if len(views) == 0:
        raise AenetError("no views to describe")
    training = branch.training
    branch.eval()
    try:
        parts = _batches(branch, views, batch_size, device)
        first = next(parts)
        shape = (len(views), first.shape[1])
        if folder is not None and 4 * shape[0] * shape[1] > _IN_MEMORY_BYTES:
            return _to_file(first, parts, shape, folder)
        out = np.empty(shape, np.float32)
        out[: len(first)], done = first, len(first)
        for part in parts:
            out[done : done + len(part)] = part
            done += len(part)
        return out
    finally:
        branch.train(training)


def embed_pairs(
    network: TwoBranch, views: Views, batch_size: int, folder: Path | None = None
) -> tuple[Float[np.ndarray, "n d"], Float[np.ndarray, "n d"]]:
    """Return the ground and aerial descriptors of a split, row by row; see `embed`."""
    device = next(network.parameters()).device
    ground = embed(network.ground, views.ground, batch_size, device, folder)
    return ground, embed(network.aerial, views.aerial, batch_size, device, folder)


def map_shape(branch: Branch, spec: ViewSpec) -> tuple[int, int, int]:
    """Return (C, h, w) of a ground branch's descriptors as maps, or (D, 1, 1) where they cannot be turned as maps.

    They can where the head keeps the map, and the columns of the aerial view run around the horizon as well.
    """
    size = (1, spec.ground.height, spec.ground.width, 3)
    pixels = torch.zeros(size, dtype=torch.uint8, device=next(branch.parameters()).device)
    training = branch.training
    branch.eval()  # or the view would count in the running statistics
    try:
        with torch.inference_mode():
            features = branch.features(pixels)
            if isinstance(branch.head, nn.Flatten) and spec.aerial.around_horizon:
                _, channels, height, width = features.shape
                return channels, height, width
            return branch.head(features).shape[1], 1, 1
    finally:
        branch.train(training)


def _batches(
    branch: Branch, views: UInt8[np.ndarray, "n h w 3"], batch_size: int, device: torch.device | None
) -> Iterator[Float[np.ndarray, "b d"]]:
    for start in range(0, len(views), batch_size):
        pixels = torch.from_numpy(np.array(views[start : start + batch_size]))  # a copy: the map is read-only
        with torch.inference_mode():
            descriptors = branch(pixels.to(device)).float().cpu().numpy()
        yield descriptors


def _to_file(
    first: Float[np.ndarray, "b d"], parts: Iterator[Float[np.ndarray, "c d"]], shape: tuple[int, int], folder: Path
) -> Float[np.ndarray, "n d"]:
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with tempfile.TemporaryFile(dir=folder) as stream:
            first.tofile(stream)
            for part in parts:
                part.tofile(stream)
            stream.flush()
            return np.memmap(stream, np.float32, "r", shape=shape)
    except OSError as error:
        size = 4 * shape[0] * shape[1] / 2**30
        raise AenetError(f"cannot keep {size:.1f} GiB of descriptors in {folder}: {error}") from error
