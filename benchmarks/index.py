"""A million descriptors, exact and through inverted lists: `python benchmarks/index.py [--tiles N] [--write]`.

Random unit descriptors with one planted neighbour per query (cosine about `--cosine`): random directions have no
clusters, so this is the hardest case for lists. Reports build time, memory, queries a second, and how often the
planted neighbour is first, beside exact search in the same run.
"""

import argparse
import platform
import resource
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import faiss
import numpy as np

from aenet.serving.search.exact import search
from aenet.serving.search.ivf import Ivf, SearchOptions, build_ivf, rerank

SHARD = 131_072


def main() -> None:
    """Plant, build, search, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tiles", type=int, default=1_000_000)
    parser.add_argument("--dim", type=int, default=512)
    parser.add_argument("--queries", type=int, default=1000)
    parser.add_argument("--exact", type=int, default=64, help="queries of the exact search")
    parser.add_argument("--cosine", type=float, default=0.6)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--folder", type=Path, help="where the descriptors go (default: a temporary folder)")
    parser.add_argument("--write", action="store_true", help="write benchmarks/results/index-*.md")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        report = _run(given, Path(folder))
    print(report)
    if given.write:
        name = f"index-{platform.machine()}-{given.threads}cores-{datetime.now(UTC):%Y-%m-%d}.md"
        (Path(__file__).parent / "results" / name).write_text(report)


def _run(given: argparse.Namespace, folder: Path) -> str:
    generator = np.random.default_rng(0)
    queries, truth = _plant(given, folder, generator)
    shards = [np.load(path, mmap_mode="r") for path in sorted(folder.glob("shard-*.npy"))]
    faiss.omp_set_num_threads(given.threads)
    began = time.perf_counter()
    meta = build_ivf(shards, [str(i) for i in range(len(shards))], folder / "index", threads=given.threads)
    built = time.perf_counter() - began
    peak, size = _peak_mb(), (folder / "index" / "ivf.faiss").stat().st_size
    index = Ivf(folder / "index", full=False)
    few = queries[: given.exact]
    began = time.perf_counter()
    exact = search(shards, few, 10, given.threads)[1]
    exact_rate = len(few) / (time.perf_counter() - began)
    lines = [
        f"# Search among {given.tiles:,} descriptors of {given.dim} values\n",
        f"{platform.processor() or platform.machine()}, {given.threads} threads; planted cosine {given.cosine}; "
        f"descriptors {given.tiles * given.dim * 4 / 2**30:.1f} GiB on disk\n",
        f"Build: {built:.0f} s, {meta.lists} lists, index {size / 2**30:.2f} "
        f"GiB, peak memory of the process {peak:,.0f} MB (mapped pages included)\n",
        "| search | queries/s | ratio to exact | planted first | found in exact top 10 |",
        "|---|---:|---:|---:|---:|",
        f"| exact | {exact_rate:.1f} | 1.0 | {100 * (exact[:, 0] == truth[: len(few)]).mean():.1f} % | 100.0 % |",
    ]
    for probes in (8, 16, 32, 64):
        options = SearchOptions(probes=probes)
        began = time.perf_counter()
        rows = rerank(shards, queries, index.candidates(queries, options, given.threads), 10)[1]
        rate = len(queries) / (time.perf_counter() - began)
        agree = np.mean([len(set(a) & set(b)) / 10 for a, b in zip(rows[: len(few)], exact, strict=True)])
        lines.append(
            f"| {probes} lists, 100 re-ranked | {rate:.1f} | {rate / exact_rate:.1f} | "
            f"{100 * (rows[:, 0] == truth).mean():.1f} % | {100 * agree:.1f} % |"
        )
    return "\n".join(lines) + "\n"


def _plant(given: argparse.Namespace, folder: Path, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Write random unit shards; return queries near some of their rows, and those rows."""
    truth = np.sort(generator.choice(given.tiles, given.queries, replace=False))
    near = np.empty((given.queries, given.dim), np.float32)
    for start in range(0, given.tiles, SHARD):
        rows = min(SHARD, given.tiles - start)
        shard = generator.standard_normal((rows, given.dim), dtype=np.float32)
        shard /= np.linalg.norm(shard, axis=1, keepdims=True)
        np.save(folder / f"shard-{start // SHARD:05d}.npy", shard)
        here = (truth >= start) & (truth < start + rows)
        near[here] = shard[truth[here] - start]
    noise = generator.standard_normal(near.shape, dtype=np.float32)
    noise /= np.linalg.norm(noise, axis=1, keepdims=True)
    queries = given.cosine * near + (1 - given.cosine**2) ** 0.5 * noise
    return queries / np.linalg.norm(queries, axis=1, keepdims=True), truth


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
