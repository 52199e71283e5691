"""A rotation that spreads a descriptor's energy evenly over its values, so that each deserves the same few bits.

Principal components, and channels of a network, differ in energy by orders of magnitude, and codes that give all of
them alike waste most of their bits (docs/decisions/0006-codes-not-lists.md). Values are shuffled, their signs flipped
at random, and each 256 of them multiplied by a Hadamard matrix: the randomized Hadamard transform of Ailon and
Chazelle (2009), in blocks. Inner products stay what they were.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Int64

from aenet.arrays import open_array
from aenet.errors import CorruptArtifact

_BLOCK = 256


@dataclass(frozen=True)
class Rotation:
    """Order of the values, of the zeros they are padded with, and their signs (1 or -1)."""

    order: Int64[np.ndarray, " d2"]
    signs: Int64[np.ndarray, " d2"]

    @classmethod
    def random(cls, dim: int) -> "Rotation":
        """Return a rotation of `dim` values into the next multiple of 256, or power of two below; always the same."""
        generator, size = np.random.default_rng(0), padded(dim)
        return cls(generator.permutation(size), generator.choice([-1, 1], size))

    @classmethod
    def load(cls, path: Path) -> "Rotation":
        """Return the rotation that `save` wrote.

        Raises:
            CorruptArtifact: the file holds something else.
        """
        order, signs = np.array(open_array(path, ("int64",), (2, None)))
        size = len(order)
        if size < 4 or padded(size) != size or set(np.unique(signs)) - {-1, 1}:
            raise CorruptArtifact(f"{path} holds no rotation: run `aenet gallery index` again")
        if not np.array_equal(np.sort(order), np.arange(size)):
            raise CorruptArtifact(f"{path} names some values twice: run `aenet gallery index` again")
        return cls(order, signs)

    def save(self, path: Path) -> None:
        """Write it: a later numpy may draw other random numbers."""
        np.save(path, np.stack([self.order, self.signs]))

    def apply(self, rows: Float32[np.ndarray, "n d"]) -> Float32[np.ndarray, "n d2"]:
        """Return rotated rows."""
        padded = np.pad(rows, ((0, 0), (0, len(self.order) - rows.shape[1])))
        mixed = padded[:, self.order] * self.signs.astype(np.float32)
        size = min(_BLOCK, len(self.order))
        return np.asarray(mixed.reshape(-1, size) @ _hadamard(size), np.float32).reshape(padded.shape)


def padded(dim: int) -> int:
    """Return how many values a rotation makes of `dim`: the next multiple of 256, or power of two below."""
    return -(-dim // _BLOCK) * _BLOCK if dim > _BLOCK else max(4, 1 << (dim - 1).bit_length())


def _hadamard(size: int) -> Float32[np.ndarray, "b b"]:
    """Return Sylvester's matrix of a power of two, scaled to be orthogonal."""
    matrix = np.ones((1, 1), np.float32)
    while len(matrix) < size:
        matrix = np.block([[matrix, matrix], [matrix, -matrix]])
    return matrix / np.float32(size**0.5)
