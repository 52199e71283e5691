"""An evaluation's pictures and tables: curves, retrieval strips, heat maps, recall."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np
import pandas as pd
from jaxtyping import Int, UInt8

from aenet.io.atomic import atomic_file
from aenet.retrieval.recall import Evaluation, curve

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Okabe and Ito's colours: told apart by every kind of eye.
BLUE, ORANGE, GREEN, GREY = "#0072B2", "#E69F00", "#009E73", "#7F7F7F"
_VALIDATED = (
    ("val_mrr", GREY, "MRR, by which epochs are chosen"),
    ("val_recall_at_1", BLUE, "R@1"),
    ("val_recall_at_10", GREEN, "R@10"),
    ("val_unknown_heading_recall_at_1", ORANGE, "R@1, heading unknown"),
)


def history(frame: pd.DataFrame, path: Path) -> None:
    """Draw loss, and validation recall and mean reciprocal rank in percent, over epochs; not all may be validated."""
    figure, (left, right) = _subplots(1, 2, (9.0, 3.4))
    left.plot(frame["epoch"], frame["loss"], color=BLUE)
    left.set(xlabel="epoch", ylabel="training loss")
    validated = frame.dropna(subset="val_mrr")
    for column, colour, label in _VALIDATED:
        if column in validated:
            right.plot(validated["epoch"], validated[column], color=colour, label=label)
    below, above = (validated["val_mrr"] + sign * validated["val_mrr_se"] for sign in (-1, 1))
    right.fill_between(validated["epoch"], below, above, color=GREY, alpha=0.3, linewidth=0)
    right.set(xlabel="epoch", ylabel="validation, %", ylim=(0, 102))
    right.legend(frameon=False, loc="lower right")
    _save(figure, path)


def recall_curve(curves: dict[str, pd.DataFrame], chance: float, path: Path) -> None:
    """Draw recall at K, in percent, for K = 1, 2, ... on a logarithmic axis; `chance` is recall at 1 by guessing."""
    figure, ((axis,),) = _subplots(1, 1, (5.6, 3.8), squeeze=False)
    for (label, points), colour in zip(curves.items(), (BLUE, ORANGE, GREEN), strict=False):
        axis.plot(points["k"], points["recall"], color=colour, label=label)
    longest = next(iter(curves.values()))["k"]
    axis.plot(longest, np.minimum(100, chance * longest), color=GREY, linestyle="--", label="chance")
    axis.set(xscale="log", xlabel="K", ylabel="R@K, %", ylim=(0, 102))
    figure.legend(frameon=False, loc="outside lower center", ncols=2)  # within, it would lie over a curve
    _save(figure, path)


def headings(frame: pd.DataFrame, chance: float, path: Path) -> None:
    """Draw recall at 1 over the field of view, and, where headings were to be found, how far off they are."""
    known, unknown = (frame[frame["heading"] == kind].sort_values("fov_deg") for kind in ("known", "unknown"))
    panels, width = (1, 4.6) if unknown.empty else (2, 9.0)
    figure, axes = _subplots(1, panels, (width, 3.6), squeeze=False)
    left, right = axes[0, 0], axes[0, -1]
    for rows, colour in ((known, BLUE), (unknown, ORANGE)):
        if not rows.empty:
            label = f"{rows['heading'].iloc[0]} heading"
            left.plot(rows["fov_deg"], rows["recall_at_1"], "o-", color=colour, label=label)
    left.axhline(chance, color=GREY, linestyle="--", label="chance")
    left.set(xlabel="field of view, degrees", ylabel="R@1, %", ylim=(0, 102), xticks=known["fov_deg"])
    if not unknown.empty:
        right.plot(unknown["fov_deg"], unknown["median_heading_error_deg"], "o-", color=ORANGE)
        right.axhline(90, color=GREY, linestyle="--")
        right.set(xlabel="field of view, degrees", ylabel="median heading error, degrees", ylim=(0, 102))
        right.set_xticks(unknown["fov_deg"])
    figure.legend(frameon=False, loc="outside lower center", ncols=3)
    _save(figure, path)


def dots(labels: Sequence[str], values: Sequence[Sequence[float]], xlabel: str, path: Path) -> None:
    """Draw one line per label: a dot for each value, a bar up to their mean, and the mean in figures."""
    figure, ((axis,),) = _subplots(1, 1, (6.4, 0.5 * len(labels) + 1), squeeze=False)
    means = [float(np.mean(row)) for row in values]
    drawn = axis.barh(range(len(labels)), means, color=BLUE, alpha=0.35)
    for line, row in enumerate(values):
        axis.plot(row, [line] * len(row), "o", color=BLUE, markersize=5)
    axis.set_yticks(range(len(labels)), labels)
    axis.bar_label(drawn, labels=[f"{mean:.1f}" for mean in means], label_type="center")
    axis.invert_yaxis()
    axis.set(xlabel=xlabel, xlim=(0, max(1e-9, min(105, 1.12 * max(max(row) for row in values)))))
    _save(figure, path)


def strips(
    ground: UInt8[np.ndarray, "n h w 3"],
    aerial: UInt8[np.ndarray, "m h2 w2 3"],
    rows: Int[np.ndarray, " r"],
    top: Int[np.ndarray, "n k"],
    path: Path,
) -> None:
    """Draw each query beside its best aerial views and its true one, which has a green frame; others are orange."""
    titles = ["query", *(f"top {place + 1}" for place in range(top.shape[1])), "true place"]
    lines = []
    for query in rows:
        found = [(aerial[row], GREEN if row == query else ORANGE) for row in top[query]]
        lines.append([(ground[query], GREY), *found, (aerial[query], GREEN)])
    _framed(lines, titles, path)


def grid(images: Sequence[Sequence[UInt8[np.ndarray, "h w 3"]]], titles: Sequence[str], path: Path) -> None:
    """Draw rows of pictures under one line of column titles."""
    _framed([[(picture, GREY) for picture in line] for line in images], titles, path)


def _framed(lines: Sequence[Sequence[tuple["np.ndarray", str]]], titles: Sequence[str], path: Path) -> None:
    """Draw rows of (picture, colour of its frame), at about the pictures' own size."""
    height, width = lines[0][0][0].shape[:2]
    tall = 2.3 * height / width
    figure, axes = _subplots(
        len(lines), len(titles), (2.3 * len(titles), (tall + 0.1) * len(lines) + 0.3), squeeze=False
    )
    for number, (row, line) in enumerate(zip(axes, lines, strict=True)):
        for axis, (picture, colour), title in zip(row, line, titles, strict=True):
            axis.imshow(picture)
            axis.set(xticks=[], yticks=[])
            axis.set_title(title if number == 0 else "", fontsize=9)
            for spine in axis.spines.values():
                spine.set(visible=True, color=colour, linewidth=2.5)
    _save(figure, path, dpi=100)


def _subplots(
    rows: int, columns: int, size: tuple[float, float], squeeze: bool = True
) -> tuple["Figure", "np.ndarray"]:
    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(rows, columns, figsize=size, squeeze=squeeze, layout="constrained")
    for axis in np.ravel(axes):
        axis.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _save(figure: "Figure", path: Path, dpi: int = 130) -> None:
    from matplotlib import pyplot as plt

    with atomic_file(path) as temporary:
        # No software name or date inside: the same figures give the same bytes.
        figure.savefig(temporary, format="png", dpi=dpi, metadata={"Software": None})
    plt.close(figure)


# An evaluation's tables: recall over K, and over how much of the horizon a query shows.


def write_curves(results: Mapping[str, Evaluation], by_heading: pd.DataFrame, out: Path) -> None:
    """Write recall and heading, .csv and .png, into `out`.

    Args:
        results: evaluations by the name that a reader knows the method by.
        by_heading: of the first of them (`aenet.evaluation.headings.heading_table`).
    """
    curves = {name: curve(result.rank) for name, result in results.items()}
    chance = next(iter(results.values())).values["chance_at_1"]
    tables = {"recall": pd.concat(frame.assign(model=name) for name, frame in curves.items()), "heading": by_heading}
    for name, frame in tables.items():
        with atomic_file(out / f"{name}.csv") as temporary:
            frame.to_csv(temporary, index=False)
    recall_curve(curves, chance, out / "recall.png")
    headings(by_heading, chance, out / "heading.png")
