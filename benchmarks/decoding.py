"""The reference of `benchmarks/training.py`: pairs decoded, polar-transformed and augmented in every epoch.

Public code for CVUSA and CVACT opens each JPEG with Pillow, resizes, augments and normalises it in `__getitem__`, epoch
after epoch. The polar transform is here OpenCV's `remap`, which is faster than the scripts that are passed around, and
colours change after resizing, when there are fewest pixels; images are of the same pairs and end as the same 0..255
floats as the packed views.
"""

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms import ColorJitter

from aenet.view.polar import sampling_maps


class DecodeEveryEpoch:
    """A plain data set and its loop: one process, no workers, like ours.

    With `colour` each view's brightness, contrast and saturation change by up to that share, as torchvision does it on
    a Pillow image, and both views of a pair are mirrored half of the time and turned by one azimuth.
    """

    def __init__(self, source: Path, pairs: pd.DataFrame, height: int, width: int, colour: float | None) -> None:
        self.source, self.pairs, self.height, self.width = source, pairs, height, width
        side = Image.open(source / pairs["aerial"].iloc[0]).width
        self.maps = [table.astype(np.float32) for table in sampling_maps(height, width, side)]
        self.jitter = None if colour is None else ColorJitter(colour, colour, colour)
        self.random = np.random.default_rng(0)

    def __getitem__(self, row: int) -> tuple[Tensor, Tensor]:
        """Return the ground view and the polar view of one pair, [h, w, 3]."""
        pair = self.pairs.iloc[row]
        panorama = Image.open(self.source / pair["ground"]).convert("RGB")
        ground = panorama.resize((self.width, self.height), Image.Resampling.BILINEAR)
        tile = np.asarray(Image.open(self.source / pair["aerial"]).convert("RGB"))
        aerial = cv2.remap(tile, self.maps[0], self.maps[1], cv2.INTER_LINEAR)
        if self.jitter is None:
            return torch.from_numpy(np.array(ground)).float(), torch.from_numpy(aerial).float()
        views = [torch.from_numpy(np.array(self.jitter(view))) for view in (ground, Image.fromarray(aerial))]
        if self.random.random() < 0.5:
            views = [view.flip(1) for view in views]
        turn = int(self.random.integers(self.width))
        return views[0].roll(turn, 1).float(), views[1].roll(turn, 1).float()

    def batches(self, order: np.ndarray, batch_size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield the epoch's batches."""
        for start in range(0, len(order) - 1, batch_size):
            pairs = [self[int(row)] for row in order[start : start + batch_size]]
            yield torch.stack([ground for ground, _ in pairs]), torch.stack([aerial for _, aerial in pairs])
