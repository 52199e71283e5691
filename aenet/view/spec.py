"""Module 1 as configuration: how pixels become what each branch of the network is given.

The aerial view is a union. A member says where it samples a tile; what cuts it from a tile's file (`aenet.data.views`)
and what cuts it from a map (`aenet.serving.maps.polarcut`) ask it, so that both give the same pixels.
"""

from typing import Annotated, Any, Literal

import numpy as np
from jaxtyping import Float64
from pydantic import Field, model_validator

from aenet.io.errors import AenetError
from aenet.io.params import Config
from aenet.view import polar

Paint = Literal["edge", "view_mean", "network_mean"]
"""What stands where a photo shows nothing: its nearest column (and in a column its nearest row), the mean of what it
shows, or the colour that the network's normalisation makes zero."""

SidePx = Annotated[int, Field(ge=1, le=1 << 14)]
Metres = Annotated[float, Field(gt=0, le=1e6)]
Samples = tuple[Float64[np.ndarray, "h w"], Float64[np.ndarray, "h w"]]


class GroundView(Config):
    """How a panorama becomes the ground branch's input: some of its rows, resized, north in the centre column.

    Attributes:
        height, width: size in pixels.
        rows: rows [first, last) that are kept of a panorama of `panorama_size`; None keeps all.
        panorama_size: height and width in pixels of the panoramas that `rows` counts in; another resolution of the
            same shape keeps the same part.
    """

    height: SidePx
    width: SidePx
    # Not strict: what JSON has comes here as Python's lists, by way of `ViewSpec`.
    rows: tuple[int, int] | None = Field(default=None, strict=False)
    panorama_size: tuple[int, int] | None = Field(default=None, strict=False)

    @model_validator(mode="after")
    def _rows_fit(self) -> "GroundView":
        if (self.rows is None) != (self.panorama_size is None):
            raise ValueError("rows and panorama_size (height, width of the panorama they count in) go together")
        if self.rows is not None and self.panorama_size is not None:
            (first, last), (height, width) = self.rows, self.panorama_size
            if not (0 <= first < last <= height and width > 0):
                raise ValueError(f"rows {first}:{last} are no rows of a panorama of {height} x {width}")
        return self

    def azimuths(self) -> Float64[np.ndarray, "h w"]:
        """Return where each pixel lies around the horizon, in 0..1: South, West, North, East."""
        return _columns(self.height, self.width)


def _columns(height: int, width: int) -> Float64[np.ndarray, "h w"]:
    return np.tile(np.arange(width) / width, (height, 1))


class PolarView(Config):
    """The polar view of a tile (`aenet.view.polar`): its columns run around the horizon as a panorama's do.

    Attributes:
        height, width: size in pixels.
        tile_size_m: side of the tile on the ground, in metres.
    """

    transform: Literal["polar"] = "polar"
    height: SidePx
    width: SidePx
    tile_size_m: Metres

    @property
    def around_horizon(self) -> bool:
        """Whether a column of the view is an azimuth, so that maps of both branches can be turned as one."""
        return True

    def samples(self, tile_px: int) -> Samples:
        """Return the tile column and row, in pixels, that each pixel of the view samples."""
        return polar.sampling_maps(self.height, self.width, tile_px)

    def azimuths(self) -> Float64[np.ndarray, "h w"]:
        """Return where each pixel lies around the horizon, in 0..1: South, West, North, East as a view's columns."""
        return _columns(self.height, self.width)

    def averaged_px(self, tile_px: int) -> int:
        """Return the side, in pixels of the tile, of the square that each sample is the mean of."""
        return polar.averaged_px(tile_px, self.height)


class TileView(Config):
    """The square tile as it is, north up, resized: eight of the fourteen systems of the paper's Table 1 take it so.

    No column of it is an azimuth, so a heading is sought by turning the panorama, and a descriptor is compared whole.

    Attributes:
        height, width: size in pixels; the two are equal.
        tile_size_m: side of the tile on the ground, in metres.
    """

    transform: Literal["tile"]
    height: SidePx
    width: SidePx
    tile_size_m: Metres

    @model_validator(mode="after")
    def _square(self) -> "TileView":
        if self.height != self.width:
            raise ValueError(f"a tile is square: height {self.height} and width {self.width} must be equal")
        return self

    @property
    def around_horizon(self) -> bool:
        """Whether a column of the view is an azimuth."""
        return False

    def samples(self, tile_px: int) -> Samples:
        """Return the tile column and row, in pixels, that each pixel of the view samples: its middle."""
        at = (np.arange(self.width) + 0.5) * tile_px / self.width - 0.5
        map_x, map_y = np.meshgrid(at, at)
        return map_x, map_y

    def azimuths(self) -> Float64[np.ndarray, "h w"]:
        """Return where each pixel lies around the horizon, in 0..1: South, West, North, East as a view's columns."""
        at = np.arange(self.width) + 0.5 - self.width / 2
        east, south = np.meshgrid(at, at)
        return np.asarray(np.arctan2(-east, south) / (2 * np.pi) % 1)

    def averaged_px(self, tile_px: int) -> int:
        """Return the side, in pixels of the tile, of the square that each sample is the mean of: a pixel's own."""
        return max(1, round(tile_px / self.width))


AerialView = Annotated[PolarView | TileView, Field(discriminator="transform")]
_FLAT = {"height", "width", "ground_rows", "ground_size", "tile_size_m"}


class ViewSpec(Config):
    """How pixels become the network's two inputs, one view a branch."""

    ground: GroundView
    aerial: AerialView

    @model_validator(mode="before")
    @classmethod
    def _of_one_size(cls, value: Any) -> Any:
        """Read what earlier versions wrote: both views of one size, the aerial one polar."""
        if not isinstance(value, dict) or not value.keys() & _FLAT or value.keys() - _FLAT:
            return value
        size = {name: value[name] for name in ("height", "width") if name in value}
        kept = {"rows": value.get("ground_rows"), "panorama_size": value.get("ground_size")}
        metres = {"tile_size_m": value["tile_size_m"]} if "tile_size_m" in value else {}
        return {"ground": size | kept, "aerial": {"transform": "polar"} | size | metres}

    @classmethod
    def polar(
        cls,
        height: int,
        width: int,
        tile_size_m: float,
        rows: tuple[int, int] | None = None,
        panorama_size: tuple[int, int] | None = None,
    ) -> "ViewSpec":
        """Return the paper's views: a panorama and a polar view of one size."""
        ground = GroundView(height=height, width=width, rows=rows, panorama_size=panorama_size)
        return cls(ground=ground, aerial=PolarView(height=height, width=width, tile_size_m=tile_size_m))

    def of(self, view: str) -> GroundView | PolarView | TileView:
        """Return the view of a branch: `ground` or `aerial`."""
        return self.ground if view == "ground" else self.aerial

    @property
    def tile_size_m(self) -> float:
        """SidePx of the tile on the ground, in metres."""
        return self.aerial.tile_size_m

    def identity(self) -> dict[str, Any]:
        """Return what digests take of it: views of one size, polar, as every version has written them."""
        ground, aerial = self.ground, self.aerial
        if aerial.transform != "polar" or (ground.height, ground.width) != (aerial.height, aerial.width):
            return self.model_dump(mode="json")
        size = {"height": ground.height, "width": ground.width}
        kept = {"ground_rows": ground.rows, "ground_size": ground.panorama_size}
        listed = {name: None if value is None else list(value) for name, value in kept.items()}
        return size | listed | {"tile_size_m": aerial.tile_size_m}


def check_view(trained: ViewSpec, made: ViewSpec, name: str) -> None:
    """Refuse views (`name`, made as `made`) that were not made the way the model was trained.

    Raises:
        AenetError: the two differ.
    """
    if trained != made:
        was, wanted = _flat(made), _flat(trained)
        other = sorted(key for key in was.keys() | wanted.keys() if was.get(key) != wanted.get(key))
        said = [", ".join(f"{key}={one.get(key)}" for key in other) for one in (was, wanted)]
        raise AenetError(f"{name} was made with {said[0]}, the model was trained on {said[1]}: repeat polar_transform")


def _flat(spec: ViewSpec) -> dict[str, object]:
    return {
        f"{view}.{key}": value for view in ("ground", "aerial") for key, value in spec.of(view).model_dump().items()
    }


Grey = Annotated[int, Field(ge=0, le=255)]


class Unseen(Config):
    """How the part of a view that a photo does not show is painted, in training, evaluation and service alike.

    Attributes:
        rule: see `Paint`; `view.fieldofview.paint` does it.
        colour: of the rule `network_mean`, RGB 0..255.
    """

    rule: Paint
    colour: tuple[Grey, Grey, Grey]


# ImageNet's mean colour: what earlier versions painted whatever the network, and what people are shown in reports.
NEUTRAL = Unseen(rule="network_mean", colour=(124, 116, 104))
