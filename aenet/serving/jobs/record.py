"""What a job's folder says of the job: `job.json`."""

from pathlib import Path

from aenet.params import Config
from aenet.serving.jobs.digests import Digests
from aenet.serving.jobs.files import JOB
from aenet.serving.jobs.options import LocateOptions


class Record(Config):
    """A job as it was planned.

    Attributes:
        key: see `Job.key`.
        photos: how many.
        source: where they are from, as given.
        gallery, model: folders.
        digests: what was in them.
        history: what finished jobs below this folder answered was left out; see `history.unanswered`.
        ignored, notices: see `Job`.
        options: see LocateOptions.
    """

    key: str
    photos: int
    source: str
    gallery: str
    model: str
    digests: Digests
    ignored: int
    options: LocateOptions
    history: str | None = None
    notices: tuple[str, ...] = ()


def read_record(out: Path) -> Record | None:
    """Return the record of the job in `out`, None where there is none or it is damaged or of an older version."""
    try:
        return Record.model_validate_json((out / JOB).read_bytes())
    except (OSError, ValueError):
        return None
