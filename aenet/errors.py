"""Errors meant for people: one sentence that says what, where, and the way out."""

from aenet.redaction import without_secrets


class AenetError(ValueError):
    """Bad input or a missing prerequisite; shown without a traceback, exit status 2.

    Secrets are taken out of the sentence when it is made: it ends in terminals, logs, journals and databases.
    """

    def __init__(self, *said: object) -> None:
        super().__init__(*(without_secrets(str(part)) for part in said))


class CorruptArtifact(AenetError):
    """A finished artefact whose bytes no longer match its manifest."""


class TooSmallMachine(AenetError):
    """No input is at fault: this machine lacks memory, handles or threads; at another time it may have them."""


class UnreadableImage(AenetError):
    """A file that is not an image we accept."""
