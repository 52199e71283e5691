"""Plan a localization job: check what it is given, list its photos, make its folder, or take up the one begun there."""

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import pandas as pd

from aenet.data.card import ModelCard, read_card
from aenet.io.atomic import write_json, write_parquet
from aenet.io.diskspace import writing
from aenet.io.errors import AenetError, CorruptArtifact
from aenet.io.locks import hold
from aenet.io.plainfiles import no_parquet
from aenet.io.terminal import need_room
from aenet.serving.galleries.gallery import Gallery
from aenet.serving.jobs.job import JOB, PHOTOS, SHARDS, SUCCESS, Digests, Job, LocateOptions, Record, read_record
from aenet.serving.jobs.outputs import Format
from aenet.serving.photos.listing import Source, list_photos, newcomers, photos_digest, source_name
from aenet.serving.search.galleryindex import open_index

# Which photos earlier jobs have answered already, so that every night places the new ones only.

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


# Which photos a job answers for: those recorded when it was begun, else those there now that are new.


def photos_of_job(
    source: Source, out: Path, history: Path | None, key: Callable[[pd.DataFrame], str]
) -> tuple[pd.DataFrame, int]:
    """Return the photo list, an unfinished job's own where it is this one, and how many photos came since.

    Args:
        source: see `photos.list_photos`.
        out: the job's output folder.
        history: see `plan.unanswered`; None leaves nothing out.
        key: gives the job's key for a photo list.

    Raises:
        NothingNew: `history` leaves no photo.
        AenetError: see `photos.list_photos`.
    """
    begun = _begun(out, source_name(source))
    if begun is not None and key(begun[1]) == begun[0]:
        return begun[1], came_since(source, history, begun[1])
    listed = list_photos(source)
    if history is None:
        return listed, 0
    left = unanswered(listed, history)
    if left.empty:
        raise NothingNew(
            f"nothing new: all {len(listed):,} photos of {source_name(source)} have been answered below {history}"
        )
    return left, 0


def came_since(source: Source, history: Path | None, photos: pd.DataFrame) -> int:
    """Return how many photos were added to the source since a job's list was made of it.

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


_TABLES = ("parquet", "csv", *get_args(Format))
_FORMAT = 3  # raise it when rows change for the same inputs


def plan(
    photos: Source,
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
        photos: file, folder, glob pattern, table or tuple of paths: see `photos.list_photos`.
        gallery: a finished gallery.
        model: folder of the exported model that embedded the gallery.
        out: output folder, made if absent.
        options: see LocateOptions.
        history: leave out what finished jobs below this folder have answered: see `plan.unanswered`.

    Raises:
        NothingNew: `history` leaves no photo.
        AenetError: no photos, unusable gallery or model, a gallery of another model, options the model cannot meet,
            or `out` holds another job (and not `overwrite`) or other files; or this process may have too little memory.
        CorruptArtifact: a digest of model, gallery or its index does not match.
    """
    need_room()
    options = options or LocateOptions()
    card = read_card(model)
    gallery = gallery.resolve()  # not the link: a refresh may turn it to another gallery while the job runs
    opened = Gallery.open(gallery, card)
    open_index(opened)  # its bytes are checked here
    check_options(options, card, opened)
    digests = Digests.of(card, opened)
    table, newcomers = photos_of_job(photos, out, history, lambda listed: _key(digests, listed, options))
    key, ignored = _key(digests, table, options), int(table.attrs.get("ignored", 0))
    notices = tuple(table.attrs.get("notices", ()))
    job = Job(key, out, gallery, model, digests, options, len(table), ignored, newcomers, notices)
    with writing(out), hold(out / ".lock", f"output folder {out}"):
        if _prepare(job, source_name(photos)):
            write_parquet(out / PHOTOS, table)
            record = Record(
                key=key,
                photos=len(table),
                source=source_name(photos),
                gallery=str(gallery),
                model=str(model),
                digests=digests,
                ignored=ignored,
                options=options,
                history=None if history is None else str(history),
                notices=notices,
            )
            # Last: without it there is no plan, and it is made again.
            write_json(out / JOB, record.model_dump(mode="json"))
    return job


def _key(digests: Digests, photos: pd.DataFrame, options: LocateOptions) -> str:
    """Return the digest of everything that decides a job's rows."""
    identity = [_FORMAT, digests.model_dump(mode="json"), photos_digest(photos), options.identity()]
    return hashlib.sha256(json.dumps(identity).encode()).hexdigest()


def check_options(options: LocateOptions, card: ModelCard, gallery: Gallery) -> None:
    """Refuse options that would leave columns empty which the user counts on."""
    for name, wanted in (("`min_confidence`", options.min_confidence is not None), ("`refine`", options.refine)):
        if wanted and card.calibration is None:
            raise AenetError(
                f"{name} needs confidences, and the model has no calibration: export it again with the export_onnx "
                "stage, which fits one on the validation split"
            )
        if wanted and options.heading != "north" and card.calibration and card.calibration.unknown is None:
            raise AenetError(
                f"{name} needs confidences, and the model's calibration does not cover photos of unknown heading: "
                "export it again, or give `heading` north"
            )
    if options.refine and gallery.manifest.spacing_m is None:
        raise AenetError(f"`refine` needs a grid, and the tiles of {gallery.folder} have positions of their own")


def _prepare(job: Job, source: str) -> bool:
    """Return True if the job is new in its folder; clear what may be cleared. `source` is where its photos are from.

    Raises:
        AenetError: the folder holds something that is not this job's, or another run is at work on what is to go.
    """
    out, record = job.out, job.out / JOB
    content = [path.name for path in out.iterdir() if path.name not in (".lock", PHOTOS)]
    if not record.exists():
        if visible := [name for name in content if not name.startswith(".")]:
            raise AenetError(f"{out} holds other files ({visible[0]}, ...): give an empty folder for the results")
        return True
    found = read_record(out)
    if found is not None and found.key == job.key:
        return False
    if not job.options.overwrite:
        differs = "; ".join(_differences(found, job, source)) if found else "its job.json is damaged or outdated"
        raise AenetError(
            f"{out} holds the results of another job ({differs}): give another folder, or `overwrite` to replace them"
        )
    for lock in sorted((out / SHARDS).glob(".*.lock")):
        with hold(lock, f"shard {int(lock.stem[1:])} of {out}"):  # refused while somebody computes it
            pass
    for name in (SUCCESS, *(f"places.{kind}" for kind in _TABLES), "report.html", "summary.json"):
        (out / name).unlink(missing_ok=True)
    shutil.rmtree(out / SHARDS, ignore_errors=True)
    record.unlink()  # last: while it stands, what a killed run left is known to be a job's
    return True


def _differences(found: Record, job: Job, source: str) -> list[str]:
    """Say what another job in the folder was given, where this one is given something else."""
    was, now = found.options.identity(), job.options.identity()
    said = [f"{name} was {was[name]}, is {now[name]}" for name in now if was[name] != now[name]]
    others = found.digests.differences(job.digests)
    said += [f"its {name} was another" for name in others if name != "gallery"]
    if "gallery" in others:
        there = ", still there: name it to finish that job" if Path(found.gallery).exists() else ""
        said.append(f"its gallery was another ({found.gallery}{there if Path(found.gallery) != job.gallery else ''})")
    if found.source != source:
        said.append(f"its photos were {found.source}")
    return said or ["its photos were others"]
