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

from dataclasses import dataclass
from pathlib import Path

from aenet.card import ModelCard
from aenet.errors import AenetError
from aenet.serving.galleries.gallery import Gallery
from aenet.serving.jobs.digests import Digests
from aenet.serving.jobs.files import SHARDS
from aenet.serving.jobs.options import LocateOptions
from aenet.serving.jobs.record import read_record


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
        newcomers: photos that came to the source since the job was first planned; they are not part of it.
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
                f"{self.out} is no longer this job's: it was removed, or another job replaced it with --overwrite; "
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
                "would be mixed; put the old one back, or begin anew with --overwrite"
            )
