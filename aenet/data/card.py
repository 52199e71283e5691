"""The card an exported model carries: everything serving must know, and the digests to trust it by."""

import hashlib
import json
import math
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from aenet.io.artifacts import sha256_file
from aenet.io.errors import AenetError, CorruptArtifact
from aenet.io.nolinks import listed_path, read_listed
from aenet.io.params import Config, first_fault
from aenet.view.spec import NEUTRAL, Unseen, ViewSpec

CARD = "model.json"
ONNX_BYTES = 2 << 30  # a protobuf message has no more
HALF = ".fp16.onnx"  # how the names of half-precision branches end: the same model, proven to give the same places


Length = Annotated[float, Field(gt=0, le=1e9)]


class Acuity(Config):
    """What a cosine tells of the distance between a photo and a tile's centre: see `scoring.confidence`.

    Attributes:
        mean: cosine of photos with tiles of other places, on average.
        rise: by how much more a tile centred on the photo has.
        reach_m: distance at which 1 / sqrt 2 of that is left; at seven times that a seventh.
        spacings_m, sharpness: by how much the logarithm of the odds rises with the cosine, for grids of these spacings
            (ascending): neighbours on a dense grid tell more.
        centred: the same for tiles centred on their photos, that have no neighbours.
        circle: for each of `spacings_m`, the share of the probability that a circle must hold for 90 % of the photos
            to lie in it.
    """

    mean: float = Field(ge=-1, le=1)
    rise: float = Field(gt=0, le=2)
    reach_m: Length
    # Not strict: a card's JSON comes here as Python's lists, by way of `_of_this_version`.
    spacings_m: tuple[Length, ...] = Field(default=(), strict=False)
    sharpness: tuple[Length, ...] = Field(default=(), strict=False)
    centred: Length
    circle: tuple[float, ...] = Field(default=(), strict=False)

    @model_validator(mode="after")
    def _one_each(self) -> "Acuity":
        if any(one >= other for one, other in zip(self.spacings_m, self.spacings_m[1:], strict=False)):
            raise ValueError("spacings_m must ascend")
        if not all(0 <= share <= 1 for share in self.circle):
            raise ValueError("circle must hold shares, in 0..1")
        if not len(self.spacings_m) == len(self.sharpness) == len(self.circle):
            raise ValueError("spacings_m must have one sharpness and one circle each")
        return self

    def sharpness_at(self, spacing_m: float | None) -> float:
        """Return the sharpness for a grid: its logarithm is linear in that of the spacing; None: no grid.

        The trend goes on to twice the coarsest spacing. A grid denser than the densest tells no more.
        """
        if spacing_m is None or not self.spacings_m:
            return self.centred
        return math.exp(self._between([math.log(value) for value in self.sharpness], spacing_m, 2.0))

    def circle_at(self, spacing_m: float | None) -> float:
        """Return the share of the probability that a circle must hold for 90 % of the photos to lie in it."""
        if spacing_m is None or not self.spacings_m:
            return 0.9
        return self._between(list(self.circle), spacing_m, 1.0)

    def _between(self, values: list[float], spacing_m: float, beyond: float) -> float:
        """Return what is linear in the logarithm of the spacing, up to `beyond` times the coarsest."""
        at = [math.log(spacing) for spacing in self.spacings_m]
        if len(at) == 1:
            return values[0]
        place = min(max(math.log(spacing_m), at[0]), at[-1] + math.log(beyond))
        lower = max(number for number, value in enumerate(at[:-1]) if value <= place)
        share = (place - at[lower]) / (at[lower + 1] - at[lower])
        return (1 - share) * values[lower] + share * values[lower + 1]


class Calibration(Config):
    """What scores are worth: `scoring.confidence` turns them into probabilities with these.

    Attributes:
        known: for photos of known heading.
        unknown: for photos matched over all headings; None where it was not fitted.
        queries, references: how many validation photos it was fitted on, and among how many tiles they were sought.
    """

    known: Acuity
    unknown: Acuity | None = None
    queries: int
    references: int


class InitialWeights(Config):
    """What a backbone was trained from.

    Attributes:
        source: `random`, the path of a file, or where published weights come from: the name of a Python package,
            `timm/...` on the Hugging Face hub, or a URL.
        tag: timm's whole name of published weights: `tf_efficientnetv2_s.in21k_ft_in1k`.
        revision: the package's version, or the hub's commit.
        sha256: of the file's bytes; None for random weights, and where timm has kept no file.
        licence: of published weights, as the package or timm states it; None where nobody does.
    """

    source: str
    tag: str | None = None
    revision: str | None = None
    sha256: str | None = None
    licence: str | None = None


class Compression(Config):
    """How the export made descriptors smaller (`aenet.export.compression`); the ONNX graphs do it.

    Attributes:
        kind: `pca`: the map's channels projected; `gap`: the map averaged over rows and columns.
        channels: how many are left.
        whiten: whether all of them were given the same energy.
        full_shape: (C, h, w) of the map before; (D, 1, 1) of a descriptor that was none.
    """

    kind: Literal["pca", "gap"]
    channels: int = Field(ge=1)
    whiten: bool = False
    full_shape: tuple[int, int, int]

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, h, w) of what is left."""
        rows, columns = self.full_shape[1:] if self.kind == "pca" else (1, 1)
        return self.channels, rows, columns


class ModelCard(Config):
    """Describes an exported model folder (`ground.onnx`, `aerial.onnx`).

    Attributes:
        map_shape: (C, h, w) of a descriptor that is a map in C order, its w columns around the horizon as the view's
            are (`aenet.retrieval.azimuth`); None where it is no map, or was not recorded.
        compression: None where descriptors are as the network was trained to give them.
        calibration: None where it was not fitted, or by a version that fitted fewer numbers (`_of_this_version`):
            then answers have no confidence, and their rows say why.
        unseen: how photos of part of the horizon are completed; None where an earlier version exported the model,
            which painted `NEUTRAL` (see `completion`).
        initial: what its training began with; None where it was not recorded.
    """

    name: str = "aenet"
    view: ViewSpec
    descriptor_dim: int = Field(ge=1, le=1 << 24)
    backbone: str
    attention: str
    head: str
    trained_on: str
    fingerprint: str
    recall_at_1: float | None = None
    map_shape: tuple[int, int, int] | None = None
    compression: Compression | None = None
    calibration: Calibration | None = None
    unseen: Unseen | None = None
    initial: InitialWeights | None = None
    sha256: dict[str, str]

    @field_validator("calibration", mode="before")
    @classmethod
    def _of_this_version(cls, calibration: object) -> object:
        known = calibration.get("known") if isinstance(calibration, dict) else None
        old = isinstance(known, int | float) or (isinstance(known, dict) and "circle" not in known)
        return None if old else calibration

    @model_validator(mode="after")
    def _map_is_the_descriptor(self) -> "ModelCard":
        if self.map_shape is not None and math.prod(self.map_shape) != self.descriptor_dim:
            raise ValueError(f"a map of {self.map_shape} does not make {self.descriptor_dim} dimensions")
        return self

    @property
    def completion(self) -> Unseen:
        """How photos of part of the horizon are completed."""
        return self.unseen or NEUTRAL


def read_card(folder: Path) -> ModelCard:
    """Return the card of a model folder after checking the digests of the files it names.

    Raises:
        AenetError: no card there, or not a valid one.
        CorruptArtifact: a model file is missing, none of `io.nolinks.listed_path`, or its digest differs.
    """
    path = folder / CARD
    if not path.exists():
        raise AenetError(f"{folder} holds no exported model ({CARD} is missing): run the export_onnx stage first")
    try:
        card = ModelCard.model_validate_json(read_listed(path))
    except AenetError:
        raise
    except (OSError, ValueError) as error:
        raise CorruptArtifact(
            f"{path} is not a valid model card ({first_fault(error)}): export the model again"
        ) from error
    for name, expected in card.sha256.items():
        file = listed_path(folder, name, CARD)
        if file.stat().st_size > ONNX_BYTES:
            raise CorruptArtifact(f"{file} is larger than 2 GiB, which no ONNX file can be: export the model again")
        if (digest := sha256_file(file)) != expected:
            raise CorruptArtifact(
                f"{file} has SHA-256 {digest[:12]}, its card says {expected[:12]}: export the model again"
            )
    return card


# What a gallery is bound to of a model, and a tile as the model sees it.


def model_digest(card: ModelCard) -> str:
    """Return what makes two models interchangeable for a gallery: the weights' digests and the view.

    Half-precision files do not count: they are made from the others and proven to give the same places.
    """
    full = {name: digest for name, digest in sorted(card.sha256.items()) if not name.endswith(HALF)}
    identity = {"sha256": full, "view": card.view.identity()}
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()
