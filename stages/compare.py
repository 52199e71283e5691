"""Stage `compare`: the table over all variants of `ablate`."""

import json

import pandas as pd
from pydantic import ConfigDict, Field

from aenet import figures
from aenet.artifacts import atomic_file, write_bytes
from aenet.errors import AenetError
from aenet.params import Config, read_section
from stages.paths import Paths
from stages.running import console, run, tracked

_COLUMNS = {
    "recall_at_1": "R@1",
    "recall_at_5": "R@5",
    "recall_at_10": "R@10",
    "recall_at_1_percent": "R@1%",
    "median_rank": "median rank",
}


class Row(Config):
    """A variant as the table shows it; what it trains is `ablate`'s to know and to check."""

    model_config = ConfigDict(extra="ignore")

    label: str


class CompareConfig(Config):
    """The rows of the table, in order: section `ablate` without what only the training needs."""

    model_config = ConfigDict(extra="ignore")

    variants: dict[str, Row] = Field(min_length=1)


def main(paths: Paths = Paths()) -> None:
    """Write reports/ablation.csv, .md and .png."""
    variants = read_section(paths.params, "ablate", CompareConfig).variants
    rows = []
    for name, variant in variants.items():
        file = paths.reports / "ablate" / name / "metrics.json"
        if not file.exists():
            raise AenetError(f"{file} does not exist: run `dvc repro ablate@{name}` first")
        rows.append({"variant": variant.label, **json.loads(file.read_bytes())})
    frame = pd.DataFrame(rows)[["variant", *_COLUMNS]].rename(columns=_COLUMNS)
    with tracked(paths, "compare", {"variants": list(variants)}, parent="ablation") as active:
        with atomic_file(paths.reports / "ablation.csv") as temporary:
            frame.to_csv(temporary, index=False)
        write_bytes(paths.reports / "ablation.md", _markdown(frame, int(rows[0]["places"])).encode())
        figures.bars(list(frame["variant"]), list(frame["R@1"]), "R@1, %", paths.reports / "ablation.png")
        active.table("ablation.json", frame, to_parent=True)
        active.figure("ablation.png", paths.reports / "ablation.png", to_parent=True)
    console.print((paths.reports / "ablation.md").read_text())


def _markdown(frame: pd.DataFrame, places: int) -> str:
    lines = ["| " + " | ".join(frame.columns) + " |", "|---|" + "---:|" * (len(frame.columns) - 1)]
    for row in frame.itertuples(index=False):
        lines.append(f"| {row[0]} | " + " | ".join(f"{value:.2f}" for value in row[1:]) + " |")
    return f"# Ablation on {places} test places\n\n" + "\n".join(lines) + "\n"


if __name__ == "__main__":
    run(main)
