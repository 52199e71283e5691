"""Module 1 as configuration: how pixels become what the network is given."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from aenet.io.errors import AenetError
from aenet.io.params import Config

Paint = Literal["edge", "view_mean", "network_mean"]
"""What stands where a photo shows nothing: its nearest column (and in a column its nearest row), the mean of what it
shows, or the colour that the network's normalisation makes zero."""


Side = Annotated[int, Field(ge=1, le=1 << 14)]


class ViewSpec(Config):
    """How pixels become the network's input.

    Attributes:
        height, width: size of both views in pixels.
        ground_rows: rows [first, last) kept of a panorama of `ground_size` before resizing; None keeps all.
        ground_size: height and width in pixels of the panoramas that `ground_rows` counts in; another resolution
            of the same shape keeps the same part.
        tile_size_m: side of the satellite tile on the ground, in metres.
    """

    height: Side
    width: Side
    ground_rows: tuple[int, int] | None = None
    ground_size: tuple[int, int] | None = None
    tile_size_m: float = Field(gt=0, le=1e6)

    @model_validator(mode="after")
    def _rows_fit(self) -> "ViewSpec":
        if (self.ground_rows is None) != (self.ground_size is None):
            raise ValueError("ground_rows and ground_size (height, width of the panorama they count in) go together")
        if self.ground_rows is not None and self.ground_size is not None:
            (first, last), (height, width) = self.ground_rows, self.ground_size
            if not (0 <= first < last <= height and width > 0):
                raise ValueError(f"ground_rows {first}:{last} are no rows of a panorama of {height} x {width}")
        return self


def check_view(trained: ViewSpec, made: ViewSpec, name: str) -> None:
    """Refuse views (`name`, made as `made`) that were not made the way the model was trained.

    Raises:
        AenetError: the two differ.
    """
    if trained != made:
        raise AenetError(f"{name} was made as {made}, the model was trained on {trained}: repeat polar_transform")


Grey = Annotated[int, Field(ge=0, le=255)]


class Unseen(Config):
    """How the part of a view that a photo does not show is painted, in training, evaluation and service alike.

    Attributes:
        rule: see `Paint`; `retrieval.fieldofview.paint` does it.
        colour: of the rule `network_mean`, RGB 0..255.
    """

    rule: Paint
    colour: tuple[Grey, Grey, Grey]


# ImageNet's mean colour: what earlier versions painted whatever the network, and what people are shown in reports.
NEUTRAL = Unseen(rule="network_mean", colour=(124, 116, 104))
