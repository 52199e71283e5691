"""Smaller descriptors for serving, chosen at export: the map's channels projected, or the map averaged.

A gallery keeps one descriptor a tile, and the paper's has 81,920 numbers: 1280 channels of 4 x 16 cells. `pca` projects
the channels of every cell alike, in both branches: [C, h, w] becomes [C', h, w], columns stay azimuths, and a turned
photo is still a shifted map. The directions are the eigenvectors of the second moment of all cells of both branches.
No mean is taken off, so that with all channels kept every cosine is what it was. Whitening divides each direction by
the root of its energy (Jegou and Chum, ECCV 2012, "Negative evidences and co-occurences in image retrieval: the benefit
of PCA and whitening"). `gap` averages over rows and columns: C numbers, and with the columns the heading is lost.

The third way is to train for it: a `projection` head (`aenet.nn.heads`).
"""

import copy
from typing import Annotated, Literal, assert_never

import numpy as np
import torch
from jaxtyping import Float, Float32, Float64
from pydantic import Field
from torch import nn

from aenet.data.card import Compression
from aenet.io.errors import AenetError
from aenet.io.params import Config
from aenet.nn.branches import TwoBranch
from aenet.nn.heads import GlobalAveragePool

Shape = tuple[int, int, int]
_NOTHING = 1e-10  # energy of a direction, as a share of the strongest one's, that is rounding


class Uncompressed(Config):
    """Descriptors as the network was trained to give them."""

    kind: Literal["none"] = "none"


class Pca(Config):
    """The strongest directions of the channels.

    Attributes:
        channels: how many are kept.
        whiten: give all of them the same energy.
    """

    kind: Literal["pca"]
    channels: int = Field(ge=1)
    whiten: bool = False


class GapCompression(Config):
    """The average over rows and columns."""

    kind: Literal["gap"]


CompressConfig = Annotated[Uncompressed | Pca | GapCompression, Field(discriminator="kind")]


def plan_compression(config: CompressConfig, shape: Shape) -> Compression | None:
    """Return what the card says of a compression of descriptors of `shape`, (D, 1, 1) where they are no maps.

    Raises:
        AenetError: more channels are wanted than there are, or an average of what is no map.
    """
    match config:
        case Uncompressed():
            return None
        case Pca(channels=channels, whiten=whiten):
            if channels > shape[0]:
                raise AenetError(
                    f"export_onnx.compress.channels is {channels}, and the descriptor has {shape[0]} channels: "
                    f"give {shape[0]} or fewer"
                )
            return Compression(kind="pca", channels=channels, whiten=whiten, full_shape=shape)
        case GapCompression():
            if shape[1:] == (1, 1):
                raise AenetError(
                    f"export_onnx.compress.kind is gap, and the descriptor of {shape[0]} numbers is no map: there is "
                    "nothing to average; take pca or none, or train with a flatten head"
                )
            return Compression(kind="gap", channels=shape[0], full_shape=shape)
    assert_never(config)


def second_moment(descriptors: Float[np.ndarray, "n d"], shape: Shape) -> Float64[np.ndarray, "c c"]:
    """Return the sum of x x^T over the channels x of every cell of every descriptor."""
    maps = descriptors.reshape(len(descriptors), shape[0], -1).astype(np.float64)
    cells = maps.transpose(0, 2, 1).reshape(-1, shape[0])
    return np.asarray(cells.T @ cells)


def directions(
    moment: Float64[np.ndarray, "c c"], channels: int, whiten: bool = False
) -> Float32[np.ndarray, "channels c"]:
    """Return the matrix that projects C channels on the strongest directions of their second moment.

    Rows are orthonormal; whitened, they are scaled so that all have the same energy and the last has length one.

    Raises:
        AenetError: directions without energy were to be whitened.
    """
    energy, vectors = np.linalg.eigh(moment)
    energy, rows = energy[::-1], vectors[:, ::-1].T
    strong = int((energy > _NOTHING * energy[0]).sum())
    if whiten and channels > strong:
        raise AenetError(
            f"export_onnx.compress whitens {channels} channels, and only {strong} directions of {len(energy)} carry "
            f"anything: give {strong} or fewer, or whiten: false"
        )
    rows = rows[:channels]
    # A direction's sign is anybody's; the same one every time gives the same file every time.
    rows = rows * np.sign(np.take_along_axis(rows, np.abs(rows).argmax(axis=1)[:, None], axis=1))
    if whiten:
        rows = rows * np.sqrt(energy[channels - 1] / energy[:channels])[:, None]
    return np.asarray(rows, np.float32)


def compress(
    descriptors: Float[np.ndarray, "n d"],
    compression: Compression | None,
    matrix: Float32[np.ndarray, "channels c"] | None = None,
) -> Float32[np.ndarray, "n d2"]:
    """Return unit descriptors as a network with this compression gives them; `matrix` goes with `pca`."""
    if compression is None:
        return np.asarray(descriptors, np.float32)
    maps = descriptors.reshape(len(descriptors), compression.full_shape[0], -1)
    small = maps.mean(axis=2) if matrix is None else np.matmul(matrix, maps).reshape(len(maps), -1)
    length = np.linalg.norm(small, axis=1, keepdims=True)
    return np.asarray(small / np.maximum(length, np.finfo(np.float32).tiny), np.float32)


def compress_network(
    network: TwoBranch, compression: Compression | None, matrix: Float32[np.ndarray, "channels c"] | None = None
) -> TwoBranch:
    """Return a network whose branches give compressed descriptors; the one given stays as it is."""
    if compression is None:
        return network
    smaller = copy.deepcopy(network)
    smaller.ground.head = _head(smaller.ground.head, compression, matrix)
    if smaller.aerial is not smaller.ground:
        smaller.aerial.head = _head(smaller.aerial.head, compression, matrix)
    return smaller.eval()


def _head(head: nn.Module, compression: Compression, matrix: Float32[np.ndarray, "channels c"] | None) -> nn.Module:
    if matrix is None:
        return GlobalAveragePool()
    count, channels = matrix.shape
    weights = torch.from_numpy(matrix)
    if compression.full_shape[1:] == (1, 1):
        linear = nn.Linear(channels, count, bias=False)
        linear.weight = nn.Parameter(weights, requires_grad=False)
        return nn.Sequential(head, linear)
    each_cell = nn.Conv2d(channels, count, 1, bias=False)
    each_cell.weight = nn.Parameter(weights[:, :, None, None], requires_grad=False)
    return nn.Sequential(each_cell, head)
