"""CVUSA, the subset of 44,416 pairs that the field reports on (Zhai et al., CVPR 2017; images of Workman et al. 2015).

- `bingmap/19/0000001.jpg`: 750 x 750 tile, Bing Maps zoom 19
- `streetview/panos/0000001.jpg`: 1232 x 224 panorama, north in the centre column
- `splits/train-19zl.csv`: 35,532 rows without header: tile, panorama, annotation; `splits/val-19zl.csv`: 8,884
- `split_locations/all.csv`: no header; latitude and longitude of the tile, then of the panorama; row = id - 1
"""

from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from aenet.ingest.layout import Layout, check_required, check_table, find_root
from aenet.ingest.published import PublishedConfig, count_departures, hold_out, once
from aenet.ingest.usertables import read_rows
from aenet.ingest.verification import Listing
from aenet.io.errors import AenetError

ASK = "ask for the CVPR subset at mvrl.cse.wustl.edu/datasets/cvusa"
LAYOUT = Layout(
    name="CVUSA",
    markers=("bingmap", "streetview", "splits"),
    required={
        "bingmap/19": "satellite tiles",
        "streetview/panos": "panoramas",
        "splits/train-19zl.csv": "the published training pairs",
        "splits/val-19zl.csv": "the published test pairs",
    },
    ask=ASK,
)
PUBLISHED = {"train": 35_532, "test": 8_884}
SIZES = {"ground": (224, 1232), "aerial": (750, 750)}
_LOCATIONS = ("split_locations/all.csv", "all.csv")
_POSITIONS = ["aerial_latitude", "aerial_longitude", "latitude", "longitude"]


class CvusaConfig(PublishedConfig):
    """The CVUSA data set, a directory or archive with the layout of its publishers."""

    kind: Literal["cvusa"]


def list_cvusa(config: CvusaConfig, source: Path) -> Listing:
    """Read CVUSA's tables.

    Raises:
        AenetError: the layout is another (a course subset, a folder too deep), or a table is damaged.
    """
    root = find_root(source, LAYOUT)
    _check_course_subset(root)
    check_required(root, LAYOUT)
    parts = {"train": "splits/train-19zl.csv", "test": "splits/val-19zl.csv"}
    listed = pd.concat([_read_split(root / path, root, split) for split, path in parts.items()], ignore_index=True)
    pairs, repeated = once(listed, str(root))
    departures = count_departures(pairs, repeated, PUBLISHED, "CVUSA")
    pairs, notices = _located(hold_out(pairs, config, str(root)), root)
    return Listing(
        root=root,
        pairs=pairs.assign(heading_deg=0.0),
        ask=ASK,
        sizes=SIZES,
        protocol={"name": "CVUSA", "test": parts["test"], "correct": ["identity"], "published": PUBLISHED},
        departures=departures,
        notices=(*([f"CVUSA found in {root}"] if root != source else []), *notices),
        set_aside=repeated,
    )


def _check_course_subset(root: Path) -> None:
    """Courses hand out a few thousand pairs as `bingmap/input0003932.png`, without the published splits."""
    bingmap = root / "bingmap"
    if not (bingmap / "19").exists() and (found := next(bingmap.glob("input*.*"), None)):
        raise AenetError(
            f"{root} is a course subset of CVUSA (bingmap/{found.name}), not the published pairs; {ASK}, "
            "or list its pairs in a table and set download.kind to own"
        )


def _read_split(path: Path, root: Path, split: str) -> pd.DataFrame:
    """The pairs of one split file; annotations and further columns are not used."""
    table = pd.DataFrame(_rows(path, 2), dtype=object)
    for column, folder in enumerate(("bingmap", "streetview")):
        values = table[column].astype(str)
        wrong = ~values.str.startswith(f"{folder}/")
        if wrong.any():
            row = int(wrong.to_numpy().argmax())
            raise AenetError(
                f"{path}, row {row + 1}: column {column + 1} must name a file below {folder}/, found "
                f"{values.iloc[row]!r} (no header; tile, panorama, annotation)"
            )
    ids = table[1].astype(str).str.rsplit("/", n=1).str[-1].str.rsplit(".", n=1).str[0]
    return pd.DataFrame({"pair_id": ids, "split": split, "ground": table[1], "aerial": table[0]})


def _rows(path: Path, least: int) -> list[list[str]]:
    try:
        return read_rows(path, least)
    except AenetError as error:
        raise AenetError(f"{error}; {ASK}") from error


def _located(pairs: pd.DataFrame, root: Path) -> tuple[pd.DataFrame, list[str]]:
    """Add positions where a table of them lies there: row = id - 1."""
    path = next((root / name for name in _LOCATIONS if (root / name).is_file()), None)
    if path is None:
        unknown = f"{root} has no {_LOCATIONS[0]}: positions are unknown, so no errors in metres can be reported"
        return pairs.assign(**dict.fromkeys(_POSITIONS, np.nan)), [unknown]
    check_table(path, root)
    try:
        table = np.array([row[:4] for row in _rows(path, 4)], dtype=np.float64)
    except ValueError as error:
        raise AenetError(
            f"{path} must hold four columns of numbers without header: latitude and longitude of the tile, then of the "
            f"panorama ({error})"
        ) from error
    row = pd.to_numeric(pairs["pair_id"], errors="coerce").fillna(0).to_numpy().astype(np.int64) - 1
    inside = (row >= 0) & (row < len(table))
    positions = np.full((len(pairs), 4), np.nan)
    positions[inside] = table[row[inside]]
    lost = int((~inside).sum())
    said = [f"{lost} of {len(pairs)} pairs have no row in {path} ({len(table)} rows)"] if lost else []
    return pairs.assign(**{name: positions[:, i] for i, name in enumerate(_POSITIONS)}), said
