"""The pictures of a run: curves, retrieval strips, heat maps, as PNG files."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np
import pandas as pd
from jaxtyping import Int, UInt8

from aenet.artifacts import atomic_file

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Okabe and Ito's colours: told apart by every kind of eye.
BLUE, ORANGE, GREEN, GREY = "#0072B2", "#E69F00", "#009E73", "#7F7F7F"


def history(frame: pd.DataFrame, path: Path) -> None:
    """Draw loss, and validation recall in percent, over epochs."""
    figure, (left, right) = _subplots(1, 2, (9, 3.4))
    left.plot(frame["epoch"], frame["loss"], color=BLUE)
    left.set(xlabel="epoch", ylabel="training loss")
    for column, colour in (("val_recall_at_1", BLUE), ("val_recall_at_5", ORANGE), ("val_recall_at_10", GREEN)):
        right.plot(frame["epoch"], frame[column], color=colour, label="R@" + column.rsplit("_", 1)[1])
    right.set(xlabel="epoch", ylabel="validation recall, %", ylim=(0, 100))
    right.legend(frameon=False, loc="lower right")
    _save(figure, path)


def recall_curve(curves: dict[str, pd.DataFrame], chance: float, path: Path) -> None:
    """Draw recall at K, in percent, for K = 1, 2, ... on a logarithmic axis; `chance` is recall at 1 by guessing."""
    figure, ((axis,),) = _subplots(1, 1, (5.6, 3.8), squeeze=False)
    for (label, curve), colour in zip(curves.items(), (BLUE, ORANGE, GREEN), strict=False):
        axis.plot(curve["k"], curve["recall"], color=colour, label=label)
    longest = next(iter(curves.values()))["k"]
    axis.plot(longest, np.minimum(100, chance * longest), color=GREY, linestyle="--", label="chance")
    axis.set(xscale="log", xlabel="K", ylabel="R@K, %", ylim=(0, 102))
    axis.legend(frameon=False, loc="lower right")
    _save(figure, path)


def bars(labels: Sequence[str], values: Sequence[float], ylabel: str, path: Path) -> None:
    """Draw one horizontal bar per label with its value written at its end."""
    figure, ((axis,),) = _subplots(1, 1, (6.4, 0.5 * len(labels) + 1), squeeze=False)
    drawn = axis.barh(range(len(labels)), values, color=BLUE)
    axis.set_yticks(range(len(labels)), labels)
    axis.bar_label(drawn, fmt="%.1f", padding=3)
    axis.invert_yaxis()
    axis.set(xlabel=ylabel, xlim=(0, 1.12 * max([*values, 1e-9])))
    _save(figure, path)


def strips(
    ground: UInt8[np.ndarray, "n h w 3"],
    aerial: UInt8[np.ndarray, "m h w 3"],
    rows: Int[np.ndarray, " r"],
    top: Int[np.ndarray, "n k"],
    path: Path,
) -> None:
    """Draw each query above its best aerial views; the true one has a green frame, the others orange."""
    depth = top.shape[1]
    figure, axes = _subplots(len(rows), depth + 1, (2.6 * (depth + 1), 0.95 * len(rows)), squeeze=False)
    for line, query in zip(axes, rows, strict=True):
        _picture(line[0], ground[query], "query" if query == rows[0] else "", GREY)
        for place, (axis, found) in enumerate(zip(line[1:], top[query], strict=True)):
            title = f"top {place + 1}" if query == rows[0] else ""
            _picture(axis, aerial[found], title, GREEN if found == query else ORANGE)
    _save(figure, path)


def grid(images: Sequence[Sequence[UInt8[np.ndarray, "h w 3"]]], titles: Sequence[str], path: Path) -> None:
    """Draw rows of pictures under one line of column titles."""
    figure, axes = _subplots(len(images), len(titles), (3.2 * len(titles), 1.0 * len(images)), squeeze=False)
    for number, (line, pictures) in enumerate(zip(axes, images, strict=True)):
        for axis, picture, title in zip(line, pictures, titles, strict=True):
            _picture(axis, picture, title if number == 0 else "", GREY)
    _save(figure, path)


def _subplots(
    rows: int, columns: int, size: tuple[float, float], squeeze: bool = True
) -> tuple["Figure", "np.ndarray"]:
    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(rows, columns, figsize=size, squeeze=squeeze, layout="constrained")
    for axis in np.ravel(axes):
        axis.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _picture(axis: "mpl.axes.Axes", image: np.ndarray, title: str, colour: str) -> None:
    axis.imshow(image)
    axis.set_xticks([])
    axis.set_yticks([])
    axis.set_title(title, fontsize=9)
    for spine in axis.spines.values():
        spine.set(visible=True, color=colour, linewidth=2.5)


def _save(figure: "Figure", path: Path) -> None:
    from matplotlib import pyplot as plt

    with atomic_file(path) as temporary:
        # No software name or date inside: the same figures give the same bytes.
        figure.savefig(temporary, format="png", dpi=130, metadata={"Software": None})
    plt.close(figure)
