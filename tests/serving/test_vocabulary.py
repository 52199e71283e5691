"""One vocabulary: flags, keywords and the keys of a flow's options mean the same."""

from typing import Any

import numpy as np
import pytest

from aenet.io.errors import AenetError
from aenet.serving.galleries.build import GalleryOptions
from aenet.serving.jobs.job import LocateOptions
from aenet.serving.photos.reading import PhotoOptions
from aenet.serving.search.prior import Box
from aenet.serving.sessions.cuda import CudaOptions
from aenet.serving.sessions.runtime import SessionOptions
from aenet.serving.vocabulary import gallery_options, locate_options, session_options


def test_words_and_fields_make_the_same_options() -> None:
    expected = LocateOptions(
        photos=PhotoOptions(fov_deg=70.0), prior=Box(west=8.0, south=47.0, east=9.0, north=48.0), min_confidence=0.9,
        formats=("kml", "gpkg"), precision="fp16", threads=2, cuda=CudaOptions(device=1, memory_mib=512),
    )  # fmt: skip
    words = {"min_confidence": 0.9, "precision": "fp16", "threads": 2, "near": None}
    flags = {"fov": 70, "within_box": "8,47,9,48", "also": "kml, GPKG,kml", "device": 1, "gpu_memory": 512}
    fields = {
        "photos": {"fov_deg": 70.0}, "within_box": np.array([8, 47, 9, 48]).tolist(), "formats": ["kml", "gpkg"],
        "cuda": {"device": 1, "memory_mib": 512},
    }  # fmt: skip
    assert locate_options({**words, **flags}, "a test") == locate_options({**words, **fields}, "a test") == expected
    built = GalleryOptions(tile_size_m=70.0, spacing_m=500.0, within_box=(8.0, 47.0, 9.0, 48.0))
    for given in (
        {"tile_size": "70m", "spacing": "0.5km", "within_box": "8,47,9,48"},
        {"tile_size_m": 70.0, "spacing_m": 500, "within_box": [8, 47, 9, 48]},
    ):
        assert gallery_options(given, "a test") == built


def test_the_session_is_one_part_of_all_options() -> None:
    words = {"provider": "cpu", "precision": "fp32", "threads": 3, "batch_size": 5, "tf32": True}
    session = SessionOptions(provider="cpu", precision="fp32", threads=3, batch_size=5, cuda=CudaOptions(tf32=True))
    assert session_options(words, "a test") == session
    for options in (locate_options(words, "a test"), gallery_options(words, "a test")):
        assert type(options.session) is SessionOptions and options.session == session


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ({"network_precision": "fp32"}, "`network_precision` is called `precision` now"),
        ({"area": [8, 47, 9, 48]}, "`area` is called `within_box` now"),
        ({"precision": 0.9}, "to abstain below a confidence of 0.9 use `min_confidence`"),
        ({"within_bx": "8,47,9,48"}, r"a test: unknown key 'options.within_bx'"),
    ],
)
@pytest.mark.parametrize("read", [locate_options, gallery_options])
def test_old_and_unknown_words_are_answered(read: Any, words: dict[str, Any], sentence: str) -> None:
    with pytest.raises(AenetError, match=sentence):
        read(words, "a test")
