"""One row of the paper's tables with one command: `python -m flows.reproduce paper-cvusa ta_mhnw --source /data/CVUSA`.

Puts the preset into params.yaml, asks DVC for the row's stage, and prints our figures beside the paper's.
"""

import argparse
import subprocess
from pathlib import Path

from rich.console import Console
from rich.table import Table

from aenet.ablation.report import title
from aenet.ablation.variants import KEYS, NAMES, RECALLS, VARIANTS, read_row
from aenet.ingest.archive.archiveconfig import refuse_credentials
from aenet.io.errors import AenetError
from aenet.io.params import nearest
from aenet.presets import set_values, use_preset
from flows.commandline import from_words
from flows.graph import dvc
from stages.project import Paths
from stages.running import as_program


def main(arguments: list[str] | None = None) -> None:
    """Reproduce one row.

    Raises:
        AenetError: an unknown preset or row, a value that cannot be set, or a stage that failed.
    """
    given = _parse(arguments)
    if given.row not in VARIANTS:
        raise AenetError(f"the paper's tables have no row '{given.row}'{nearest(given.row, VARIANTS)}")
    values = from_words(given.set)
    if given.source is not None:
        values["download.source"] = given.source
    refuse_credentials(str(values.get("download.source", "")))  # before params.yaml holds them
    use_preset(given.preset)
    set_values(values)
    stage = f"ablate@{given.row}"
    if status := subprocess.run(dvc("repro", stage), check=False).returncode:
        raise AenetError(f"`dvc repro {stage}` stopped with exit status {status}: its last lines above say why")
    _say(given.row, Paths())


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m flows.reproduce", description=__doc__)
    parser.add_argument("preset", help="paper-cvusa or paper-cvact: a file of presets/, without .yaml")
    parser.add_argument("row", help=", ".join(VARIANTS))
    parser.add_argument("--source", help="folder, archive or URL of the data set (download.source)")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a value of params.yaml")
    return parser.parse_args(arguments)


def _say(name: str, paths: Paths) -> None:
    file = paths.reports / "ablate" / name / "metrics.json"
    row = read_row(file, name, name)
    paper = VARIANTS[name].get(row.data)
    about = f"{name} on {title(row.data)}, {row.places} test places, {len(row.seeds)} seed(s), {row.epochs} epochs"
    table = Table("", *RECALLS, title=about)
    table.add_row("ours", *(f"{row.mean(key):.2f}" for key, column in KEYS.items() if column in RECALLS))
    if paper is not None:
        table.add_row(f"paper, {NAMES[row.data]}", *("" if value is None else f"{value:.2f}" for value in paper))
    console = Console(highlight=False)
    console.print(table)
    console.print(f"all values: {file}; every row together: `dvc repro compare`, then {Path('reports/ablation.md')}")


if __name__ == "__main__":
    as_program(main)
