"""Errors meant for people: one sentence that says what, where, and the way out."""

from aenet.io.redaction import without_secrets

_LONGEST, _END = 2000, 500  # characters of a sentence, and of its end where it is cut: names in files have no limit


class AenetError(ValueError):
    """Bad input or a missing prerequisite; shown without a traceback, exit status 2.

    Secrets are taken out of the sentence when it is made: it ends in terminals, logs, journals and databases. A long
    one loses its middle.
    """

    def __init__(self, *said: object) -> None:
        super().__init__(*(_short(without_secrets(str(part))) for part in said))


def _short(said: str) -> str:
    return said if len(said) <= _LONGEST else f"{said[: _LONGEST - _END - 5]} ... {said[-_END:]}"


class CorruptArtifact(AenetError):
    """A finished artefact whose bytes no longer match its manifest."""


class TooSmallMachine(AenetError):
    """No input is at fault: this machine lacks memory, handles or threads; at another time it may have them."""


class UnreadableImage(AenetError):
    """A file that is not an image we accept."""
