"""When a panorama was taken: season, weather, sun, camera. Never the orthophoto's summer noon."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float32

from aenet.town.aerial import CROWNS, SUNS, Sun, crown_palette
from aenet.town.layers import Surface
from aenet.town.noise import Rng
from aenet.town.plants import Species

_AUTUMN = dict(CROWNS) | {
    Species.ROUND: ((150, 62, 34), (214, 160, 58)), Species.OAK: ((112, 82, 42), (164, 126, 62)),
    Species.POPLAR: ((170, 146, 52), (216, 192, 84)), Species.SHRUB: ((122, 78, 48), (140, 122, 66)),
}  # fmt: skip
_SPRING = dict(CROWNS) | {
    Species.ROUND: ((98, 128, 52), (158, 178, 84)), Species.OAK: ((100, 116, 58), (142, 156, 82)),
    Species.POPLAR: ((120, 148, 66), (166, 184, 98)), Species.SHRUB: ((170, 132, 140), (206, 190, 160)),
}  # fmt: skip
_WINTER = dict(CROWNS) | {
    Species.ROUND: ((84, 72, 62), (116, 100, 86)), Species.OAK: ((78, 66, 54), (112, 94, 76)),
    Species.POPLAR: ((96, 84, 70), (126, 112, 94)), Species.SHRUB: ((80, 76, 56), (110, 100, 76)),
}  # fmt: skip
_CROWNS_BY_SEASON = tuple(crown_palette(c) for c in (_SPRING, CROWNS, _AUTUMN, _WINTER))
# What grass and crops turn into, and how far, in the same order of seasons.
_GREEN = np.array([[96, 132, 62], [138, 142, 78], [118, 116, 66], [112, 108, 82]], np.float32)
_GREEN_SHARE = np.array([0.35, 0.30, 0.45, 0.7], np.float32)
_FIELD = np.array([[104, 128, 66], [196, 172, 104], [122, 98, 74], [112, 96, 78]], np.float32)


class Moment(NamedTuple):
    """One draw of everything that changes between two visits to the same place."""

    sun: Sun
    shadow: int  # which shadow layer; 0 is never used, -1 is an overcast sky without shadows
    cloud: float  # 0 clear to 1 overcast
    crowns: Float32[np.ndarray, "256 3"]
    turned: Float32[np.ndarray, "k 3"]  # colour a kind of ground turns to in this season
    share: Float32[np.ndarray, " k"]  # and how far it turns
    zenith: Float32[np.ndarray, "3"]
    horizon: Float32[np.ndarray, "3"]
    haze_m: float
    ambient: Float32[np.ndarray, "3"]
    direct: Float32[np.ndarray, "3"]
    gain: Float32[np.ndarray, "3"]  # exposure and white balance
    contrast: float
    saturation: float


def draw_moment(rng: Rng) -> Moment:
    """A random season, hour and sky."""
    season = int(rng.choice(4, p=[0.25, 0.3, 0.3, 0.15]))
    overcast = rng.random() < 0.3
    shadow = -1 if overcast else int(rng.integers(1, len(SUNS)))
    sun = SUNS[shadow if shadow > 0 else 3]
    low = float(np.clip((34 - sun.elevation) / 18, 0, 1)) * (not overcast)
    cloud = float(rng.uniform(0.75, 1.0) if overcast else rng.uniform(0.0, 0.6))
    zenith = np.array([74, 122, 186]) * (1 - cloud * 0.5) + np.array([150, 156, 164]) * cloud * 0.5
    horizon = np.array([190, 208, 222]) * (1 - low * 0.5) + np.array([238, 206, 160]) * low * 0.5
    warm = np.array([1.0, 0.95 - 0.08 * low, 0.88 - 0.26 * low])
    ambient = np.array([0.60, 0.63, 0.68]) if not overcast else np.array([0.92, 0.94, 0.97])
    direct = np.zeros(3) if overcast else warm * rng.uniform(0.50, 0.66)
    share = np.zeros(len(Surface))
    turned = np.zeros((len(Surface), 3))
    wild = float(np.clip(rng.normal(1, 0.25), 0.3, 1.5))
    share[[Surface.GRASS, Surface.HEDGE]] = min(0.9, _GREEN_SHARE[season] * wild), 0.5 * _GREEN_SHARE[season]
    share[Surface.CROP] = min(0.92, 0.7 * wild)
    turned[[Surface.GRASS, Surface.HEDGE]], turned[Surface.CROP] = _GREEN[season], _FIELD[season] + rng.normal(0, 10, 3)
    gain = np.exp(rng.normal(-0.03, 0.1)) * np.exp(rng.normal(0, 0.045, 3))
    haze_m = float(np.exp(rng.uniform(np.log(250), np.log(1600))))
    return Moment(
        sun=sun,
        shadow=shadow,
        cloud=cloud,
        crowns=_CROWNS_BY_SEASON[season],
        turned=_f32(turned),
        share=_f32(share),
        zenith=_f32(zenith),
        horizon=_f32(horizon),
        haze_m=haze_m,
        ambient=_f32(ambient),
        direct=_f32(direct),
        gain=_f32(gain),
        contrast=float(np.clip(rng.normal(1.06, 0.09), 0.8, 1.3)),
        saturation=float(np.clip(rng.normal(1.0, 0.16), 0.5, 1.4)),
    )


def _f32(values: np.ndarray) -> Float32[np.ndarray, "..."]:
    return np.asarray(values, np.float32)
