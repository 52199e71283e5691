"""A search fits into less memory than its gallery takes, and finds the same."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from aenet.serving.search.indexbuild import IndexOptions, build_index

TILES, DIM = 40_000, 512
GALLERY_BYTES = TILES * DIM * 4
ROOM = 3 * GALLERY_BYTES // 4  # beyond what the libraries took for the same work on a few tiles
FEW = 4_000

SCRIPT = """
import re, resource, sys
from pathlib import Path
import faiss, numpy as np
from aenet.serving.search.codes import Codes
from aenet.serving.search.bruteforce import rerank, search
from aenet.serving.search.indexbuild import IndexMeta
from aenet.serving.search.queries import Query
from aenet.serving.search.galleryindex import rerank_turned, turned_candidates

folder, room, out = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
faiss.omp_set_num_threads(1)


def searched(folder):
    shards = [np.load(path, mmap_mode="r") for path in sorted(folder.glob("*.npy"))]
    codes = Codes(folder / "index", sum(map(len, shards)))
    exact = search(shards, queries, 10)
    listed = rerank(shards, queries, codes.candidates(queries, 512)[1], 10)
    turned = [Query(query.reshape(1, 64, 1, 8), np.ones((1, 8), np.float32), None) for query in queries[:4]]
    headed = rerank_turned(shards, turned, turned_candidates(codes, turned, 512), 10)
    return *exact, *listed, *headed


queries = np.load(folder / "queries.npy")
searched(folder / "few")  # every library takes its work space, on some processors hundreds of MB, when first used
if room:
    taken = 1024 * int(re.search(r"VmData:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
    resource.setrlimit(resource.RLIMIT_DATA, (taken + room, taken + room))
    try:
        np.concatenate([np.load(path) for path in sorted((folder / "all").glob("*.npy"))])
    except MemoryError:
        print("the limit is felt")
np.savez(out, *searched(folder / "all"))
"""


@pytest.fixture(scope="module")
def gallery(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders `all` and `few` of the very same kind, and queries.npy."""
    folder, generator = tmp_path_factory.mktemp("gallery"), np.random.default_rng(0)
    tiles = generator.standard_normal((TILES, DIM), dtype=np.float32)
    tiles /= np.linalg.norm(tiles, axis=1, keepdims=True)
    for name, count in (("all", TILES), ("few", FEW)):
        (folder / name).mkdir()
        for number, part in enumerate(np.array_split(tiles[:count], 3)):
            np.save(folder / name / f"{number}.npy", part)
        shards = [np.load(path, mmap_mode="r") for path in sorted((folder / name).glob("*.npy"))]
        build_index(shards, ["a", "b", "c"], folder / name / "index", IndexOptions(probes=32), threads=1)
    queries = 0.8 * tiles[::1000] + 0.6 * tiles[1::1000]
    np.save(folder / "queries.npy", queries / np.linalg.norm(queries, axis=1, keepdims=True))
    return folder


def _run(gallery: Path, room: int, out: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", SCRIPT, str(gallery), str(room), str(out)], capture_output=True, text=True, check=False
    )


@pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_DATA counts a process's private pages on Linux")
def test_a_search_never_holds_the_gallery(gallery: Path, tmp_path: Path) -> None:
    for name, room in (("free", 0), ("capped", ROOM)):
        done = _run(gallery, room, tmp_path / f"{name}.npz")
        assert done.returncode == 0, done.stderr
        assert ("the limit is felt" in done.stdout) == bool(room)
    free, capped = (np.load(tmp_path / f"{name}.npz") for name in ("free", "capped"))
    assert len(free.files) == 6
    for name in free.files:
        np.testing.assert_array_equal(capped[name], free[name])
    assert (free["arr_3"][:, 0] == free["arr_1"][:, 0]).all()  # the index finds what the exact search finds
