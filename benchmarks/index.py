"""A million descriptors, exact and through codes: `python benchmarks/index.py [--tiles N] [--write]`.

Random unit descriptors with one planted neighbour per query (cosine `--cosine`): random directions have no clusters,
so this is the hardest case for any index that sorts tiles into lists; `--decay 1` makes them crowd in few directions,
which is the hard case for codes. Prints the seconds a build takes, the memory of each step, queries a second, and how
often the planted neighbour is found, beside exact search in the same run; and the same for queries of unknown heading,
whose descriptors are maps of `--columns` columns that were turned.
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import faiss
import numpy as np
from hardware import processor, results_file
from indexmemory import Peak
from indexqueries import plant, turn

from aenet.scoring.similarity import Query, matcher
from aenet.serving.search.bruteforce import merge, rerank, search
from aenet.serving.search.codes import Codes
from aenet.serving.search.galleryindex import rerank_turned, turned_candidates, turned_depth
from aenet.serving.search.indexbuild import IndexMeta, IndexOptions, build_index

_K, _TILES = 10, 512
Found = tuple[np.ndarray, np.ndarray]


def main() -> None:
    """Plant, build, search, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tiles", type=int, default=1_000_000)
    parser.add_argument("--dim", type=int, default=512)
    parser.add_argument("--queries", type=int, default=1000)
    parser.add_argument("--exact", type=int, default=256, help="queries of the exact search")
    parser.add_argument("--turned", type=int, default=32, help="queries of unknown heading")
    parser.add_argument("--columns", type=int, default=8, help="columns of a map around the horizon")
    parser.add_argument("--cosine", type=float, default=0.6, help="of a query and its planted neighbour")
    parser.add_argument("--decay", type=float, default=0.0, help="energy of the i-th value is i^-decay; 1: crowded")
    parser.add_argument("--recall", type=float, default=0.95, help="demanded of the index")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--folder", type=Path, help="where the descriptors go (default: a temporary folder)")
    parser.add_argument("--write", action="store_true", help="write benchmarks/results/index-*.md")
    given = parser.parse_args()
    faiss.omp_set_num_threads(given.threads)
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        text = "\n".join(_run(given, Path(folder))) + "\n"
    print(text)
    if given.write:
        kind = f"index-decay-{given.decay:g}" if given.decay else "index"
        results_file(kind, processor()).write_text(text, encoding="utf-8")


def _run(given: argparse.Namespace, folder: Path) -> list[str]:
    queries, truth = plant(folder, given.tiles, given.dim, given.queries, given.cosine, given.decay)
    shards = [np.load(path, mmap_mode="r") for path in sorted(folder.glob("shard-*.npy"))]
    options = IndexOptions(recall=given.recall, similarity=given.cosine)
    began = time.perf_counter()
    with Peak() as building:
        meta = build_index(shards, [str(i) for i in range(len(shards))], folder / "index", options, given.threads)
    built = time.perf_counter() - began
    codes = Codes(folder / "index", meta.tiles)
    return [
        *_head(given, meta, built, building),
        *_known(given, shards, codes, meta, queries, truth),
        *_turned(given, shards, codes, meta, queries, truth),
    ]


def _head(given: argparse.Namespace, meta: IndexMeta, built: float, building: Peak) -> list[str]:
    disk = given.tiles * given.dim * 4 / 2**20
    ladder = ", ".join(f"{rung.candidates}: {100 * rung.recall:.1f} %" for rung in meta.ladder)
    return [
        f"# Search among {given.tiles:,} descriptors of {given.dim} values\n",
        f"{processor()}, {given.threads} threads; planted cosine {given.cosine}, energy decay {given.decay:g}; "
        f"descriptors {disk:,.0f} MiB on disk. "
        "Anonymous memory is what a process must have; mapped pages are the system's to keep or to drop.\n",
        f"Build: {built:.0f} s, codes of {meta.tiles * meta.code_bytes / 2**20:,.0f} MiB; {building}.\n",
        f"Measured while building, recall by candidates: {ladder}. "
        f"Chosen for {100 * given.recall:g} %: {meta.candidates}.\n",
        "| search | queries/s | ratio to exact | planted first | best of exact first | anonymous | mapped |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]


def _known(
    given: argparse.Namespace,
    shards: Sequence[np.ndarray],
    codes: Codes,
    meta: IndexMeta,
    queries: np.ndarray,
    truth: np.ndarray,
) -> list[str]:
    few = queries[: given.exact]
    exact, rate, memory = _timed(lambda: search(shards, few, _K, given.threads), len(few))
    lines = [_line("exact", rate, rate, exact, truth, exact, memory)]
    sizes = {meta.candidates: ", the chosen", 512: ", as `aenet locate` lists 256"}
    for count in sorted({rung.candidates for rung in meta.ladder} | set(sizes)):

        def look(count: int = count) -> Found:
            return rerank(shards, queries, codes.candidates(queries, count, given.threads)[1], _K)

        found, here, memory = _timed(look, len(queries))
        lines.append(_line(f"{count} candidates{sizes.get(count, '')}", here, rate, found, truth, exact, memory))
    return lines


def _turned(
    given: argparse.Namespace,
    shards: Sequence[np.ndarray],
    codes: Codes,
    meta: IndexMeta,
    queries: np.ndarray,
    truth: np.ndarray,
) -> list[str]:
    asked = turn(queries[: given.turned], given.columns)
    exact, rate, memory = _timed(lambda: _compare(shards, asked), len(asked))
    lines = [_line("unknown heading, exact", rate, rate, exact, truth, exact, memory)]
    count = turned_depth(meta.candidates, _K)

    def look() -> Found:
        return rerank_turned(shards, asked, turned_candidates(codes, asked, count, given.threads), _K)

    found, here, memory = _timed(look, len(asked))
    return [*lines, _line(f"unknown heading, {count} candidates", here, rate, found, truth, exact, memory)]


def _compare(shards: Sequence[np.ndarray], asked: Sequence[Query]) -> Found:
    compare, offset = matcher(asked), 0
    best: Found = np.empty((len(asked), 0), np.float32), np.empty((len(asked), 0), np.int64)
    for shard in shards:
        for start in range(0, len(shard), _TILES):
            scores = compare.scores(np.ascontiguousarray(shard[start : start + _TILES]))
            rows = np.broadcast_to(offset + start + np.arange(scores.shape[1]), scores.shape)
            best = merge(*best, scores, rows, _K)
        offset += len(shard)
    return best


def _timed(run: Callable[[], Found], count: int) -> tuple[Found, float, Peak]:
    began = time.perf_counter()
    with Peak() as memory:
        found = run()
    return found, count / (time.perf_counter() - began), memory


def _line(name: str, rate: float, exact_rate: float, found: Found, truth: np.ndarray, exact: Found, use: Peak) -> str:
    rows, same = found[1][:, 0], exact[1][:, 0]
    planted, agreed = (rows == truth[: len(rows)]).mean(), (rows[: len(same)] == same[: len(rows)]).mean()
    return (
        f"| {name} | {rate:,.1f} | {rate / exact_rate:.1f} | {100 * planted:.1f} % | {100 * agreed:.1f} % "
        f"| {use.anonymous_mb:,.0f} MB | {use.mapped_mb:,.0f} MB |"
    )


if __name__ == "__main__":
    main()
