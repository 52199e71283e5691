"""A localization job: which photos, against which gallery, with which model, cut into which shards.

The files under `out` are the truth about what is done; nothing else is asked:

    out/
      job.json             key and inputs, with their digests
      photos.parquet       the photo list
      shards/00000.parquet a finished shard, written atomically
      shards/computed.log  a line when a shard's computation starts and one when it is published
      places.parquet, places.csv, and what other formats were asked for; report.html, summary.json
      _SUCCESS             written last
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import Field

from aenet.data.card import ModelCard, model_digest
from aenet.io.errors import AenetError
from aenet.io.params import Config
from aenet.serving.galleries.gallery import Gallery
from aenet.serving.jobs.outputs import Format
from aenet.serving.photos.reading import Heading, PhotoOptions
from aenet.serving.search.galleryindex import index_digest
from aenet.serving.search.prior import Prior
from aenet.serving.sessions.runtime import SessionOptions

# How photos are to be placed: what a user may choose of a job.

_ROWS = (
    "top_k", "shard_size", "photos", "heading", "phases", "prior", "min_confidence", "refine", "precision",
)  # fmt: skip


class LocateOptions(SessionOptions):
    """How to place photos, and how the network runs (SessionOptions; `threads` also of the search).

    Attributes:
        top_k: tiles listed for every photo.
        photos: how to take photos that are no whole panoramas.
        heading: `auto` takes each photo's own heading and matches photos without one over all azimuths; `unknown`
            matches all of them; `north` takes photos without one to be north-centred.
        phases: turns within one column of the model's map at which a photo of unknown heading is described. Each
            costs an inference; a model without a map is asked at four times as many.
        prior: what is known of where the photos were taken: only tiles it allows are searched.
        min_confidence: abstain where the confidence is below this; needs a calibrated model.
        refine: answer with the mean of the tiles around the best one, weighted by their probability, instead of the
            best one's centre; needs a calibrated model and a gallery on a grid.
        formats: written beside the table; may be asked for again of a finished job.
        shard_size: photos a shard; what a killed run may lose.
        decoders: threads that decode photos; 0 means one per usable core.
        thumbnails: photos shown in the report with their tiles.
        overwrite: replace another job's results in the output folder.
    """

    top_k: int = Field(default=5, ge=1, le=100)
    photos: PhotoOptions = PhotoOptions()
    heading: Heading = "auto"
    phases: int = Field(default=4, ge=1, le=16)
    prior: Prior | None = None
    min_confidence: float | None = Field(default=None, gt=0, le=1)
    refine: bool = False
    formats: tuple[Format, ...] = ()
    shard_size: int = Field(default=256, ge=1)
    decoders: int = Field(default=0, ge=0)
    thumbnails: int = Field(default=200, ge=0)
    overwrite: bool = False

    def identity(self) -> dict[str, Any]:
        """Return what of it decides a job's rows; where and how fast they are computed does not."""
        return self.model_dump(mode="json", include=set(_ROWS)) | {"cuda.tf32": self.cuda.tf32}


# Names of the files in a job's output folder.

JOB, PHOTOS, SHARDS, SUCCESS, LOG = "job.json", "photos.parquet", "shards", "_SUCCESS", "computed.log"


# What a job was planned on, by content: a gallery or a model that is exchanged in mid-job must not go unnoticed.


class Digests(Config):
    """Digests of what decides the rows of a job, photos and options apart.

    Attributes:
        model: of its weights, its view, its calibration and how it completes photos; half-precision files do not
            count, see `model_digest`.
        gallery: of its manifest, which holds the digests of all else.
        index: of the gallery's index; None without one.
    """

    model: str
    gallery: str
    index: str | None

    @classmethod
    def of(cls, card: ModelCard, gallery: Gallery) -> "Digests":
        """Return the digests of a model and a gallery as they are now."""
        calibration = card.calibration and card.calibration.model_dump(mode="json")
        completion = card.completion.model_dump(mode="json")
        identity = json.dumps([model_digest(card), card.map_shape, calibration, completion])
        model = hashlib.sha256(identity.encode()).hexdigest()
        return cls(model=model, gallery=gallery.digest, index=index_digest(gallery.folder))

    def differences(self, other: "Digests") -> list[str]:
        """Return which of them differ."""
        return [name for name in type(self).model_fields if getattr(self, name) != getattr(other, name)]


# What a job's folder says of the job: `job.json`.


class Record(Config):
    """A job as it was planned.

    Attributes:
        key: see `Job.key`.
        photos: how many.
        source: where they are from, as given.
        gallery, model: folders.
        digests: what was in them.
        history: what finished jobs below this folder answered was left out; see `plan.unanswered`.
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


@dataclass(frozen=True)
class Job:
    """A planned job. Small and picklable: it travels to workers, the data stays on disk.

    Attributes:
        key: digest of everything that decides its rows.
        out: where its results are.
        gallery: the gallery's folder itself: a link to it may be turned to another while the job runs.
        digests: what gallery and model were when the job was planned.
        photos: how many it answers for.
        ignored: files of a photo folder that no name ending makes a photo.
        notices: what the user should read of how the photos were listed: columns not used, links not followed.
        newcomers: photos added to the source since the job was first planned; they are not part of it.
    """

    key: str
    out: Path
    gallery: Path
    model: Path
    digests: Digests
    options: LocateOptions
    photos: int
    ignored: int
    newcomers: int = 0
    notices: tuple[str, ...] = ()

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

    def check_still_there(self) -> None:
        """Refuse to go on in a folder that is another job's by now.

        Raises:
            AenetError: its record is gone, or another's.
        """
        record = read_record(self.out)
        if record is None or record.key != self.key:
            raise AenetError(
                f"{self.out} is no longer this job's: it was removed, or another job replaced it with `overwrite`; "
                "give this one a folder of its own"
            )

    def check_unchanged(self, card: ModelCard, gallery: Gallery) -> None:
        """Refuse a model or a gallery that is not what the job was planned on.

        Args:
            card: of the model that was opened.
            gallery: the gallery that was opened.

        Raises:
            AenetError: one of them was exchanged.
        """
        now = Digests.of(card, gallery)
        for name in self.digests.differences(now):
            folder = self.model if name == "model" else self.gallery
            raise AenetError(
                f"the {name} in {folder} was exchanged while the job in {self.out} was under way: places of both "
                "would be mixed; put the old one back, or begin anew with `overwrite`"
            )
