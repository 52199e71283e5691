"""A localization job: which photos, against which gallery, with which model, cut into which shards.

The files under `out` are the truth about what is done; nothing else is asked:

    out/
      job.json             key and inputs
      photos.parquet       the photo list
      shards/00000.parquet a finished shard, written atomically
      shards/computed.log  a line when a shard's computation starts and one when it is published
      places.parquet, places.csv, report.html, summary.json
      _SUCCESS             written last
"""

import hashlib
import json
import shutil
from dataclasses import dataclass
from pathlib import Path

from pydantic import Field

from aenet.artifacts import write_json, write_parquet
from aenet.card import read_card
from aenet.errors import AenetError
from aenet.locks import hold
from aenet.params import Config
from aenet.serving.gallery import Gallery
from aenet.serving.photos import list_photos, photos_digest
from aenet.serving.runtime import Provider
from aenet.serving.views import model_digest

JOB, PHOTOS, SHARDS, SUCCESS, LOG = "job.json", "photos.parquet", "shards", "_SUCCESS", "computed.log"
_FORMAT = 1  # raise it when rows change for the same inputs


class LocateOptions(Config):
    """How to place photos.

    Attributes:
        top_k: tiles listed for every photo.
        shard_size: photos a shard; what a killed run may lose.
        batch_size: views per inference.
        provider: `auto`, `cuda` or `cpu`.
        threads: CPU threads of one inference and of the search; 0 means one per usable core.
        decoders: threads that decode photos; 0 means one per usable core.
        thumbnails: photos shown in the report with their tiles.
        overwrite: replace another job's results in the output folder.
    """

    top_k: int = Field(default=5, ge=1, le=100)
    shard_size: int = Field(default=256, ge=1)
    batch_size: int = Field(default=32, ge=1)
    provider: Provider = "auto"
    threads: int = Field(default=0, ge=0)
    decoders: int = Field(default=0, ge=0)
    thumbnails: int = Field(default=200, ge=0)
    overwrite: bool = False


@dataclass(frozen=True)
class Job:
    """A planned job. Small and picklable: it travels to workers, the data stays on disk."""

    key: str
    out: Path
    gallery: Path
    model: Path
    options: LocateOptions
    photos: int
    ignored: int

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


def plan(photos: str | Path, gallery: Path, model: Path, out: Path, options: LocateOptions | None = None) -> Job:
    """Prepare `out` for placing photos, or take up a job begun there with the same inputs.

    Args:
        photos: file, folder, glob pattern or table: see `photos.list_photos`.
        gallery: a finished gallery.
        model: folder of the exported model that embedded the gallery.
        out: output folder, made if absent.
        options: see LocateOptions.

    Raises:
        AenetError: no photos, unusable gallery or model, a gallery of another model, or `out` holds another job
            (and not `overwrite`) or other files.
        CorruptArtifact: a digest of model or gallery does not match.
    """
    options = options or LocateOptions()
    card = read_card(model)
    opened = Gallery.open(gallery, card)
    table = list_photos(photos)
    identity = [_FORMAT, model_digest(card), opened.digest, photos_digest(table), options.top_k, options.shard_size]
    key = hashlib.sha256(json.dumps(identity).encode()).hexdigest()
    job = Job(key, out, gallery, model, options, len(table), int(table.attrs.get("ignored", 0)))
    with hold(out / ".lock", f"output folder {out}"):
        if _prepare(job):
            write_parquet(out / PHOTOS, table)
            record = {"key": key, "photos": len(table), "source": str(photos), "gallery": str(gallery)}
            record |= {"model": str(model), "options": options.model_dump(mode="json")}
            write_json(out / JOB, record)  # last: without it there is no plan, and it is made again
    return job


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
            f"{out} holds the results of another job (photos, gallery, model, top-k or shard size differ): "
            "give another folder, or --overwrite to replace them"
        )
    for name in (SUCCESS, "places.parquet", "places.csv", "report.html", "summary.json"):
        (out / name).unlink(missing_ok=True)
    shutil.rmtree(out / SHARDS, ignore_errors=True)
    record.unlink()  # last: while it stands, what a killed run left is known to be a job's
    return True
