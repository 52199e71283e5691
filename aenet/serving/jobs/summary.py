"""What a localization job came to."""

from dataclasses import dataclass
from pathlib import Path

NEAR_M = 25.0  # the field's usual radius for a useful answer
SUMMARY = "summary.json"


@dataclass(frozen=True)
class Summary:
    """What a job came to. Errors are in metres over the answers (`ok`) whose true position is known (`known`).

    Attributes:
        abstain: photos whose confidence was below the precision asked for.
        floor_median_m, floor_p95_m: what the gallery's spacing alone costs; None for a data set's own tiles.
        within_25m: share of `known` placed within 25 m.
        floor_max_m: the floor's reach: no place is farther than this from its nearest tile.
        within_floor: share of `known` placed within the floor's reach, as a perfect ranking places all.
        photos_per_second: over the time in which shards were computed, decoding and search included.
        ignored: files of a photo folder that no name ending makes a photo.
        notices: what the user should read of how the photos were listed, and of known places far from the map.
        newcomers: photos that came to the source after the job was planned, up to when it was finished.
        median_heading_error_deg: of matched headings whose truth a table tells, at places not known to be wrong.
        calibration: (photos, mean confidence, share within 25 m) by confidence, abstentions among them.
        calibration_error: mean distance of expected and observed share: see `selfknowledge.calibration_error`.
        risk_coverage: (share answered, share of those beyond 25 m), the surest answered first.
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
    newcomers: int = 0
    median_heading_error_deg: float | None = None
    calibration: tuple[tuple[int, float, float], ...] = ()
    risk_coverage: tuple[tuple[float, float], ...] = ()
    floor_max_m: float | None = None
    within_floor: float | None = None
    calibration_error: float | None = None
    notices: tuple[str, ...] = ()

    @property
    def exit_code(self) -> int:
        """0 if every photo has a place, 3 if some are errors."""
        return 3 if self.errors else 0

    def lines(self) -> list[str]:
        """Say it in a few lines of text."""
        left = f", {self.errors:,} could not be (reasons in places.csv)" if self.errors else ""
        abstained = f", abstained from {self.abstain:,}" if self.abstain else ""
        lines = [f"placed {self.ok:,} of {self.photos:,} photos{abstained}{left}"]
        if self.newcomers:
            photos = "photo" if self.newcomers == 1 else "photos"
            lines.append(f"{self.newcomers:,} {photos} came after the job was planned: place them in another job")
        if self.ignored:
            lines.append(f"left aside {self.ignored:,} files that are not photos by name")
        lines += self.notices
        if self.median_error_m is not None and self.within_25m is not None:
            floor = f"floor {self.floor_median_m:.1f} m" if self.floor_median_m else "no floor: tiles centred on photos"
            lines.append(
                f"median error {self.median_error_m:.1f} m ({floor}), {100 * self.within_25m:.1f} % within "
                f"{NEAR_M:g} m, over {self.known:,} photos with a known place"
            )
        if self.within_floor is not None and self.floor_max_m is not None:
            lines.append(f"{100 * self.within_floor:.1f} % within the floor's reach, {self.floor_max_m:.1f} m")
        if self.median_heading_error_deg is not None:
            lines.append(f"median error of the headings found {self.median_heading_error_deg:.1f} degrees")
        if self.calibration and self.calibration_error is not None:
            bins = ", ".join(f"{expected:.0%} {observed:.0%}" for _, expected, observed in self.calibration)
            lines.append(f"expected and observed within {NEAR_M:g} m: {bins}; off by {self.calibration_error:.1%}")
        if self.risk_coverage:
            curve = ", ".join(f"{risk:.0%} of {coverage:.0%}" for coverage, risk in self.risk_coverage)
            lines.append(f"wrong among the surest: {curve}")
        lines.append(f"ran on {self.runs_on}, {self.photos_per_second:,.1f} photos a second")
        lines.append(f"report: {self.out / 'report.html'}")
        return lines
