"""Plan a localization job: check what it is given, list its photos, make its folder, or take up the one begun there."""

import hashlib
import json
import shutil
from pathlib import Path
from typing import get_args

import pandas as pd

from aenet.atomic import write_json, write_parquet
from aenet.card import ModelCard, read_card
from aenet.disk import writing
from aenet.errors import AenetError
from aenet.locks import hold
from aenet.serving.galleries.gallery import Gallery
from aenet.serving.jobs.digests import Digests
from aenet.serving.jobs.files import JOB, PHOTOS, SHARDS, SUCCESS
from aenet.serving.jobs.formats import Format
from aenet.serving.jobs.inputs import photos_of_job
from aenet.serving.jobs.job import Job
from aenet.serving.jobs.options import LocateOptions
from aenet.serving.jobs.record import Record, read_record
from aenet.serving.photos.listing import photos_digest
from aenet.serving.search.galleryindex import open_index
from aenet.terminal import need_room

_TABLES = ("parquet", "csv", *get_args(Format))
_FORMAT = 3  # raise it when rows change for the same inputs


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
            or `out` holds another job (and not `overwrite`) or other files; or this process may have too little memory.
        CorruptArtifact: a digest of model, gallery or its index does not match.
    """
    need_room()
    options = options or LocateOptions()
    card = read_card(model)
    gallery = gallery.resolve()  # not the link: a refresh may turn it to another gallery while the job runs
    opened = Gallery.open(gallery, card)
    open_index(opened)  # its bytes are checked here
    _check(options, card, opened)
    digests = Digests.of(card, opened)
    table, newcomers = photos_of_job(photos, out, history, lambda listed: _key(digests, listed, options))
    key, ignored = _key(digests, table, options), int(table.attrs.get("ignored", 0))
    notices = tuple(table.attrs.get("notices", ()))
    job = Job(key, out, gallery, model, digests, options, len(table), ignored, newcomers, notices)
    with writing(out), hold(out / ".lock", f"output folder {out}"):
        if _prepare(job, str(photos)):
            write_parquet(out / PHOTOS, table)
            record = Record(
                key=key,
                photos=len(table),
                source=str(photos),
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
            f"{out} holds the results of another job ({differs}): give another folder, or --overwrite to replace them"
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
