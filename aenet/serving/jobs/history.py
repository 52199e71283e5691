"""Which photos earlier jobs have answered already, so that every night places the new ones only."""

from pathlib import Path

import pandas as pd

from aenet.errors import AenetError, CorruptArtifact
from aenet.plainfiles import no_parquet
from aenet.serving.jobs.files import PHOTOS, SUCCESS

_FILE = ["path", "bytes", "mtime_ns"]


class NothingNew(AenetError):
    """Every photo has been answered by an earlier job: no mistake, but nothing to do."""


def unanswered(photos: pd.DataFrame, history: Path) -> pd.DataFrame:
    """Return the photos that no finished job below a folder has answered.

    Args:
        photos: from `photos.list_photos`.
        history: a folder of jobs' output folders, at any depth; one that does not exist holds none.

    A photo is the same if path, size and time are; what was an error then, or was placed by another model or on
    another gallery, counts as answered.

    Raises:
        CorruptArtifact: a finished job's list of photos is not readable.
    """
    answered = [_list(success.parent / PHOTOS) for success in sorted(history.rglob(SUCCESS))]
    if not answered:
        return photos
    seen = pd.MultiIndex.from_frame(pd.concat(answered, ignore_index=True))
    left = photos[~pd.MultiIndex.from_frame(photos[_FILE]).isin(seen)].reset_index(drop=True)
    left.attrs = dict(photos.attrs)
    return left


def _list(file: Path) -> pd.DataFrame:
    try:
        return pd.read_parquet(file, columns=_FILE)
    except Exception as error:  # pyarrow raises a dozen unrelated kinds
        raise CorruptArtifact(
            f"{file} is not readable ({no_parquet(file)}): delete that job's folder, "
            "and its photos will be placed again"
        ) from error
