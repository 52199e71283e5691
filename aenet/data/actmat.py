"""CVACT's ACT_data.mat: MATLAB variables by name, positions in WGS84."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pyproj import Transformer

from aenet.errors import AenetError
from aenet.extras import need

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
