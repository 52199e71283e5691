"""Which model a job means: a folder, a version in the model registry, or the one that embedded the gallery."""

from pathlib import Path
from typing import NamedTuple

from aenet.card import read_card
from aenet.serving.views import model_digest
from aenet.tracking.events import project_root
from flows.refreshed import read_record

CHAMPION = "models:/aenet@champion"
OF_THE_GALLERY = "gallery"
_REGISTRY = "models:/"


class Model(NamedTuple):
    """A model that is there, and what is known of where it comes from.

    Attributes:
        folder: the exported model.
        uri: `models:/NAME/VERSION` if the registry gave it, else the folder.
        digest: `aenet.serving.views.model_digest`, what galleries are bound to.
        training: key of the training that made it.
        run: id of the MLflow run that registered it; None for a folder.
        note: what the user should read of how it was found.
    """

    folder: Path
    uri: str
    digest: str
    training: str
    run: str | None = None
    note: str = ""


def find_model(given: str, gallery: Path | None = None) -> Model:
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
        given = read_record(gallery).model
    if given.startswith(_REGISTRY):
        return _from_registry(given)
    card = read_card(Path(given))
    return Model(Path(given), given, model_digest(card), card.fingerprint)


def _from_registry(given: str) -> Model:
    # It imports MLflow, which takes seconds: only where it is needed.
    from aenet.tracking.fetch import fetch

    fetched = fetch(given, project_root() / ".aenet" / "models")
    card = read_card(fetched.folder)
    return Model(fetched.folder, fetched.uri, model_digest(card), card.fingerprint, fetched.run_id, fetched.note)
