"""Reading, network and search at work at the same time, and none of them far ahead of the others."""

import threading
from collections.abc import Callable
from typing import Any

import pytest

from aenet.serving.galleries.gallery import Gallery
from aenet.serving.jobs import photopipeline
from aenet.serving.localize import LocateOptions
from aenet.serving.photos.listing import list_photos
from aenet.serving.sessions.runtime import SessionOptions
from aenet.serving.sessions.session import OnnxBranch
from tests.support import world

LONG = 60.0  # seconds: what does not happen by then never will
BATCH = 2
Rows = list[dict[str, Any]]


@pytest.fixture(scope="module")
def place(small_world: world.World) -> Callable[[], Rows]:
    """Place the world's twelve photos, two at a time."""
    branch = OnnxBranch(small_world.model, "ground", SessionOptions(provider="cpu", threads=1, batch_size=BATCH))
    gallery = Gallery.open(small_world.gallery, branch.card)
    options = LocateOptions(batch_size=BATCH, decoders=1, threads=1, heading="north", provider="cpu")
    photos = list_photos(small_world.photos)
    return lambda: photopipeline.place_photos(photos, branch, gallery, None, options)


def test_the_next_batch_is_read_while_the_network_has_this_one(
    place: Callable[[], Rows], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The network waits for the first photo of the batch after its own: it would wait for ever if nobody read ahead."""
    undisturbed = place()
    read = [threading.Event() for _ in undisturbed]
    batches = iter(range(len(read) // BATCH))
    numbers = {row["photo"]: number for number, row in enumerate(undisturbed)}
    read_photo, describe = photopipeline.read_photo, photopipeline.describe

    def reading(path: Any, name: str, *given: Any) -> Any:
        found = read_photo(path, name, *given)
        read[numbers[name]].set()
        return found

    def describing(*given: Any) -> Any:
        following = (next(batches) + 1) * BATCH
        assert following >= len(read) or read[following].wait(LONG)
        return describe(*given)

    monkeypatch.setattr(photopipeline, "read_photo", reading)
    monkeypatch.setattr(photopipeline, "describe", describing)
    assert place() == undisturbed


def test_reading_goes_no_farther_ahead_than_memory_allows(
    place: Callable[[], Rows], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two batches wait beside the one that the network has: all that is read ahead where views are large."""
    monkeypatch.setattr(photopipeline, "_AHEAD_BYTES", 0)
    read_photo, describe, count, described = photopipeline.read_photo, photopipeline.describe, [], []

    def reading(*given: Any) -> Any:
        count.append(1)
        return read_photo(*given)

    def describing(*given: Any) -> Any:
        described.append(len(given[0]))
        assert len(count) <= sum(described) + 2 * BATCH
        return describe(*given)

    monkeypatch.setattr(photopipeline, "read_photo", reading)
    monkeypatch.setattr(photopipeline, "describe", describing)
    assert len(place()) == len(count) == sum(described) == 12


def test_a_block_is_searched_while_the_next_is_described(
    place: Callable[[], Rows], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The search waits for the network to have begun with what comes after: it would wait for ever behind it."""
    undisturbed = place()
    monkeypatch.setattr(photopipeline, "block_size", lambda query_bytes: BATCH)
    begun = [threading.Event() for _ in range(len(undisturbed) // BATCH + 1)]
    begun[-1].set()
    described, searched = iter(begun[:-1]), iter(begun[1:])
    describe, search_gallery = photopipeline.describe, photopipeline.search_gallery

    def describing(*given: Any) -> Any:
        next(described).set()
        return describe(*given)

    def searching(*given: Any) -> Any:
        assert next(searched).wait(LONG)
        return search_gallery(*given)

    monkeypatch.setattr(photopipeline, "describe", describing)
    monkeypatch.setattr(photopipeline, "search_gallery", searching)
    assert place() == undisturbed
