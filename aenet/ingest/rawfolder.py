"""From the list of a data set's pairs to the finished raw folder: pair table, manifest, list of what was left out.

The images stay where they lie: a hundred thousand files are no output of a stage.
"""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from aenet.data.pairs import IDS, check_pairs, sharing, write_pairs
from aenet.ingest.archive.archiveconfig import NotedProgress
from aenet.ingest.usertext import safe_cell
from aenet.ingest.verification import (
    POINTER,
    SKIPPED_COLUMNS,
    VIEWS,
    DatasetConfig,
    Listing,
    Seen,
    inspect_images,
    listing_digest,
    same_contents,
)
from aenet.io.artifacts import atomic_folder
from aenet.io.errors import AenetError

SKIPPED = "skipped.csv"
_SAME_SHAPE = 0.01  # of the ratio of sides
# Settings that change how the work is done, not what comes of it.
_HOW = {
    "threads", "timeout_s", "least_bytes_per_s", "deadline_s", "retries", "backoff_s", "max_bytes",
    "max_unpacked_bytes", "max_members",
}  # fmt: skip


def write_dataset(
    config: DatasetConfig,
    kind: str,
    listing: Listing,
    origin: Mapping[str, Any],
    out: Path,
    progress: NotedProgress | None = None,
) -> list[str]:
    """Look at every image and write the finished folder `out`; return what the user should read.

    Raises:
        AenetError: an impossible pair table, Git-LFS pointers, more unusable pairs than `max_skipped` allows, none
            left, or anything at all under `strict`; `out` is then left as it was.
    """
    pairs = check_pairs(listing.pairs, str(listing.root))
    seen = inspect_images(listing.root, [*pairs["ground"], *pairs["aerial"]], config.verify, config.threads, progress)
    skipped = _unusable(pairs, seen, listing)
    kept = pairs[~pairs["pair_id"].isin(skipped["pair_id"])].reset_index(drop=True)
    departures = [*listing.departures, *_resized(kept, seen, listing)]
    if len(skipped):
        _check_share(config, listing, kept, skipped)
        lost = len(pairs) - len(kept)
        departures.append(
            f"{lost} of {len(pairs)} pairs are left out ({_first(skipped)}): see {SKIPPED} beside the pair table"
        )
    if config.strict and departures:
        raise AenetError(f"{listing.root}: download.strict is set, and {'; '.join(departures)}")
    skipped = pd.concat([listing.set_aside, skipped], ignore_index=True)
    kept = _with_contents(kept, listing.root, seen)
    notices = [*departures, *listing.notices, *_shared(kept)]
    meta = {
        "kind": kind,
        "config": config.model_dump(mode="json", exclude=_HOW) | {"source": config.shown},
        "source": dict(origin),
        **_facts(listing, kept, seen),
        "skipped": len(skipped),
        "notices": notices,
    }
    with atomic_folder(out, meta) as folder:
        write_pairs(folder / "pairs.parquet", kept)
        safe = skipped.map(lambda cell: safe_cell(cell) if isinstance(cell, str) else cell)
        safe.to_csv(folder / SKIPPED, index=False)
    return notices


def _with_contents(kept: pd.DataFrame, root: Path, seen: Mapping[str, Seen]) -> pd.DataFrame:
    """Return the pairs with the columns that tell files of the same contents, where two names have them."""
    names = dict.fromkeys([*kept["ground"], *kept["aerial"]])
    same = same_contents(root, {name: seen[name] for name in names})
    if not same:
        return kept
    return kept.assign(**{column: kept[view].map(lambda name: same.get(name, name)) for view, column in IDS.items()})


def _shared(pairs: pd.DataFrame) -> list[str]:
    """Say which rows show the same, and what becomes of it."""
    found = sharing(pairs)
    said = []
    for what, numbers in (("tile", found.tile), ("panorama", found.panorama)):
        counts = np.bincount(numbers)
        if several := int((counts > 1).sum()):
            said.append(
                f"{several} {what}s stand in {int(counts[counts > 1].sum())} rows (by path or by contents): every "
                "right tile counts, and they are not taken as each other's negatives"
            )
    splits = pairs["split"].to_numpy()
    both = pd.DataFrame({"tile": found.tile, "split": splits}).groupby("tile")["split"].nunique()
    if across := int((both > 1).sum()):
        said.append(
            f"{across} tiles stand in more than one split: what is measured on one was seen in another; give rows of "
            "one tile the same split"
        )
    return said


def _unusable(pairs: pd.DataFrame, seen: Mapping[str, Seen], listing: Listing) -> pd.DataFrame:
    """One row for every file that keeps its pair out."""
    if pointers := [name for name, file in seen.items() if file.problem == POINTER]:
        raise AenetError(
            f"{len(pointers)} of {len(seen)} images are Git-LFS pointers, not images ({pointers[0]}): "
            f"run `git lfs pull` in {listing.root}"
        )
    rows = []
    for view in VIEWS:
        for pair_id, split, name in zip(pairs["pair_id"], pairs["split"], pairs[view], strict=True):
            if problem := seen[name].problem or _shape_problem(view, seen[name].size, listing.sizes[view]):
                rows.append((pair_id, split, name, problem))
    return pd.DataFrame(rows, columns=list(SKIPPED_COLUMNS))


def _shape_problem(view: str, size: tuple[int, int] | None, published: tuple[int, int] | None) -> str | None:
    """A panorama of another shape shows another part of the world; a tile must be square."""
    if size is None:
        return None
    (height, width), (full_height, full_width) = size, published or size
    if view == "aerial" and height != width:
        return f"{width} x {height} px: a satellite tile must be square"
    if abs(width * full_height / (height * full_width) - 1) > _SAME_SHAPE:
        return f"{width} x {height} px is not the shape of {full_width} x {full_height}"
    return None


def _resized(kept: pd.DataFrame, seen: Mapping[str, Seen], listing: Listing) -> list[str]:
    said = []
    for view in VIEWS:
        sizes = [seen[name].size for name in kept[view]]
        other = [size for size in sizes if size is not None and size != (listing.sizes[view] or size)]
        if other:
            (height, width), (full_height, full_width) = max(set(other), key=other.count), listing.sizes[view] or (0, 0)
            said.append(
                f"{len(other)} of {len(sizes)} {view} images are resized: most to {width} x {height} px, published are "
                f"{full_width} x {full_height}"
            )
    return said


def _check_share(config: DatasetConfig, listing: Listing, kept: pd.DataFrame, skipped: pd.DataFrame) -> None:
    total = len(listing.pairs)
    lost = total - len(kept)
    if lost > config.max_skipped * total or kept.empty:
        way_out = f" ({listing.ask})" if listing.ask else ""
        if not kept.empty:
            way_out += f", or set download.max_skipped to {math.ceil(1000 * lost / total) / 1000} to do without them"
        raise AenetError(
            f"{listing.root}: {lost} of {total} pairs cannot be used, {config.max_skipped:.0%} may be left out "
            f"({_first(skipped)}): complete the copy{way_out}"
        )


def _first(skipped: pd.DataFrame) -> str:
    row = skipped.iloc[0]
    return f"{len(skipped)} files, first {row['file']}: {row['reason']}"


def _facts(listing: Listing, kept: pd.DataFrame, seen: Mapping[str, Seen]) -> dict[str, Any]:
    """What the manifest says of the images and of how they are to be used."""
    used = {name: seen[name] for view in VIEWS for name in kept[view]}
    images = {
        "root": str(listing.root),
        "files": len(used),
        "bytes": sum(file.bytes for file in used.values()),
        "sha256_of_listing": listing_digest(used.items()),
    }
    counts = {split: int(n) for split, n in kept["split"].value_counts(sort=False).items()}
    return {"images": images, "view": dict(listing.view), "protocol": dict(listing.protocol), "pairs": counts}
