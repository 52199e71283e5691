"""A localization job: which photos, against which gallery, with which model, cut into which shards.

The files under `out` are the truth about what is done; nothing else is asked:

    out/
      job.json             key and inputs
      photos.parquet       the photo list
      shards/00000.parquet a finished shard, written atomically
      shards/computed.log  a line when a shard's computation starts and one when it is published
      places.parquet, places.csv, and what other formats were asked for; report.html, summary.json
      _SUCCESS             written last
"""

import hashlib
import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import pandas as pd

from aenet.artifacts import write_json, write_parquet
from aenet.card import ModelCard, read_card
from aenet.errors import AenetError
from aenet.locks import hold
from aenet.serving.galleries.gallery import Gallery
from aenet.serving.jobs.files import JOB, LOG, PHOTOS, SHARDS, SUCCESS
from aenet.serving.jobs.formats import Format
from aenet.serving.jobs.inputs import photos_of_job
from aenet.serving.jobs.options import LocateOptions
from aenet.serving.photos.listing import photos_digest
from aenet.serving.search.galleryindex import index_digest, open_index
from aenet.serving.views import model_digest

__all__ = ["JOB", "LOG", "PHOTOS", "SHARDS", "SUCCESS", "Job", "LocateOptions", "plan"]

_TABLES = ("parquet", "csv", *get_args(Format))
_FORMAT = 2  # raise it when rows change for the same inputs


@dataclass(frozen=True)
class Job:
    """A planned job. Small and picklable: it travels to workers, the data stays on disk.

    Attributes:
        key: digest of everything that decides its rows.
        photos: how many it answers for.
        ignored: files of a photo folder that no name ending makes a photo.
        newcomers: photos that came to the source since the job was first planned; they are not part of it.
    """

    key: str
    out: Path
    gallery: Path
    model: Path
    options: LocateOptions
    photos: int
    ignored: int
    newcomers: int = 0

    @property
    def shards(self) -> tuple[int, ...]:
        """Numbers of all shards, in order."""
        return tuple(range(-(-self.photos // self.options.shard_size)))

    @property
    def missing(self) -> tuple[int, ...]:
        """Numbers of the shards still to be computed."""
        return tuple(shard for shard in self.shards if not self.done(shard))

    def done(self, shard: int) -> bool:
        """True if the shard's file stands: it is written whole or not at all."""
        return self.file(shard).exists()

    def file(self, shard: int) -> Path:
        """Where the shard's rows are, or will be."""
        return self.out / SHARDS / f"{shard:05d}.parquet"

    def rows(self, shard: int) -> slice:
        """The shard's rows of the photo list."""
        start = shard * self.options.shard_size
        return slice(start, min(start + self.options.shard_size, self.photos))


def plan(
    photos: str | Path,
    gallery: Path,
    model: Path,
    out: Path,
    options: LocateOptions | None = None,
    history: Path | None = None,
) -> Job:
    """Prepare `out` for placing photos, or take up a job begun there with the same inputs.

    An unfinished job of the same source and options keeps its list of photos: those that came since are counted
    (`Job.newcomers`), and are another job's.

    Args:
        photos: file, folder, glob pattern or table: see `photos.list_photos`.
        gallery: a finished gallery.
        model: folder of the exported model that embedded the gallery.
        out: output folder, made if absent.
        options: see LocateOptions.
        history: leave out what finished jobs below this folder have answered: see `history.unanswered`.

    Raises:
        NothingNew: `history` leaves no photo.
        AenetError: no photos, unusable gallery or model, a gallery of another model, options the model cannot meet,
            or `out` holds another job (and not `overwrite`) or other files.
        CorruptArtifact: a digest of model, gallery or its index does not match.
    """
    options = options or LocateOptions()
    card = read_card(model)
    opened = Gallery.open(gallery, card)
    open_index(opened)  # its bytes are checked here
    _check(options, card, opened)
    table, newcomers = photos_of_job(photos, out, history, lambda listed: _key(card, opened, listed, options))
    key, ignored = _key(card, opened, table, options), int(table.attrs.get("ignored", 0))
    job = Job(key, out, gallery, model, options, len(table), ignored, newcomers)
    with hold(out / ".lock", f"output folder {out}"):
        if _prepare(job):
            write_parquet(out / PHOTOS, table)
            record = {"key": key, "photos": len(table), "source": str(photos), "gallery": str(gallery)}
            record |= {"model": str(model), "ignored": ignored, "options": options.model_dump(mode="json")}
            write_json(out / JOB, record)  # last: without it there is no plan, and it is made again
    return job


def _key(card: ModelCard, gallery: Gallery, photos: pd.DataFrame, options: LocateOptions) -> str:
    """Return the digest of everything that decides a job's rows."""
    calibration = card.calibration and card.calibration.model_dump(mode="json")
    model = [model_digest(card), card.map_shape, calibration]
    index = index_digest(gallery.folder)
    identity = [_FORMAT, model, gallery.digest, index, photos_digest(photos), options.identity()]
    return hashlib.sha256(json.dumps(identity).encode()).hexdigest()


def _check(options: LocateOptions, card: ModelCard, gallery: Gallery) -> None:
    """Refuse options that would leave columns empty which the user counts on."""
    for name, wanted in (("--precision", options.precision is not None), ("--refine", options.refine)):
        if wanted and card.calibration is None:
            raise AenetError(
                f"{name} needs confidences, and the model has no calibration: export it again with the export_onnx "
                "stage, which fits one on the validation split"
            )
        if wanted and options.heading != "north" and card.calibration and card.calibration.unknown is None:
            raise AenetError(
                f"{name} needs confidences, and the model's calibration does not cover photos of unknown heading: "
                "export it again, or give --heading north"
            )
    if options.refine and gallery.manifest.spacing_m is None:
        raise AenetError(f"--refine needs a grid, and the tiles of {gallery.folder} have positions of their own")


def _prepare(job: Job) -> bool:
    """Return True if the job is new in its folder; clear what may be cleared.

    Raises:
        AenetError: the folder holds something that is not this job's.
    """
    out, record = job.out, job.out / JOB
    content = [path.name for path in out.iterdir() if path.name not in (".lock", PHOTOS)]
    if not record.exists():
        if visible := [name for name in content if not name.startswith(".")]:
            raise AenetError(f"{out} holds other files ({visible[0]}, ...): give an empty folder for the results")
        return True
    try:
        found = str(json.loads(record.read_bytes())["key"])
    except (ValueError, KeyError, TypeError):
        found = "damaged"
    if found == job.key:
        return False
    if not job.options.overwrite:
        raise AenetError(
            f"{out} holds the results of another job (photos, gallery, model or options differ): "
            "give another folder, or --overwrite to replace them"
        )
    for name in (SUCCESS, *(f"places.{kind}" for kind in _TABLES), "report.html", "summary.json"):
        (out / name).unlink(missing_ok=True)
    shutil.rmtree(out / SHARDS, ignore_errors=True)
    record.unlink()  # last: while it stands, what a killed run left is known to be a job's
    return True
