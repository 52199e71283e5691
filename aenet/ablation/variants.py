"""A variant of the ablation: its runs' values on the test split by seed, and the paper's figures beside them."""

import json
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from aenet.io.errors import CorruptArtifact

# The figures of the paper (Xu et al. 2023, doi 10.3934/era.2023210), to stand beside ours.
#
# Recall in percent at 1, 5, 10 and 1 % of the references; None where the paper gives none.

Recalls = tuple[float | None, float | None, float | None, float | None]
RECALLS = ("R@1", "R@5", "R@10", "R@1%")
NAMES: dict[str, str] = {"cvusa": "CVUSA", "cvact": "CVACT_val"}

# Tables 3 and 4: published methods, CVUSA and CVACT_val.
METHODS: dict[str, dict[str, Recalls]] = {
    "CVM-Net": {"cvusa": (22.53, 50.01, 63.19, 93.52), "cvact": (20.15, 45.00, 56.87, 87.57)},
    "Liu and Li": {"cvusa": (40.79, 66.82, 76.36, 96.08), "cvact": (46.96, 68.28, 75.48, 92.01)},
    "CVFT": {"cvusa": (61.43, 84.69, 90.49, 99.02), "cvact": (61.05, 81.33, 86.52, 95.93)},
    "SAFA": {"cvusa": (89.84, 96.93, 98.14, 99.64), "cvact": (81.03, 92.80, 94.84, 98.17)},
    "DSM": {"cvusa": (91.96, 97.50, 98.54, 99.67), "cvact": (82.49, 92.44, 93.99, 97.32)},
    "Toker et al.": {"cvusa": (92.56, 97.55, 98.33, 99.57), "cvact": (83.28, 93.57, 95.42, 98.22)},
    "Polar-L2LTR": {"cvusa": (94.05, 98.27, 98.99, 99.67), "cvact": (84.89, 94.59, 95.96, 98.37)},
}

# Tables 5 (attention) and 6 (loss), under the names `ablate.variants` has for them.
VARIANTS: dict[str, dict[str, Recalls]] = {
    "baseline": {"cvusa": (94.06, 98.21, 98.85, 99.80), "cvact": (91.14, 96.06, 97.02, 99.11)},
    "bam": {"cvusa": (89.80, 96.58, 97.90, 99.52), "cvact": (82.21, 91.90, 94.12, 98.01)},
    "cbam": {"cvusa": (90.89, 96.93, 98.05, 99.53), "cvact": (83.13, 92.19, 94.24, 98.21)},
    "ta_wsmr": {"cvusa": (95.56, 98.66, 99.06, 99.83), "cvact": (91.69, 96.09, 97.26, 99.18)},
    "ta_mhnw": {"cvusa": (95.97, 98.80, 99.11, 99.84), "cvact": (91.78, 96.28, 97.29, 99.29)},
}

TABLE_5 = ("baseline", "bam", "cbam", "ta_mhnw")
TABLE_6 = ("ta_wsmr", "ta_mhnw")


KEYS = dict(
    zip(("recall_at_1", "recall_at_5", "recall_at_10", "recall_at_1_percent"), RECALLS, strict=True)
) | {"median_rank": "median rank"}  # fmt: skip


@dataclass(frozen=True)
class Row:
    """One variant: what it is, and the values of each of its runs on the test split, by seed."""

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
        """True where every run has this value."""
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


# Tables as text.


def markdown_table(columns: Sequence[str], body: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table; the first column is text, the others are numbers."""
    head = ["| " + " | ".join(columns) + " |", "|---|" + "---:|" * (len(columns) - 1)]
    return "\n".join([*head, *("| " + " | ".join(line) + " |" for line in body)])
