"""What the renderer knows of every pixel of the test views: classes on the ground side, visibility from above.

Beside a split's views lie, where the data set knows, `ground_labels.npy` (N x H x W, a class for each pixel of the
ground view), `aerial_visible.npy` (N x H x W, 255 where the polar view shows something that its camera sees, 0 where it
shows what the camera cannot see, in between at borders) and `masks.json`, the classes by name. Only the town knows.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import UInt8

from aenet.data.pairs import read_pairs
from aenet.data.views import aerial_view, kept_rows, turn_north
from aenet.io.artifacts import MANIFEST, read_manifest, verify_file
from aenet.io.atomic import write_json
from aenet.io.errors import AenetError
from aenet.view.spec import ViewSpec

_FILES = ("ground_labels.npy", "aerial_visible.npy", "masks.json")


@dataclass(frozen=True)
class Masks:
    """The masks of one split, in the order of its views; the arrays are read-only memory maps."""

    labels: UInt8[np.ndarray, "n h w"]
    visible: UInt8[np.ndarray, "n h w"]
    classes: dict[str, int]

    def __len__(self) -> int:
        return len(self.labels)

    def labelled(self, name: str) -> int:
        """Return the number of a class in `labels`.

        Raises:
            AenetError: there is no such class.
        """
        if name not in self.classes:
            raise AenetError(f"the masks know no class '{name}' (known: {', '.join(self.classes)})")
        return self.classes[name]


def label_view(label: UInt8[np.ndarray, "h w"], spec: ViewSpec, heading_deg: float = 0.0) -> UInt8[np.ndarray, "h2 w2"]:
    """Return the classes of a ground view's pixels: the same rows and turn, each pixel that of its middle."""
    colours = np.repeat(label[..., None], 3, axis=2)
    turned = np.ascontiguousarray(turn_north(kept_rows(colours, spec.ground), heading_deg)[..., 0])
    return np.asarray(
        cv2.resize(turned, (spec.ground.width, spec.ground.height), interpolation=cv2.INTER_NEAREST_EXACT), np.uint8
    )


def visible_view(visible: UInt8[np.ndarray, "s s"], spec: ViewSpec) -> UInt8[np.ndarray, "h w"]:
    """Return which part of each of the aerial view's pixels is visible, 0..255, from a tile of zeros and ones."""
    return np.ascontiguousarray(aerial_view(np.repeat(visible[..., None] * np.uint8(255), 3, axis=2), spec)[..., 0])


def pack_masks(source: Path, spec: ViewSpec, folder: Path, split: str) -> None:
    """Write the masks of one split of the data set at `source` beside its views, if the data set has them.

    Raises:
        AenetError: the data set's masks and its pair table disagree.
    """
    meta = read_manifest(source).meta if (source / MANIFEST).exists() else {}
    if meta.get("visible", {}).get("split") != split or "labels" not in meta:
        return
    pairs = read_pairs(source / "pairs.parquet")
    rows = np.flatnonzero(pairs["split"] == split)
    labels, visible = (np.load(source / f"{name}.npy", mmap_mode="r") for name in ("labels", "visible"))
    if len(labels) != len(pairs) or len(visible) != len(rows):
        raise AenetError(
            f"{source} has {len(pairs)} pairs, {len(rows)} of them in the split '{split}', but labels of {len(labels)} "
            f"and visibility of {len(visible)}: make it again with the download stage"
        )
    cells = int(meta["visible"]["cells"])
    ground, aerial = (
        np.lib.format.open_memmap(folder / name, mode="w+", dtype=np.uint8, shape=(len(rows), view.height, view.width))
        for name, view in zip(_FILES[:2], (spec.ground, spec.aerial), strict=True)
    )
    headings = pairs["heading_deg"].fillna(0.0).to_numpy()
    for index, row in enumerate(rows):
        ground[index] = label_view(np.array(labels[row]), spec, float(headings[row]))
        aerial[index] = visible_view(np.unpackbits(visible[index], axis=1, count=cells), spec)
    ground.flush()
    aerial.flush()
    write_json(folder / _FILES[2], {"labels": meta["labels"]})


def open_masks(folder: Path, split: str) -> Masks | None:
    """Open the masks of a split of a views folder; None where the data set they were made from has none.

    Raises:
        AenetError: the folder is not finished.
        CorruptArtifact: a file's digest differs from its manifest.
    """
    if f"{split}/{_FILES[0]}" not in read_manifest(folder).files:
        return None
    labels, visible, names = (verify_file(folder, f"{split}/{name}") for name in _FILES)
    return Masks(
        np.load(labels, mmap_mode="r"), np.load(visible, mmap_mode="r"), json.loads(names.read_bytes())["labels"]
    )
