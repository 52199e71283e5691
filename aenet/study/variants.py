"""The outcome of one variant of the ablation: its trainings' values on the test split, by seed."""

import json
import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from aenet.errors import CorruptArtifact
from aenet.study.paper import RECALLS

KEYS = dict(
    zip(("recall_at_1", "recall_at_5", "recall_at_10", "recall_at_1_percent"), RECALLS, strict=True)
) | {"median_rank": "median rank"}  # fmt: skip


@dataclass(frozen=True)
class Row:
    """One variant: what it is, and the values of each of its trainings on the test split, by seed."""

    name: str
    label: str
    data: str
    epochs: int
    network: Mapping[str, float]
    seeds: Mapping[str, Mapping[str, float]]

    @property
    def places(self) -> int:
        """Test places: queries and references alike."""
        return int(next(iter(self.seeds.values()))["places"])

    def has(self, key: str) -> bool:
        """True where every training has this value."""
        return all(key in values for values in self.seeds.values())

    def mean(self, key: str) -> float:
        """Mean of a value over the seeds."""
        return statistics.fmean(values[key] for values in self.seeds.values())

    def spread(self, key: str) -> float | None:
        """Standard deviation over the seeds (n - 1); None for a single one."""
        return statistics.stdev(values[key] for values in self.seeds.values()) if len(self.seeds) > 1 else None


def read_row(path: Path, name: str, label: str) -> Row:
    """Read the metrics file of one variant.

    Raises:
        CorruptArtifact: it is not one, or an older one.
    """
    try:
        content = json.loads(path.read_bytes())
        return Row(name, label, content["data"], content["epochs"], content["network"], content["seeds"])
    except (KeyError, TypeError, ValueError) as error:
        raise CorruptArtifact(f"{path} is not the metrics of a variant: run `dvc repro ablate@{name}` again") from error
