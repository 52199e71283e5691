"""How photos are to be placed: what a user may choose of a job."""

from typing import Any

from pydantic import Field

from aenet.params import Config
from aenet.serving.jobs.formats import Format
from aenet.serving.photos.reading import Heading, PhotoOptions
from aenet.serving.search.prior import Prior
from aenet.serving.sessions.cudaoptions import CudaOptions
from aenet.serving.sessions.runtime import Precision, Provider

_ROWS = ("top_k", "shard_size", "photos", "heading", "phases", "prior", "precision", "refine", "network_precision")


class LocateOptions(Config):
    """How to place photos.

    Attributes:
        top_k: tiles listed for every photo.
        photos: how to take photos that are no whole panoramas.
        heading: `auto` takes each photo's own heading and matches photos without one over all azimuths; `unknown`
            matches all of them; `north` takes photos without one to be north-centred.
        phases: turns within one column of the model's map at which a photo of unknown heading is described. Each
            costs an inference; a model without a map is asked at four times as many.
        prior: what is known of where the photos were taken: only tiles it allows are searched.
        precision: abstain where the confidence is below this; needs a calibrated model.
        refine: answer with the mean of the tiles around the best one, weighted by their probability, instead of the
            best one's centre; needs a calibrated model and a gallery on a grid.
        formats: written beside the table; may be asked for again of a finished job.
        shard_size: photos a shard; what a killed run may lose.
        batch_size: views per inference.
        provider: `auto`, `cuda` or `cpu`.
        network_precision: of the network's arithmetic: `auto` is fp16 on CUDA where the model has it, else fp32.
        cuda: how to run on CUDA.
        threads: CPU threads of one inference and of the search; 0 means one per usable core.
        decoders: threads that decode photos; 0 means one per usable core.
        thumbnails: photos shown in the report with their tiles.
        overwrite: replace another job's results in the output folder.
    """

    top_k: int = Field(default=5, ge=1, le=100)
    photos: PhotoOptions = PhotoOptions()
    heading: Heading = "auto"
    phases: int = Field(default=4, ge=1, le=16)
    prior: Prior | None = None
    precision: float | None = Field(default=None, gt=0, le=1)
    refine: bool = False
    formats: tuple[Format, ...] = ()
    shard_size: int = Field(default=256, ge=1)
    batch_size: int = Field(default=32, ge=1)
    provider: Provider = "auto"
    network_precision: Precision = "auto"
    cuda: CudaOptions = CudaOptions()
    threads: int = Field(default=0, ge=0)
    decoders: int = Field(default=0, ge=0)
    thumbnails: int = Field(default=200, ge=0)
    overwrite: bool = False

    def identity(self) -> dict[str, Any]:
        """Return what of it decides a job's rows; where and how fast they are computed does not."""
        return self.model_dump(mode="json", include=set(_ROWS)) | {"cuda.tf32": self.cuda.tf32}
