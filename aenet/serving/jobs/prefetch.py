"""Read the photos of a list ahead of the network that describes them, in order and in bounded memory."""

import os
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from aenet.card import NEUTRAL, Unseen, ViewSpec
from aenet.cores import usable_cores
from aenet.serving.photos.pose import Told
from aenet.serving.photos.reading import Heading, PhotoOptions, Reading, read_photo

_AHEAD_BYTES = 256 << 20  # views that wait for the network, at most


def read_photos(
    photos: pd.DataFrame,
    view: ViewSpec,
    batch_size: int,
    threads: int,
    options: PhotoOptions | None = None,
    heading: Heading = "auto",
    unseen: Unseen = NEUTRAL,
) -> Iterator[list[Reading]]:
    """Yield the readings of a photo list in order, `batch_size` at a time; the next are decoded meanwhile.

    No more than two batches, or 256 MiB of views, wait to be taken: memory does not grow with the list.

    Args:
        photos: rows of `photos.list_photos`.
        view: the model's view.
        batch_size: photos in a batch; the last may be smaller.
        threads: decoders; 0 means one per usable core.
        options: see PhotoOptions.
        heading: see Heading.
        unseen: see `reading.read_photo`.
    """
    columns = ["true_latitude", "true_longitude", "heading_deg", "fov_deg"]
    rows = zip(photos["photo"], photos["path"], photos[columns].to_numpy(np.float64), photos["bytes"], strict=True)
    ahead = max(2 * batch_size, _AHEAD_BYTES // (3 * view.height * view.width))
    cv2.setNumThreads(1)  # two pools at once (OpenCV's and ours) are slower than one
    with ThreadPoolExecutor(threads or usable_cores()) as pool:

        def submit(row: tuple[str, bytes, np.ndarray, int]) -> Future[Reading]:
            name, path, told, size = row
            file, said = Path(os.fsdecode(path)), Told(*map(float, told))
            return pool.submit(read_photo, file, name, view, said, options, int(size), heading, unseen)

        waiting = deque(map(submit, islice(rows, ahead)))
        try:
            while waiting:
                batch = [waiting.popleft().result() for _ in range(min(batch_size, len(waiting)))]
                waiting.extend(map(submit, islice(rows, len(batch))))
                yield batch
        finally:
            pool.shutdown(wait=False, cancel_futures=True)  # nobody waits for them any more
