"""Land cover: the colours of parcels, crops in rows, patches and grain."""

import cv2
import numpy as np
from jaxtyping import UInt8

from aenet.data.city import palette
from aenet.data.city.bands import in_bands
from aenet.data.city.canvas import Canvas
from aenet.data.city.config import CityConfig
from aenet.data.city.layers import Kind
from aenet.data.city.noise import Rng, fractal_noise, wrapped_noise
from aenet.data.city.plan import Plan
from aenet.data.city.rasters import Rasters
from aenet.data.city.zones import Use

COVER = {
    Use.CENTRE: (palette.SETTS, Kind.PAVED),
    Use.URBAN: (palette.LAWN, Kind.GRASS),
    Use.SUBURB: (palette.LAWN, Kind.GRASS),
    Use.INDUSTRY: (palette.GRAVEL, Kind.PAVED),
    Use.PLAZA: (palette.SETTS, Kind.PAVED),
    Use.PARK: (palette.GRASS, Kind.GRASS),
    Use.MEADOW: (palette.MEADOW, Kind.GRASS),
    Use.FIELD: (palette.CROPS[0], Kind.CROP),
    Use.WOOD: (palette.SOIL * 0.8, Kind.BARE),
    Use.ORCHARD: (palette.GRASS, Kind.GRASS),
}
BAND = 256  # rows mottled at a time


def parcel_colours(rng: Rng, plan: Plan) -> tuple[UInt8[np.ndarray, "p 3"], UInt8[np.ndarray, " p"]]:
    """A colour and a `Kind` for each parcel, by its land use."""
    uses = plan.zones.parcel_use
    base = np.stack([COVER[Use(u)][0] for u in range(len(Use))])
    kind = np.array([COVER[Use(u)][1] for u in range(len(Use))], np.uint8)
    colour = base[uses] + rng.normal(0, 3, (len(uses), 3)) + rng.normal(0, 9, (len(uses), 1))
    fields = uses == Use.FIELD
    colour[fields] = palette.CROPS[rng.integers(len(palette.CROPS), size=int(fields.sum()))]
    centre = (uses == Use.CENTRE) & (rng.random(len(uses)) < 0.4)
    colour[centre] = palette.GRASS + rng.normal(0, 8, (int(centre.sum()), 3))
    kinds = kind[uses]
    kinds[centre] = Kind.GRASS
    return np.clip(colour, 0, 255).astype(np.uint8), kinds


def plough(rng: Rng, config: CityConfig, plan: Plan, canvas: Canvas) -> None:
    """Stripes of the second crop colour along each field's direction."""
    zones, res = plan.zones, config.resolution_m
    for block in np.flatnonzero((zones.block_use == Use.FIELD) & (zones.block_area > 400)):
        half = 1.5 * np.sqrt(zones.block_area[block]) + 40
        x0, y0 = zones.block_centre[block] - half
        r0, c0 = max(0, int(y0 / res)), max(0, int(x0 / res))
        r1, c1 = (
            min(n, int(v)) for n, v in zip(config.shape, ((y0 + 2 * half) / res, (x0 + 2 * half) / res), strict=True)
        )
        if r1 <= r0 or c1 <= c0:
            continue
        ys, xs = np.mgrid[r0:r1, c0:c1].astype(np.float32) * np.float32(res)
        inside = zones.parcel[
            ys.astype(int).clip(0, zones.parcel.shape[0] - 1), xs.astype(int).clip(0, zones.parcel.shape[1] - 1)
        ]
        angle = zones.parcel_angle[block * 8]
        across = ys * np.float32(np.cos(angle)) - xs * np.float32(np.sin(angle))
        for parcel in np.unique(inside[inside // 8 == block]):
            pitch, depth = rng.uniform(1.4, 3.6), rng.uniform(0.25, 1.0)
            row_colour = palette.CROP_ROWS[rng.integers(len(palette.CROP_ROWS))]
            mine = inside == parcel
            wave = (0.5 + 0.5 * np.sin(across[mine] * np.float32(2 * np.pi / pitch))) * np.float32(depth)
            patch = canvas.albedo[r0:r1, c0:c1]
            patch[mine] = (patch[mine] * (1 - wave[:, None]) + row_colour * wave[:, None]).astype(np.uint8)


def mottle(rng: Rng, albedo: UInt8[np.ndarray, "h w 3"], kind: UInt8[np.ndarray, "h w"], rasters: Rasters) -> None:
    """Patches and grain, strong in grass and bare soil, weak on paving."""
    rows, cols = kind.shape
    broad = rasters.new("broad", (rows, cols), np.float32)
    cv2.resize(fractal_noise(rng, rows // 8 + 1, cols // 8 + 1, (34.0, 11.0, 4.0)), (cols, rows), broad)
    grain = wrapped_noise(rng, 1024, (0.8, 2.2, 6.0))
    gain = np.array([0.10, 0.07, 0.05, 0.035, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0], np.float32)

    def paint(top: int) -> None:
        part = slice(top, min(rows, top + BAND))
        tile = np.tile(grain[np.arange(part.start, part.stop) % 1024], (1, cols // 1024 + 1))[:, :cols]
        factor = 1 + gain[kind[part]] * (broad[part] + 0.8 * tile)
        albedo[part] = np.clip(albedo[part] * factor[..., None], 0, 255).astype(np.uint8)

    in_bands(paint, rows, BAND)
    rasters.drop("broad")
