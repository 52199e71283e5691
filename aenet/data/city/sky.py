"""Skies: a gradient, a sun's glow, and clouds on a plane overhead."""

import cv2
import numpy as np
from jaxtyping import Float32

from aenet.data.city.moment import Moment
from aenet.data.city.noise import Rng


def paint_sky(
    rng: Rng,
    moment: Moment,
    azimuth: Float32[np.ndarray, " w"],
    elevation: Float32[np.ndarray, " e"],
    noise: Float32[np.ndarray, "s s"],
) -> Float32[np.ndarray, "e w 3"]:
    """Sky colours for rows of elevation (radians, all above the horizon) and columns of azimuth."""
    up = np.clip(elevation / np.float32(np.pi / 3), 0, 1)[:, None, None] ** np.float32(0.6)
    sky = moment.horizon * (1 - up) + moment.zenith * up
    sky = np.repeat(sky, len(azimuth), axis=1).astype(np.float32)
    if moment.shadow > 0:
        sun_az, sun_el = (np.float32(np.deg2rad(v)) for v in moment.sun)
        along = np.cos(elevation)[:, None] * np.cos(sun_el) * np.cos(azimuth - sun_az)
        cosine = np.clip(np.sin(elevation)[:, None] * np.sin(sun_el) + along, 0, 1)
        glow = 0.30 * cosine**8 + 0.28 * cosine**90 + 2.0 * cosine**4000
        sky += glow[..., None] * np.array([255, 240, 205], np.float32)
    reach = np.float32(26.0) / np.tan(elevation + np.float32(0.07))[:, None]
    dx, dy = rng.uniform(0, noise.shape[0], 2).astype(np.float32)
    size = np.float32(noise.shape[0])
    u = (reach * np.sin(azimuth)[None] + dx) % size
    v = (reach * np.cos(azimuth)[None] + dy) % size
    field = cv2.remap(noise, u.astype(np.float32), v.astype(np.float32), cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
    cover = np.clip((field + np.float32(3.2 * moment.cloud - 1.9)) * np.float32(0.9), 0, 1)
    cover *= np.clip(elevation / np.float32(0.12), 0.25, 1)[:, None]
    white = np.float32(246 - 62 * max(0.0, moment.cloud - 0.5)) - np.clip(field, -1, 2) * np.float32(22)
    sky += cover[..., None] * (white[..., None] - sky)
    return np.clip(sky, 0, 255)
