"""An evaluation's tables: recall over K, and over how much of the horizon a query shows."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from aenet import figures
from aenet.atomic import atomic_file
from aenet.retrieval.evaluation import Evaluation, curve


def write_curves(results: Mapping[str, Evaluation], headings: pd.DataFrame, out: Path) -> None:
    """Write recall and heading, .csv and .png, into `out`.

    Args:
        results: evaluations by the name that a reader knows the method by.
        headings: of the first of them (`aenet.inference.headings.table`).
    """
    curves = {name: curve(result.rank) for name, result in results.items()}
    chance = next(iter(results.values())).values["chance_at_1"]
    tables = {"recall": pd.concat(frame.assign(model=name) for name, frame in curves.items()), "heading": headings}
    for name, frame in tables.items():
        with atomic_file(out / f"{name}.csv") as temporary:
            frame.to_csv(temporary, index=False)
    figures.recall_curve(curves, chance, out / "recall.png")
    figures.headings(headings, chance, out / "heading.png")
