"""Errors meant for people: one sentence that says what, where, and the way out."""


class AenetError(ValueError):
    """Bad input or a missing prerequisite; shown without a traceback, exit status 2."""


class CorruptArtifact(AenetError):
    """A finished artefact whose bytes no longer match its manifest."""


class UnreadableImage(AenetError):
    """A file that is not an image we accept."""
