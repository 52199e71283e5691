"""Stage `compare`: the report over all variants of `ablate`, in the layout of the paper's tables."""

from pydantic import ConfigDict, Field

from aenet.ablation.report import frame, markdown
from aenet.ablation.variants import Row, read_row
from aenet.evaluation import figures
from aenet.io.atomic import atomic_file, write_bytes
from aenet.io.errors import AenetError
from aenet.io.params import Config, read_section
from stages.project import Paths
from stages.running import as_program, console, tracked


class Labelled(Config):
    """A variant as the table shows it; what it trains is `ablate`'s to know and to check."""

    model_config = ConfigDict(extra="ignore")

    label: str


class CompareConfig(Config):
    """The rows of the table, in order: section `ablate` without what only the training needs."""

    model_config = ConfigDict(extra="ignore")

    variants: dict[str, Labelled] = Field(min_length=1)


def main(paths: Paths = Paths()) -> None:
    """Write reports/ablation.csv, .md and .png."""
    variants = read_section(paths.params, "ablate", CompareConfig).variants
    rows = [_row(paths, name, variant.label) for name, variant in variants.items()]
    table = frame(rows)
    with tracked(paths, "compare", {"variants": list(variants)}, parent="ablation") as active:
        with atomic_file(paths.reports / "ablation.csv") as temporary:
            table.to_csv(temporary, index=False)
        write_bytes(paths.reports / "ablation.md", markdown(rows).encode())
        figures.dots(
            [row.label for row in rows],
            [[values["recall_at_1"] for values in row.seeds.values()] for row in rows],
            "R@1, %",
            paths.reports / "ablation.png",
        )
        active.table("ablation.json", table, to_parent=True)
        active.figure("ablation.png", paths.reports / "ablation.png", to_parent=True)
    console.print((paths.reports / "ablation.md").read_text())


def _row(paths: Paths, name: str, label: str) -> Row:
    file = paths.reports / "ablate" / name / "metrics.json"
    if not file.exists():
        raise AenetError(f"{file} does not exist: run `dvc repro ablate@{name}` first")
    return read_row(file, name, label)


if __name__ == "__main__":
    as_program(main)
