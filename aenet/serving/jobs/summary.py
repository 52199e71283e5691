"""The results of a localization job."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float

from aenet.data.distance import distance_m
from aenet.serving.search.prior import Box, Near, OwnGps

# How well confidences keep their word on photos whose true position is known.

_BINS = (0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0)
TENTHS = 10  # bins of the reliability diagram
_COVERAGES = (0.1, 0.25, 0.5, 0.75, 0.9, 1.0)

Bin = tuple[int, float, float]
"""Photos, their mean confidence, the share of them that was right."""


def calibration_bins(confidence: Float[np.ndarray, " n"], right: Bool[np.ndarray, " n"]) -> tuple[Bin, ...]:
    """Return expected and observed share of right answers, by confidence; groups without photos are left out."""
    group = np.clip(np.searchsorted(_BINS, confidence, side="right") - 1, 0, len(_BINS) - 2)
    among = [group == number for number in range(len(_BINS) - 1)]
    return tuple((int(a.sum()), float(confidence[a].mean()), float(right[a].mean())) for a in among if a.any())


def calibration_error(confidence: Float[np.ndarray, " n"], right: Bool[np.ndarray, " n"]) -> float:
    """Return the expected calibration error: the mean distance of expected and observed share, in [0, 1].

    Over `TENTHS` bins of equal width by their counts (Naeini et al. 2015, AAAI, 2901-2907); n is above 0.
    """
    number = np.minimum((confidence * TENTHS).astype(int), TENTHS - 1)
    among = [number == index for index in range(TENTHS)]
    off = [a.sum() * abs(confidence[a].mean() - right[a].mean()) for a in among if a.any()]
    return float(sum(off) / len(confidence))


def risk_coverage(
    confidence: Float[np.ndarray, " n"], right: Bool[np.ndarray, " n"]
) -> tuple[tuple[float, float], ...]:
    """Return (share answered, share of those wrong) if only the surest are answered (El-Yaniv and Wiener 2010)."""
    wrong = ~right[np.argsort(-confidence, kind="stable")]
    counts = [max(1, round(share * len(wrong))) for share in _COVERAGES]
    return tuple((count / len(wrong), float(wrong[:count].mean())) for count in dict.fromkeys(counts))


NEAR_M = 25.0  # the field's usual radius for a useful answer
SUMMARY = "summary.json"


@dataclass(frozen=True)
class Summary:
    """The results of a job. Errors are in metres over the answers (`ok`) whose true position is known (`known`).

    Attributes:
        abstain: photos whose confidence was below the precision asked for.
        floor_median_m, floor_p95_m: what the gallery's spacing alone costs; None for a data set's own tiles.
        within_25m: share of `known` placed within 25 m.
        floor_max_m: the floor's reach: no place is farther than this from its nearest tile.
        within_floor: share of `known` placed within the floor's reach, as a perfect ranking places all.
        photos_per_second: over the time in which shards were computed, decoding and search included.
        ignored: files of a photo folder that no name ending makes a photo.
        notices: what the user should read of how the photos were listed, and of known places far from the map.
        newcomers: photos added to the source after the job was planned, up to when it was finished.
        median_heading_error_deg: of matched headings whose truth a table tells, at places not known to be wrong.
        calibration: (photos, mean confidence, share within 25 m) by confidence, abstentions among them.
        calibration_error: mean distance of expected and observed share: see `calibration_error`.
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


# Known places far from the map: then one of the two is wrong, latitude and longitude exchanged most likely.

FAR_M = 100_000.0  # no answer can be right there
Bounds = tuple[float, float, float, float]  # west, south, east, north in degrees; `west` above `east`: across 180


def far_lines(places: pd.DataFrame, prior: Near | Box | OwnGps | None, coverage: Bounds) -> tuple[str, ...]:
    """Say of known places and of the place searched around that they lie far from the map; nothing if they do not.

    Args:
        places: with true_latitude and true_longitude, missing where not known.
        prior: see `prior`.
        coverage: of the gallery.
    """
    known = places[["true_latitude", "true_longitude"]].dropna().to_numpy(np.float64)
    lines = [_of_photos(known, coverage)] if len(known) else []
    if isinstance(prior, Near):
        lines.append(_of_prior("`near`", prior.latitude, prior.longitude, coverage))
    elif isinstance(prior, Box):
        across = 360 if prior.west > prior.east else 0
        middle = (prior.west + prior.east + across) / 2
        lines.append(_of_prior("`within_box`", (prior.south + prior.north) / 2, (middle + 180) % 360 - 180, coverage))
    return tuple(line for line in lines if line)


def metres_away(places: Float[np.ndarray, "n 2"], coverage: Bounds) -> Float[np.ndarray, " n"]:
    """Return how far places (latitude, longitude in degrees) lie from a map's bounding box; 0 inside."""
    west, south, east, north = coverage
    latitude, longitude = places.T
    width = (east - west) % 360
    beyond = (longitude - west) % 360
    # Degrees east of the box, or west of it: whichever is less.
    edge = np.where(beyond <= width, longitude, np.where(beyond - width <= 360 - beyond, east, west))
    return distance_m(latitude, longitude, np.clip(latitude, south, north), edge)


def _of_photos(known: Float[np.ndarray, "n 2"], coverage: Bounds) -> str:
    away = metres_away(known, coverage)
    far = away > FAR_M
    if not far.any():
        return ""
    return (
        f"warning: {far.sum():,} of {len(known):,} known places of photos lie {away[far].min() / 1000:,.0f} km or more "
        f"from the map{_exchanged(known[far], coverage)}"
    )


def _of_prior(option: str, latitude: float, longitude: float, coverage: Bounds) -> str:
    place = np.array([[latitude, longitude]])
    away = float(metres_away(place, coverage)[0])
    if away <= FAR_M:
        return ""
    return f"warning: the place of {option} lies {away / 1000:,.0f} km from the map{_exchanged(place, coverage)}"


def _exchanged(far: Float[np.ndarray, "n 2"], coverage: Bounds) -> str:
    turned = far[np.abs(far[:, 1]) <= 90][:, ::-1]
    there: Bool[np.ndarray, " m"] = metres_away(turned, coverage) <= FAR_M
    if 2 * there.sum() > len(far):
        return ": with latitude and longitude exchanged they would lie on it or near"
    west, south, east, north = (f"{edge:.3f}" for edge in coverage)
    return f" ({west},{south},{east},{north}: west,south,east,north): one of the two is wrong"
