"""What a job was planned on, by content: a gallery or a model that is exchanged in mid-job must not go unnoticed."""

import hashlib
import json

from aenet.card import ModelCard
from aenet.params import Config
from aenet.serving.galleries.gallery import Gallery
from aenet.serving.search.galleryindex import index_digest
from aenet.serving.views import model_digest


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
