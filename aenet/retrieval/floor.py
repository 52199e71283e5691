"""What a learned descriptor has to beat: colour histograms, ranked and scored like any descriptor."""

from aenet.data.histogram import colour_histograms
from aenet.data.views import Views
from aenet.retrieval.evaluation import Evaluation, score

SECTORS = 16  # slices of azimuth: a colour histogram that knows which way it looks


def colour_floor(views: Views, sectors: int = 1, positives_within_m: float | None = None) -> Evaluation:
    """Score the colour histograms of a split's views, cut into so many slices of azimuth; see `evaluation.score`."""
    ground, aerial = colour_histograms(views.ground, sectors), colour_histograms(views.aerial, sectors)
    return score(ground, aerial, views, positives_within_m)
