"""What descriptors take on disk: of this gallery, and of what else the model could have been exported to.

A square kilometre with a tile every 20 m has 2,500 tiles; at the paper's 81,920 numbers of 4 bytes they take 0.8 GB.
"""

import math

from pydantic import Field

from aenet.data.card import Compression, ModelCard
from aenet.io.params import Config

BYTES = {"float32": 4, "float16": 2}
PARTS = (2, 4, 8, 16)  # of the channels


class Storage(Config):
    """What the descriptors take.

    Attributes:
        bytes_per_tile: as stored.
        gb_per_km2: as stored, in units of 1e9 bytes; None without a grid.
        choice: which of the choices this is.
        choices_bytes_per_tile, choices_gb_per_km2: the same for every choice of compression (at export) and of type
            (at building), named like `pca 320 float16`; without a grid there are no square kilometres.
    """

    bytes_per_tile: int
    gb_per_km2: float | None
    choice: str = ""
    choices_bytes_per_tile: dict[str, int] = Field(default_factory=dict)
    choices_gb_per_km2: dict[str, float] | None

    def total(self, tiles: int) -> str:
        """Say what so many tiles take."""
        each = f", {self.gb_per_km2:,.3g} GB a km2" if self.gb_per_km2 is not None else ""
        return f"{self.bytes_per_tile * tiles / 1e9:,.3g} GB ({self.bytes_per_tile:,} bytes a tile{each})"


def name_of(compression: Compression | None) -> str:
    """Return a compression's short name: `full`, `pca 320`, `pca 320 whitened`, `gap`."""
    if compression is None:
        return "full"
    if compression.kind == "gap":
        return "gap"
    return f"pca {compression.channels}" + (" whitened" if compression.whiten else "")


def compressions(shape: tuple[int, int, int]) -> list[Compression | None]:
    """Return what is worth a look for descriptors of `shape` (C, h, w): in full, fractions of the channels, gap."""
    found: list[Compression | None] = [None]
    channels = [shape[0] // part for part in PARTS if shape[0] // part]
    found += [Compression(kind="pca", channels=count, full_shape=shape) for count in channels]
    if shape[1:] != (1, 1):
        found.append(Compression(kind="gap", channels=shape[0], full_shape=shape))
    return found


def numbers_of(compression: Compression | None, shape: tuple[int, int, int]) -> int:
    """Return how many numbers a descriptor of `shape` has once compressed."""
    return math.prod(compression.shape if compression is not None else shape)


def gb_per_km2(bytes_per_tile: int, spacing_m: float) -> float:
    """Return what a square kilometre takes with a tile every `spacing_m` metres, in units of 1e9 bytes."""
    return bytes_per_tile * 1e6 / spacing_m**2 / 1e9


def storage_of(card: ModelCard, dtype: str, spacing_m: float | None) -> Storage:
    """Return what descriptors of a model take, kept as `dtype`, one every `spacing_m` metres; None: without a grid."""
    own = card.compression
    shape = own.full_shape if own is not None else card.map_shape or (card.descriptor_dim, 1, 1)
    # A flattened map whose shape nobody recorded: what its channels are is not known.
    unknown = own is None and card.map_shape is None and card.head == "flatten"
    others = [None] if unknown else compressions(shape)
    numbers = {name_of(one): numbers_of(one, shape) for one in [*others, own]}
    choices = {f"{name} {kind}": count * BYTES[kind] for name, count in numbers.items() for kind in BYTES}
    each = {name: gb_per_km2(size, spacing_m) for name, size in choices.items()} if spacing_m else None
    choice = f"{name_of(own)} {dtype}"
    return Storage(
        bytes_per_tile=choices[choice],
        gb_per_km2=each[choice] if each else None,
        choice=choice,
        choices_bytes_per_tile=choices,
        choices_gb_per_km2=each,
    )
