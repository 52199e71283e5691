"""`aenet.load_model`: both exported branches and their card."""

from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32, UInt8

from aenet.data.card import CARD, ModelCard, read_card
from aenet.data.views import aerial_view, ground_view
from aenet.doors.given import Images, PathLike, as_images, one_path, photo_source
from aenet.io.errors import AenetError
from aenet.serving.jobs.photopipeline import read_photos
from aenet.serving.photos.listing import list_photos
from aenet.serving.sessions.cuda import CudaOptions
from aenet.serving.sessions.runtime import Precision, Provider, SessionOptions
from aenet.serving.sessions.session import OnnxBranch, Side
from aenet.serving.vocabulary import session_options
from aenet.view.images import decode
from aenet.view.spec import ViewSpec

ViewPixels = UInt8[np.ndarray, "h w 3"]


def load_model(
    path: PathLike,
    *,
    provider: Provider = "auto",
    precision: Precision = "auto",
    threads: int = 0,
    batch_size: int = 32,
    cuda: CudaOptions | dict[str, Any] | None = None,
) -> "Model":
    """Open an exported model. Its networks are opened when they are first used.

    Args:
        path: its folder, as the stage `export_onnx` and `aenet model fetch` leave it.
        provider: `auto`: CUDA if it is there, else the CPU; `cuda`: CUDA or an error; `cpu`.
        precision: number format of the network: `auto` is fp16 on CUDA if the model has it, else fp32.
        threads: CPU threads of one inference; 0: one per core.
        batch_size: images the network takes at once.
        cuda: see `aenet.serving.sessions.cuda.CudaOptions`.

    Raises:
        AenetError: no exported model there, or an argument that is none.
        CorruptArtifact: a file's digest differs from the card's.
    """
    folder = one_path(path, "path")
    if not (folder / CARD).exists() and (folder / "best.safetensors").exists():
        raise AenetError(f"{folder} is a trained model that was not exported: run the stage export_onnx on it first")
    card = read_card(folder)  # first: a damaged folder is not to be blamed on the options
    given = {"provider": provider, "precision": precision, "threads": threads, "batch_size": batch_size, "cuda": cuda}
    return Model(folder, card, session_options(given, "load_model"))


class Model:
    """An exported model.

    Attributes:
        folder: where it lies.
        card: what it says of itself: input, descriptor, training, digests.
        session: where and how it runs.
    """

    def __init__(self, folder: Path, card: ModelCard, session: SessionOptions) -> None:
        self.folder, self.card, self.session = folder, card, session

    def __repr__(self) -> str:
        ground, aerial = self.card.view.ground, self.card.view.aerial
        views = f"{ground.height} x {ground.width} and {aerial.height} x {aerial.width} px"
        return f"<Model {self.folder}: {views} to {self.card.descriptor_dim:,} numbers>"

    @cached_property
    def ground(self) -> "GroundBranch":
        """The branch that describes photos."""
        return GroundBranch(self, "ground")

    @cached_property
    def aerial(self) -> "AerialBranch":
        """The branch that describes tiles of a map."""
        return AerialBranch(self, "aerial")


class _Described:
    """A branch that takes files and pixels as they are."""

    def __init__(self, model: Model, side: Side) -> None:
        self._model, self._side = model, side

    @cached_property
    def network(self) -> OnnxBranch:
        """The branch in onnxruntime, which takes views."""
        return OnnxBranch(self._model.folder, self._side, self._model.session)

    @property
    def runs_on(self) -> str:
        """Provider and precision in words: `CPU (2 threads)`."""
        return self.network.runs_on

    def _embed(self, views: Iterator[list[ViewPixels]]) -> Float32[np.ndarray, "n d"]:
        parts = [self.network.embed(np.stack(batch)) for batch in views]
        return np.concatenate(parts)

    def _converted(
        self, images: list[ViewPixels], convert: Callable[[ViewPixels, ViewSpec], ViewPixels]
    ) -> Iterator[list[ViewPixels]]:
        """Yield views, a batch at a time; images of the view's own size are views already."""
        spec, size = self._model.card.view, self._model.session.batch_size
        own = spec.of(self._side)
        for start in range(0, len(images), size):
            batch = images[start : start + size]
            yield [im if im.shape[:2] == (own.height, own.width) else convert(im, spec) for im in batch]


class GroundBranch(_Described):
    """Describes photos."""

    def embed(self, photos: Images) -> Float32[np.ndarray, "n d"]:
        """Return unit descriptors of photos.

        Args:
            photos: a path or paths, as `aenet.locate` takes them, or uint8 RGB arrays: panoramas of 360 degrees whose
                centre column looks north, or views of the model's own size. Files are turned by the heading that they
                or their table say; without one they are taken to look north (`aenet.locate` seeks it instead).

        Raises:
            AenetError: a photo that cannot be read or placed on the model's canvas: names it, and why.
        """
        images = as_images(photos, "photos")
        return self._embed(self._converted(images, ground_view) if images is not None else self._read(photos))

    def _read(self, photos: Images) -> Iterator[list[ViewPixels]]:
        card, size = self._model.card, self._model.session.batch_size
        for batch in read_photos(
            list_photos(photo_source(photos)), card.view, size, 0, heading="north", unseen=card.completion
        ):
            views = []
            for reading in batch:
                if reading.view is None:
                    raise AenetError(f"{reading.photo}: {reading.reason}")
                views.append(reading.view)
            yield views


class AerialBranch(_Described):
    """Describes tiles of a map."""

    def embed(self, tiles: Images) -> Float32[np.ndarray, "n d"]:
        """Return unit descriptors of tiles.

        Args:
            tiles: a path or paths of images, or uint8 RGB arrays: square, north up, as wide on the ground as the
                model's tiles (`model.card.view.tile_size_m` metres); or views of the model's own size.

        Raises:
            AenetError: a tile that is not square, or cannot be read.
        """
        images = as_images(tiles, "tiles")
        return self._embed(self._converted(images, aerial_view) if images is not None else self._read(tiles))

    def _read(self, tiles: Images) -> Iterator[list[ViewPixels]]:
        source = photo_source(tiles, "tiles")
        names = source if isinstance(source, tuple) else (str(source),)
        for start in range(0, len(names), self._model.session.batch_size):
            batch = [Path(name) for name in names[start : start + self._model.session.batch_size]]
            yield [_tile(path, self._model.card.view) for path in batch]


def _tile(path: Path, spec: ViewSpec) -> ViewPixels:
    try:
        return aerial_view(decode(path), spec)
    except AenetError as error:
        said = str(error)
        raise AenetError(said if str(path) in said else f"{path}: {said}") from error


def as_model(given: Any) -> Model:
    """Return a model that was handed over opened or by its folder."""
    return given if isinstance(given, Model) else load_model(one_path(given, "model"))
