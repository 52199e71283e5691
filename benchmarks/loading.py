"""Pairs a second that a loader alone delivers: the field's way, and ours. Part of `benchmarks/training.py`."""

import time
from collections.abc import Generator, Iterator
from contextlib import closing
from pathlib import Path

import cv2
import numpy as np
import torch
from decoding import DecodeEveryEpoch

from aenet.data.views import Views
from aenet.training.augment import AugmentConfig
from aenet.training.batches import batches

PLAIN, LIKE = "decoded every epoch", "decoded every epoch, turned, coloured"
TURN = AugmentConfig(roll=True, flip=True)
AUGMENT = AugmentConfig(roll=True, flip=True, colour=0.1)
OURS = {"packed": AugmentConfig(), "packed, turned": TURN, "packed, turned, coloured": AUGMENT}


def loaders(
    source: Path, views: Views, height: int, batch_size: int, device: torch.device, seconds: float, rounds: int
) -> dict[str, float]:
    """Return the best round of each loader, one reading thread each; they take turns."""
    cv2.setNumThreads(1)
    order = np.random.default_rng(0).permutation(len(views))

    def packed(config: AugmentConfig) -> Generator[object, None, None]:
        for epoch in range(1_000_000):
            yield from batches(views, order, batch_size, config, 0, epoch, device=device)

    def decoded(colour: float | None) -> Generator[object, None, None]:
        reference = DecodeEveryEpoch(source, views.pairs, height, 4 * height, colour)
        for _ in range(1_000_000):
            yield from reference.batches(order, batch_size)

    def rate(stream: Iterator[object]) -> float:
        next(stream)  # the first batch waits for files and threads
        seen, began = 0, time.perf_counter()
        while time.perf_counter() - began < seconds:
            next(stream)
            seen += 1
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        return float(seen * batch_size / (time.perf_counter() - began))

    best = dict.fromkeys((PLAIN, LIKE, *OURS), 0.0)
    for _ in range(rounds):
        streams = (decoded(None), decoded(AUGMENT.colour), *(packed(config) for config in OURS.values()))
        for name, stream in zip(best, streams, strict=True):
            with closing(stream):
                best[name] = max(best[name], rate(stream))
    return best
