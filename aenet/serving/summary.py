"""What a localization job came to."""

from dataclasses import dataclass
from pathlib import Path

NEAR_M = 25.0  # the field's usual radius for a useful answer
SUMMARY = "summary.json"


@dataclass(frozen=True)
class Summary:
    """What a job came to. Errors are in metres over the placed photos whose true position is known (`known`).

    Attributes:
        floor_median_m, floor_p95_m: what the gallery's spacing alone costs; None for a data set's own tiles.
        within_25m: share of `known` placed within 25 m.
        photos_per_second: over the time in which shards were computed, decoding and search included.
        ignored: files of a photo folder that no name ending makes a photo.
    """

    out: Path
    photos: int
    ok: int
    abstain: int
    errors: int
    known: int
    median_error_m: float | None
    p95_error_m: float | None
    within_25m: float | None
    floor_median_m: float | None
    floor_p95_m: float | None
    runs_on: str
    photos_per_second: float
    ignored: int

    @property
    def exit_code(self) -> int:
        """0 if every photo has a place, 3 if some are errors."""
        return 3 if self.errors else 0
