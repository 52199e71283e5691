"""CVUSA, CVACT and a user's own pairs in miniature: the publishers' names, tables and quirks, images of seconds' work.

    root = build_cvusa(tmp_path / "CVPR_subset", train=8, val=4)
    root = build_cvact(tmp_path / "CVACT", train=8, val=4, test=6)
    root = build_own(tmp_path / "mine", pairs=12)

Each returns the folder that `download.source` is to name. Images are small and of the published shapes; `full_size`
of them have the published pixel sizes. The panorama and the tile of a place show the same coloured directions, so that
a network can learn them. The same arguments give the same bytes.
"""

import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from pyproj import Transformer
from scipy.io import savemat

from aenet.view.images import encode_jpeg

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"
_SECTORS = 12


def build_cvusa(
    folder: Path,
    train: int = 8,
    val: int = 4,
    tile: int = 75,
    panorama: tuple[int, int] = (28, 154),
    full_size: int = 0,
    locations: bool = True,
) -> Path:
    """Write CVUSA's CVPR subset: places 1 .. train + val, shuffled over the two split files as the real ones are.

    Args:
        tile, panorama: pixels of the small images: side, and height and width.
        full_size: how many places have the published 750 x 750 and 1232 x 224 pixels.
        locations: write `split_locations/all.csv` (row = id - 1).
    """
    ids = 1 + np.random.default_rng(0).permutation(train + val)
    for place in sorted(ids):
        big = place <= full_size
        pair = place_images(int(place), 750 if big else tile, (224, 1232) if big else panorama)
        _write(folder / f"bingmap/19/{place:07d}.jpg", pair[1])
        _write(folder / f"streetview/panos/{place:07d}.jpg", pair[0])
    for name, part in (("train", ids[:train]), ("val", ids[train:])):
        rows = [
            f"bingmap/19/{i:07d}.jpg,streetview/panos/{i:07d}.jpg,streetview/annotations/{i:07d}.png\n" for i in part
        ]
        _write(folder / f"splits/{name}-19zl.csv", "".join(rows).encode())
    if locations:
        where = [cvusa_position(i) for i in range(1, train + val + 1)]
        rows = [f"{lat},{lon},{lat},{lon},{17.5},{90.0}\n" for lat, lon in where]
        _write(folder / "split_locations/all.csv", "".join(rows).encode())
    return folder


def cvusa_position(place: int) -> tuple[float, float]:
    """Latitude and longitude of CVUSA's place number `place`, which counts from 1."""
    return round(38.0 + place / 100, 6), round(-90.0 - place / 100, 6)


def build_cvact(
    folder: Path,
    train: int = 8,
    val: int = 4,
    test: int = 0,
    tile: int = 60,
    panorama: tuple[int, int] = (52, 104),
    full_size: int = 0,
    missing: int = 0,
) -> Path:
    """Write CVACT: `val` places of the small test part, and `test` more that only the large one has.

    As in the real set, `valSetAll` holds the places of `valSet` too, and their images lie in both folders. With
    `test=0` there is no `ANU_data_test`.

    Args:
        tile, panorama: pixels of the small images: side, and height and width (2:1).
        full_size: how many places have the published 1200 x 1200 and 1664 x 832 pixels.
        missing: how many training places lack their panorama, as a few do in every copy.
    """
    count = train + val + test
    order = np.random.default_rng(1).permutation(count)
    rows = {"train": order[:train], "val": order[train : train + val], "all": order[train:]}
    for row in range(count):
        big = row < full_size
        pair = place_images(row, 1200 if big else tile, (832, 1664) if big else panorama)
        small, large = row in {*rows["train"], *rows["val"]}, row in rows["all"] and test > 0
        for part in ["ANU_data_small"] * small + ["ANU_data_test"] * large:
            _write(folder / part / "streetview" / f"{cvact_id(row)}_grdView.jpg", pair[0])
            _write(folder / part / "satview_polish" / f"{cvact_id(row)}_satView_polish.jpg", pair[1])
    for row in rows["train"][:missing]:
        (folder / "ANU_data_small" / "streetview" / f"{cvact_id(row)}_grdView.jpg").unlink()
    write_act_mat(folder / "ACT_data.mat", count, rows)
    return folder


def write_act_mat(path: Path, count: int, rows: dict[str, np.ndarray], first: int = 1) -> None:
    """Write ACT_data.mat for the rows (from 0) of each part; MATLAB counts from `first` = 1."""
    to_utm = Transformer.from_crs("EPSG:4326", "EPSG:32755", always_xy=True)
    where = np.array([cvact_position(row) for row in range(count)])
    utm = np.stack(to_utm.transform(where[:, 1], where[:, 0]), axis=1)
    parts = {name: (part + first)[:, None].astype(np.float64) for name, part in rows.items()}
    savemat(
        path,
        {
            "panoIds": np.array([cvact_id(row) for row in range(count)]),
            "utm": utm,
            "trainSet": {"trainInd": parts["train"]},
            "valSet": {"valInd": parts["val"]},
            "valSetAll": {"valInd": parts["all"]},
        },
    )


def cvact_id(row: int) -> str:
    """The panorama id of a row of `panoIds`: 22 characters, as Google's are."""
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return "".join(letters[i] for i in np.random.default_rng((2, row)).integers(0, 64, 22))


def cvact_position(row: int) -> tuple[float, float]:
    """Latitude and longitude of a row of `panoIds`: a street in Canberra, a place every 4 m or so."""
    return round(-35.30 + row * 4e-5, 7), 149.12


def build_own(
    folder: Path,
    pairs: int = 12,
    columns: dict[str, str] | None = None,
    split: bool = True,
    table: str = "pairs.csv",
    tile: int = 64,
    panorama: tuple[int, int] = (32, 128),
    change: Callable[[pd.DataFrame], pd.DataFrame] | None = None,
) -> Path:
    """Write a user's own pairs: half train, a quarter val, the rest test, 100 m apart along two streets.

    Args:
        columns: our column names -> the user's.
        split: write the column `split`.
        table: name of the table, `.csv` or `.parquet`.
        change: a last hand at the table before it is written.
    """
    rows = []
    for place in range(pairs):
        ground, aerial = place_images(place, tile, panorama)
        _write(folder / f"photos/{place:03d}.jpg", ground)
        _write(folder / f"tiles/{place:03d}.jpg", aerial)
        part = "train" if place < pairs // 2 else "val" if place < pairs * 3 // 4 else "test"
        street, house = place % 2, place // 2
        rows.append(
            (f"photos/{place:03d}.jpg", f"tiles/{place:03d}.jpg", 50 + house * 9e-4, 8 + street * 0.1, 90, part)
        )
    frame = pd.DataFrame(rows, columns=["ground", "aerial", "latitude", "longitude", "heading_deg", "split"])
    frame = frame.assign(aerial_latitude=frame["latitude"], aerial_longitude=frame["longitude"])
    frame = frame if split else frame.drop(columns="split")
    frame = (change(frame) if change else frame).rename(columns=columns or {})
    (frame.to_parquet if table.endswith(".parquet") else frame.to_csv)(folder / table, index=False)
    return folder


def place_images(seed: int, tile: int, panorama: tuple[int, int]) -> tuple[bytes, bytes]:
    """JPEG bytes of a place's panorama (north in its centre column) and of its square tile (north up)."""
    colours = np.random.default_rng((3, seed)).integers(0, 256, (_SECTORS, 3))
    height, width = panorama
    # Column 0 looks south, a quarter of the width west, the centre north.
    azimuth = (np.arange(width) / width + 0.5) % 1
    ground = np.repeat(colours[(azimuth * _SECTORS).astype(int) % _SECTORS][None], height, axis=0)
    ground[: height // 3] = (135, 180, 230)  # sky
    y, x = np.mgrid[:tile, :tile] - (tile - 1) / 2
    bearing = np.arctan2(x, -y) / (2 * np.pi) % 1
    aerial = colours[(bearing * _SECTORS).astype(int) % _SECTORS]
    return encode_jpeg(ground.astype(np.uint8), 90), encode_jpeg(aerial.astype(np.uint8), 90)


def make_pointers(paths: Sequence[Path]) -> None:
    """Put in the place of each file what Git LFS leaves where it was not fetched."""
    for path in paths:
        path.write_bytes(POINTER)


def make_tar(folder: Path, archive: Path) -> Path:
    """Pack a folder under its own name, as publishers do."""
    subprocess.run(["tar", "-C", folder.parent, "-czf", archive, folder.name], check=True)
    return archive


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
