"""Which model a job means, and galleries that are replaced while they are in use."""

import os
import shutil
from pathlib import Path
from typing import NamedTuple

from aenet.data.card import model_digest, read_card
from aenet.io.atomic import write_json
from aenet.io.errors import AenetError
from aenet.io.params import Config
from aenet.serving.galleries.manifest import MANIFEST
from aenet.tracking.events import project_root

# Galleries that are replaced while they are in use: each version a folder of its own, and a link to the present one.
#
# gallery -> gallery-0123456789ab     what jobs are given; switched in one step once a version is finished
# gallery-0123456789ab/               a version, named after what it is made of
# gallery-0123456789ab.json           when and of what it was made

_DIGITS = 12


class GalleryRecord(Config):
    """Where a version of a gallery comes from.

    Attributes:
        key: its manifest's key.
        source: what it was built from, as given.
        model: what embedded it: `models:/NAME/VERSION` or a folder.
        built: time in UTC, ISO 8601.
    """

    key: str
    source: str
    model: str
    built: str


def version_folder(link: Path, key: str) -> Path:
    """Return where the version with that key is, or will be."""
    return link.with_name(f"{link.name}-{key[:_DIGITS]}")


def current(link: Path) -> Path | None:
    """Return the version the link shows, None if there is no link yet.

    Raises:
        AenetError: a folder or a file stands in the link's place.
    """
    if link.is_symlink():
        return link.parent / link.readlink()
    if link.exists():
        raise AenetError(
            f"{link} is no link: versions stand beside it, so give a path that is free, or move it away first"
        )
    return None


def write_record(version: Path, record: GalleryRecord) -> None:
    """Write down where a version comes from."""
    write_json(_record(version), record.model_dump(mode="json"))


def read_gallery_record(gallery: Path) -> GalleryRecord:
    """Return where a gallery comes from; `gallery` is a link or a version.

    Raises:
        AenetError: it was not made by `flows.gallery`.
    """
    path = _record(gallery.resolve())
    try:
        return GalleryRecord.model_validate_json(path.read_bytes())
    except (OSError, ValueError) as error:
        raise AenetError(
            f"nobody wrote down which model embedded {gallery} ({path.name} is missing or damaged): name the model, "
            "or make the gallery with `python -m flows.gallery`"
        ) from error


def switch(link: Path, version: Path) -> None:
    """Let the link show `version`, in one step: whoever opens it finds the old version or the new one."""
    before = current(link)
    if before is not None and before.name != version.name and before.exists():
        os.utime(before)  # when it was retired: the order in which old versions are removed
    beside = link.with_name(f".{link.name}.{os.getpid()}.tmp")
    beside.unlink(missing_ok=True)
    beside.symlink_to(version.name)  # relative: the folder of both may be mounted elsewhere
    beside.replace(link)


def remove_old(link: Path, keep: int) -> list[Path]:
    """Remove all versions but the present one and the `keep` retired last; return what was removed.

    Unfinished versions of other inputs go at once.
    """
    present = current(link)
    digits = "[0-9a-f]" * _DIGITS
    versions = [path for path in link.parent.glob(f"{link.name}-{digits}") if path.is_dir() and path != present]
    finished = sorted((path for path in versions if (path / MANIFEST).exists()), key=_retired, reverse=True)
    removed = [*finished[keep:], *(path for path in versions if path not in finished)]
    for path in removed:
        (path / MANIFEST).unlink(missing_ok=True)  # first: half a gallery must not look like a whole one
        shutil.rmtree(path)
        _record(path).unlink(missing_ok=True)
    return removed


def _retired(version: Path) -> int:
    return version.stat().st_mtime_ns


def _record(version: Path) -> Path:
    return version.with_name(f"{version.name}.json")


CHAMPION = "models:/aenet@champion"
OF_THE_GALLERY = "gallery"
_REGISTRY = "models:/"


class FetchedModel(NamedTuple):
    """A model that is there, and what is known of where it comes from.

    Attributes:
        folder: the exported model.
        uri: `models:/NAME/VERSION` if the registry gave it, else the folder.
        digest: `aenet.data.card.model_digest`, what galleries are bound to.
        training: key of the training run that made it.
        run: id of the MLflow run that registered it; None for a folder.
        note: what the user should read of how it was found.
    """

    folder: Path
    uri: str
    digest: str
    training: str
    run: str | None = None
    note: str = ""


def find_model(given: str, gallery: Path | None = None) -> FetchedModel:
    """Return the model that `given` names, fetched from the registry if that is where it is.

    Args:
        given: a folder; `models:/NAME@ALIAS` or `models:/NAME/VERSION`; or `gallery`: the one that embedded `gallery`.
        gallery: a gallery that `flows.gallery` keeps up to date.

    Raises:
        AenetError: there is no such model, nobody wrote down which model embedded the gallery, or the registry does
            not answer and has not given the model before.
        CorruptArtifact: the model's files are not what was exported or registered.
    """
    if given == OF_THE_GALLERY and gallery is not None:
        given = read_gallery_record(gallery).model
    if given.startswith(_REGISTRY):
        return _from_registry(given)
    card = read_card(Path(given))
    return FetchedModel(Path(given), given, model_digest(card), card.fingerprint)


def _from_registry(given: str) -> FetchedModel:
    # It imports MLflow, which takes seconds: only where it is needed.
    from aenet.tracking.fetch import fetch

    fetched = fetch(given, project_root() / ".aenet" / "models")
    card = read_card(fetched.folder)
    return FetchedModel(fetched.folder, fetched.uri, model_digest(card), card.fingerprint, fetched.run_id, fetched.note)
