"""A branch of an exported model, embedding views."""

from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Float32, UInt8

from aenet.data.card import read_card
from aenet.io.errors import AenetError
from aenet.io.terminal import need_room
from aenet.serving.sessions.cuda import Bound
from aenet.serving.sessions.runtime import SessionOptions, check_signature, failure, infer, open_network

Side = Literal["ground", "aerial"]
_LENGTH_TOLERANCE = 1e-2  # half precision rounds the length of a long descriptor by a few thousandths


class OnnxBranch:
    """One exported branch, checked against its card and ready to embed views.

    Attributes:
        card: the model's card.
        runs_on: provider and precision in words: `CUDA (NVIDIA H100, fp16)`, `CPU (2 threads)`.

    Half precision gives the same places: `export` proves it, also for photos in one precision and a gallery in the
    other. So both files are one model, a gallery fits both, and its manifest says which embedded it.
    """

    def __init__(self, folder: Path, side: Side, options: SessionOptions | None = None) -> None:
        """Open a branch and, on CUDA, warm it.

        Args:
            folder: a model folder with its card.
            side: which branch.
            options: where and how it runs.

        Raises:
            AenetError: no model there, the provider or precision demanded is not available, or the graph is not the
                card's; or this process may have too little memory.
            CorruptArtifact: a digest differs, or the graph keeps weights outside its file.
        """
        need_room()
        self.card = read_card(folder)
        self.view = self.card.view.of(side)
        options = options or SessionOptions()
        self._batch_size = options.batch_size
        self._network = open_network(folder, side, self.card, options)
        self._path, self.runs_on = self._network.path, self._network.runs_on
        self._input = check_signature(self._network.session, self.card, self.view, self._path)
        self._bound: Bound | None = None
        if self._network.on_cuda:
            shape = (options.batch_size, self.view.height, self.view.width, 3)
            if options.cuda.graphs:
                session = self._network.session
                device = options.cuda.device
                self._bound = Bound(session, self._input, shape, self.card.descriptor_dim, "cuda", device)
            self._run(np.zeros(shape, np.uint8))  # the search for convolutions, engines and graphs happen here

    def embed(self, views: UInt8[np.ndarray, "n h w 3"]) -> Float32[np.ndarray, "n d"]:
        """Return unit descriptors of RGB views of the branch's size.

        Raises:
            AenetError: the views have another size, or a descriptor is not finite or not of unit length.
        """
        descriptors, faults = self.embed_each(views)
        if faults:
            row, fault = next(iter(faults.items()))
            raise AenetError(f"{self._path} on {self.runs_on}, view {row}: {fault}")
        return descriptors

    def embed_each(self, views: UInt8[np.ndarray, "n h w 3"]) -> tuple[Float32[np.ndarray, "n d"], dict[int, str]]:
        """Return descriptors as `embed`, and a sentence for each row whose descriptor is not to be used.

        Raises:
            AenetError: the views have another size, or the model gives no usable descriptor to noise either: then
                it is the model that is at fault.
        """
        view = self.view
        if views.shape[1:3] != (view.height, view.width):
            raise AenetError(
                f"{self._path} takes views of {view.height} x {view.width} px, got {views.shape[1]} x {views.shape[2]}"
            )
        starts = range(0, len(views), self._batch_size)
        parts = [self._run(views[start : start + self._batch_size]) for start in starts]
        descriptors = np.concatenate([np.empty((0, self.card.descriptor_dim), np.float32), *parts])
        faults = _faults(descriptors)
        if faults:
            self._check_on_noise()
        return descriptors, faults

    def _check_on_noise(self) -> None:
        view = self.view
        noise = np.random.default_rng(0).integers(0, 256, (1, view.height, view.width, 3), dtype=np.uint8)
        if fault := _faults(self._run(noise)).get(0):
            raise AenetError(
                f"{self._path} on {self.runs_on}: {fault}, whatever the view: "
                "the model is damaged or overflows in this precision; export it again or use `provider` cpu"
            )

    def _run(self, views: UInt8[np.ndarray, "b h w 3"]) -> Float32[np.ndarray, "b d"]:
        count = len(views)
        if count < self._batch_size and self._network.on_cuda:
            padding = np.zeros((self._batch_size - count, *views.shape[1:]), np.uint8)
            views = np.concatenate([views, padding])
        if self._bound is None:
            output = infer(self._network, {self._input: np.ascontiguousarray(views)})
        else:
            try:
                output = self._bound.run(views)
            except Exception as error:
                raise failure(self._network, error) from error
        return np.asarray(output[:count], dtype=np.float32)


def _faults(descriptors: Float32[np.ndarray, "n d"]) -> dict[int, str]:
    lengths = np.linalg.norm(descriptors.astype(np.float64), axis=1)
    bad = np.flatnonzero(~(np.abs(lengths - 1) < _LENGTH_TOLERANCE))  # also true for NaN
    return {int(row): f"the model gives a descriptor of length {lengths[row]:g} instead of 1" for row in bad}
