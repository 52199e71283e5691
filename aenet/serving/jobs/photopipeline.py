"""From photos to rows: decode, describe, search, each at work while the others are.

Threads decode ahead, a bounded number of views; this thread describes batch after batch with the network; one more
thread searches the block before. So the slowest of the three is the limit, and memory does not grow with the list.
"""

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd

from aenet.data.card import ModelCard
from aenet.io.errors import AenetError
from aenet.io.machine import usable_cores
from aenet.scoring.confidence import LISTED
from aenet.scoring.similarity import Query, turns
from aenet.serving.galleries.gallery import Gallery
from aenet.serving.jobs.job import LocateOptions
from aenet.serving.jobs.rows import NEIGHBOURS, error_row, placed_row
from aenet.serving.photos.metadata.pose import Told
from aenet.serving.photos.reading import Heading, PhotoOptions, Reading, read_photo
from aenet.serving.search.galleryindex import GalleryIndex
from aenet.serving.search.prior import of_photo
from aenet.serving.search.queries import describe
from aenet.serving.search.search import Question, block_size, search_gallery
from aenet.serving.sessions.session import OnnxBranch
from aenet.view.spec import NEUTRAL, Unseen, ViewSpec

# Read the photos of a list ahead of the network that describes them, in order and in bounded memory.

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
    ahead = max(2 * batch_size, _AHEAD_BYTES // (3 * view.ground.height * view.ground.width))
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


PhotoProgress = Callable[[int], None]
Described = tuple[Reading, Query | str]


def place_photos(
    photos: pd.DataFrame,
    branch: OnnxBranch,
    gallery: Gallery,
    index: GalleryIndex | None,
    options: LocateOptions,
    on_progress: PhotoProgress | None = None,
) -> list[dict[str, Any]]:
    """Return the rows (`outputs.SCHEMA`) of photos, in order.

    Args:
        photos: rows of `photos.list_photos`.
        branch: the model's ground branch.
        gallery, index: where to search; no index: all of it.
        options: see LocateOptions.
        on_progress: called with the number of photos described so far.
    """
    truths = photos[["true_latitude", "true_longitude"]].to_numpy(np.float64)
    rows: list[dict[str, Any]] = []
    waiting: Future[list[dict[str, Any]]] | None = None
    done = 0
    with ThreadPoolExecutor(1) as searcher:
        for block in _blocks(photos, branch, options, on_progress):
            if waiting is not None:
                rows += waiting.result()
            of_block = truths[done : done + len(block)]
            waiting = searcher.submit(_place, block, of_block, gallery, index, branch, options)
            done += len(block)
        if waiting is not None:
            rows += waiting.result()
    return rows


def _blocks(
    photos: pd.DataFrame, branch: OnnxBranch, options: LocateOptions, on_progress: PhotoProgress | None
) -> Iterator[list[Described]]:
    """Yield described photos, as many at a time as are searched at once."""
    card = branch.card
    size = block_size(4 * card.descriptor_dim * len(turns(card, options.phases)))
    block: list[Described] = []
    done = 0
    for batch in read_photos(
        photos, card.view, options.batch_size, options.decoders, options.photos, options.heading, card.completion
    ):
        if block and len(block) + len(batch) > size:
            yield block
            block = []
        queries = describe(batch, branch, options.phases)
        # Pixels have done their work.
        noted = (replace(_noted(reading, card), placed=None) for reading in batch)
        block += list(zip(noted, queries, strict=True))
        done += len(batch)
        if on_progress:
            on_progress(done)
    if block:
        yield block


def _noted(reading: Reading, card: ModelCard) -> Reading:
    """Say in a photo's notes that its model does not say how it was completed."""
    if card.unseen is not None or reading.placed is None or reading.placed.columns.all():
        return reading
    said = f"completed in the grey {card.completion.colour}, as earlier versions did: the model's card does not say how"
    return replace(reading, account=replace(reading.account, notes=(*reading.account.notes, said)))


def _place(
    block: Sequence[Described],
    truths: np.ndarray,
    gallery: Gallery,
    index: GalleryIndex | None,
    branch: OnnxBranch,
    options: LocateOptions,
) -> list[dict[str, Any]]:
    calibration = branch.card.calibration
    asked = [_question(reading, query, options) for reading, query in block]
    questions = [question for question in asked if isinstance(question, Question)]
    k = max(options.top_k, LISTED if calibration else NEIGHBOURS)
    matches = iter(search_gallery(questions, gallery, index, k, options.threads))
    rows = []
    for (reading, _), question, truth in zip(block, asked, truths, strict=True):
        match = question if isinstance(question, str) else next(matches)
        if isinstance(question, str) or isinstance(match, str):
            rows.append(error_row(reading, str(match), truth))
        else:
            rows.append(placed_row(reading, question.query, match, gallery, calibration, options, truth))
    return rows


def _question(reading: Reading, query: Query | str, options: LocateOptions) -> Question | str:
    """Return what is to be searched, or why nothing can be."""
    if isinstance(query, str):
        return query
    if options.prior is None:
        return Question(query)
    try:
        return Question(query, of_photo(options.prior, reading.pose.latitude, reading.pose.longitude))
    except AenetError as error:
        return str(error)
