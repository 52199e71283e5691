"""CVACT: Canberra, 128,334 places (Liu and Li, CVPR 2019).

- `ANU_data_small/streetview/<id>_grdView.jpg`: 1664 x 832 panorama, north in the centre column
- `ANU_data_small/satview_polish/<id>_satView_polish.jpg`: 1200 x 1200 tile, centred on its panorama
- `ANU_data_test/...`: the same for the 92,802 places of the large test part
- `ACT_data.mat`: panoIds, utm, trainSet.trainInd (35,532), valSet.valInd (8,884), valSetAll.valInd (92,802)

The indices of `ACT_data.mat` count from 1. Of a panorama, networks see the rows 208:624 of 832.
"""

from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from jaxtyping import Int
from pyproj import Transformer

from aenet.ingest.layout import Layout, check_required, find_root
from aenet.ingest.published import PublishedConfig, count_departures, hold_out, once
from aenet.ingest.verification import Listing
from aenet.io.errors import AenetError
from aenet.io.machine import need

# CVACT's ACT_data.mat: MATLAB variables by name, positions in WGS84.

# GDA94/WGS84 UTM zone 55 south holds Canberra; the metre between the two datums is below the tiles' own error.
_UTM, _WGS84 = "EPSG:32755", "EPSG:4326"
_ACT = {"latitude": (-36.5, -34.5), "longitude": (148.0, 150.0)}  # degrees, generously around Canberra


def read_mat(path: Path, ask: str) -> dict[str, Any]:
    """Return the variables of a MATLAB file of version 5 to 7.2; structures become dictionaries.

    Raises:
        AenetError: scipy is not installed, or the file is damaged or of another format.
    """
    need("reading CVACT", "scipy")
    from scipy.io import loadmat

    try:
        return dict(loadmat(path, simplify_cells=True))
    except NotImplementedError as error:
        raise AenetError(f"{path} is a MATLAB 7.3 file, the published one is older: {ask}") from error
    except Exception as error:  # scipy raises a dozen kinds for damaged files
        raise AenetError(f"{path} is not a readable MATLAB file, or cut short; {ask}") from error


def find(mat: dict[str, Any], variable: str, path: Path) -> Any:
    """Return `mat[a][b]` for the variable "a.b".

    Raises:
        AenetError: there is none; the sentence lists those there are.
    """
    value: Any = mat
    for name in variable.split("."):
        if not isinstance(value, dict) or name not in value:
            known = ", ".join(sorted(key for key in mat if not key.startswith("__")))
            raise AenetError(f"{path} has no variable {variable} (found: {known}): it is not CVACT's")
        value = value[name]
    return value


def positions(mat: dict[str, Any], path: Path) -> tuple[pd.DataFrame, list[str]]:
    """Return latitude and longitude of every place in WGS84 degrees, NaN where unknown, and what to tell the user.

    Raises:
        AenetError: `utm` has not one row of two numbers for every entry of `panoIds`.
    """
    count = np.asarray(find(mat, "panoIds", path)).size
    utm = np.atleast_2d(np.asarray(find(mat, "utm", path), dtype=np.float64))
    if utm.shape != (count, 2):
        raise AenetError(f"{path}: utm is {utm.shape[0]} x {utm.shape[1]}, expected {count} x 2 as panoIds has {count}")
    # At Canberra northings are near 6,090 km and eastings near 690 km, so the columns tell themselves apart.
    easting, northing = (utm[:, 0], utm[:, 1]) if np.nanmedian(utm[:, 0]) < np.nanmedian(utm[:, 1]) else utm.T[::-1]
    longitude, latitude = Transformer.from_crs(_UTM, _WGS84, always_xy=True).transform(easting, northing)
    table = pd.DataFrame({"latitude": latitude, "longitude": longitude})
    outside = ~np.logical_and.reduce([table[name].between(*limits) for name, limits in _ACT.items()])
    if not outside.any():
        return table, []
    table[outside] = np.nan
    return table, [
        f"{path}: {int(outside.sum())} of {count} positions in utm do not lie around Canberra in UTM zone 55 south: "
        "they count as unknown"
    ]


ASK = "ask the authors of OriCNN for CVACT (github.com/Liumouliu/OriCNN)"
MAT = "ACT_data.mat"
SMALL, LARGE = "ANU_data_small", "ANU_data_test"
SIZES = {"ground": (832, 1664), "aerial": (1200, 1200)}
# The sky above and the car below show nothing of the place; every published number is of these rows.
VIEW = {"rows": [208, 624], "panorama_size": [832, 1664]}
_PUBLISHED = {"val": {"train": 35_532, "test": 8_884}, "test": {"train": 35_532, "test": 92_802}}
# Beside identity, the large test part counts every tile within 5 m as right: its places lie that close together.
_CORRECT = {"val": ["identity"], "test": ["identity", "within 5 m"]}


class CvactConfig(PublishedConfig):
    """The CVACT data set, a directory or archive with the layout of its publishers.

    Attributes:
        evaluation: "val" reports on CVACT_val (8,884 places), "test" on CVACT_test (92,802).
    """

    kind: Literal["cvact"]
    evaluation: Literal["val", "test"] = "val"


def list_cvact(config: CvactConfig, source: Path) -> Listing:
    """Read CVACT's table.

    Raises:
        AenetError: the layout is another, scipy is not installed, or the table is damaged.
    """
    layout = _layout(config)
    root = find_root(source, layout)
    check_required(root, layout)
    mat = read_mat(root / MAT, ASK)
    variable = "valSet.valInd" if config.evaluation == "val" else "valSetAll.valInd"
    parts = {
        "train": (SMALL, _indices(mat, "trainSet.trainInd", root)),
        "test": (SMALL if config.evaluation == "val" else LARGE, _indices(mat, variable, root)),
    }
    where, notices = positions(mat, root / MAT)
    ids = np.char.strip(np.asarray(find(mat, "panoIds", root / MAT)).ravel().astype(str))
    listed = pd.concat([_part(split, *part, ids, where) for split, part in parts.items()], ignore_index=True)
    pairs, repeated = once(listed, str(root))
    name, published = f"CVACT_{config.evaluation}", _PUBLISHED[config.evaluation]
    return Listing(
        root=root,
        pairs=hold_out(pairs, config, str(root)),
        ask=ASK,
        sizes=SIZES,
        protocol={
            "name": name,
            "test": f"{MAT}: {variable}",
            "correct": _CORRECT[config.evaluation],
            "published": published,
        },
        departures=count_departures(pairs, repeated, published, name),
        notices=(*([f"CVACT found in {root}"] if root != source else []), *notices),
        set_aside=repeated,
        view=VIEW,
    )


def _layout(config: CvactConfig) -> Layout:
    folders = (SMALL,) if config.evaluation == "val" else (SMALL, LARGE)
    required = {MAT: "ids, positions and splits"}
    for folder in folders:
        required |= {f"{folder}/streetview": "panoramas", f"{folder}/satview_polish": "satellite tiles"}
    ask = ASK if config.evaluation == "val" else f"{ASK}, or set download.evaluation to val, which needs {SMALL} alone"
    return Layout(name="CVACT", markers=(SMALL, LARGE, MAT), required=required, ask=ask)


def _indices(mat: dict[str, Any], variable: str, root: Path) -> Int[np.ndarray, " n"]:
    """The rows of one part, from 0."""
    path = root / MAT
    rows = np.atleast_1d(np.asarray(find(mat, variable, path))).ravel().astype(np.int64)
    places = np.asarray(find(mat, "panoIds", path)).size
    if rows.size == 0:
        raise AenetError(f"{path}: {variable} is empty")
    if rows.min() < 1 or rows.max() > places:
        raise AenetError(
            f"{path}: {variable} runs from {rows.min()} to {rows.max()}, panoIds has {places} entries counted from 1: "
            "the file is not the published one"
        )
    return rows - 1


def _part(split: str, folder: str, rows: Int[np.ndarray, " n"], ids: np.ndarray, where: pd.DataFrame) -> pd.DataFrame:
    names = pd.Series(ids[rows], dtype=str)
    here = where.iloc[rows].reset_index(drop=True)
    return pd.DataFrame({
        "pair_id": names,
        "split": split,
        "ground": f"{folder}/streetview/" + names + "_grdView.jpg",
        "aerial": f"{folder}/satview_polish/" + names + "_satView_polish.jpg",
        "latitude": here["latitude"],
        "longitude": here["longitude"],
        "aerial_latitude": here["latitude"],
        "aerial_longitude": here["longitude"],
        "heading_deg": 0.0,
    })  # fmt: skip
