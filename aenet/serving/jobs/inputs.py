"""Which photos a job answers for: those recorded when it was begun, else those there now that are new."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd

from aenet.errors import AenetError
from aenet.serving.jobs.files import PHOTOS, SUCCESS
from aenet.serving.jobs.history import NothingNew, unanswered
from aenet.serving.jobs.record import read_record
from aenet.serving.photos.listing import list_photos, newcomers


def photos_of_job(
    source: str | Path, out: Path, history: Path | None, key: Callable[[pd.DataFrame], str]
) -> tuple[pd.DataFrame, int]:
    """Return the photo list, an unfinished job's own where it is this one, and how many photos came since.

    Args:
        source: see `photos.list_photos`.
        out: the job's output folder.
        history: see `history.unanswered`; None leaves nothing out.
        key: gives the job's key for a photo list.

    Raises:
        NothingNew: `history` leaves no photo.
        AenetError: see `photos.list_photos`.
    """
    begun = _begun(out, str(source))
    if begun is not None and key(begun[1]) == begun[0]:
        return begun[1], came_since(source, history, begun[1])
    listed = list_photos(source)
    if history is None:
        return listed, 0
    left = unanswered(listed, history)
    if left.empty:
        raise NothingNew(f"nothing new: all {len(listed):,} photos of {source} have been answered below {history}")
    return left, 0


def came_since(source: str | Path, history: Path | None, photos: pd.DataFrame) -> int:
    """Return how many photos came to the source since a job's list was made of it.

    Args:
        source, history: as in `photos_of_job`.
        photos: the job's list.
    """
    if history is None:
        return newcomers(source, photos)
    try:
        listed = unanswered(list_photos(source), history)
    except AenetError:  # gone altogether
        return 0
    return int((~listed["path"].isin(set(photos["path"]))).sum())


def _begun(out: Path, source: str) -> tuple[str, pd.DataFrame] | None:
    """Return key and photo list of the unfinished job of this source in `out`, if there is one."""
    record = None if (out / SUCCESS).exists() else read_record(out)
    if record is None or record.source != source:
        return None
    try:
        table = pd.read_parquet(out / PHOTOS)
    except Exception:  # noqa: BLE001  damaged in whatever way: then it is no job to be taken up, and `plan` says so
        return None
    table.attrs |= {"ignored": record.ignored, "notices": list(record.notices)}
    return record.key, table
