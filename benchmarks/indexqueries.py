"""Random descriptors with planted neighbours, and the same turned by unknown headings."""

from pathlib import Path

import numpy as np

from aenet.scoring.similarity import Query

_SHARD, _PHASES = 131_072, 4


def plant(
    folder: Path, tiles: int, dim: int, queries: int, cosine: float, decay: float
) -> tuple[np.ndarray, np.ndarray]:
    """Write random unit shards; return queries near some of their rows, and those rows.

    Args:
        cosine: of a query and its row.
        decay: energy of the i-th value is i^-decay, in queries' noise too; 0: all directions are alike.
    """
    generator = np.random.default_rng(0)
    scale = np.arange(1, dim + 1, dtype=np.float32) ** (-decay / 2)
    truth = generator.choice(tiles, queries, replace=False)
    near = np.empty((queries, dim), np.float32)
    for start in range(0, tiles, _SHARD):
        rows = min(_SHARD, tiles - start)
        shard = _unit(scale * generator.standard_normal((rows, dim), dtype=np.float32))
        np.save(folder / f"shard-{start // _SHARD:05d}.npy", shard)
        here = (truth >= start) & (truth < start + rows)
        near[here] = shard[truth[here] - start]
    noise = _unit(scale * generator.standard_normal(near.shape, dtype=np.float32))
    return _unit(cosine * near + (1 - cosine**2) ** 0.5 * noise), truth


def turn(queries: np.ndarray, columns: int) -> list[Query]:
    """Return queries of unknown heading: each is a map, turned at random, in four phases of a column."""
    generator = np.random.default_rng(1)
    frequency = np.fft.rfftfreq(columns) * 2j * np.pi
    asked = []
    for query in queries:
        spectrum = np.fft.rfft(query.reshape(-1, 1, columns), axis=2)
        by = generator.integers(columns)
        maps = [np.fft.irfft(spectrum * np.exp(-frequency * (by - p / _PHASES)), columns) for p in range(_PHASES)]
        flat = _unit(np.stack(maps).reshape(_PHASES, -1)).astype(np.float32)
        weights = np.ones((_PHASES, columns), np.float32)
        asked.append(Query(flat.reshape(_PHASES, -1, 1, columns), weights, None))
    return asked


def _unit(rows: np.ndarray) -> np.ndarray:
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True))
