"""Magnetic declination from the World Magnetic Model: what turns a compass heading into a true one.

The field is minus the gradient of V(r, theta, lambda) = a sum (a/r)^(n+1) (g cos m lambda + h sin m lambda) P(n, m)
with Schmidt semi-normalised P (Chulliat et al., The US/UK World Magnetic Model for 2025-2030, equations 4 to 19).
Good to about half a degree away from the magnetic poles, which is better than any phone's compass.
"""

import math
from functools import lru_cache

import numpy as np
from jaxtyping import Float64

from aenet.errors import AenetError
from aenet.serving.photos.wmmcoefficients import COEFFICIENTS

FIRST_YEAR, LAST_YEAR = 2010.0, 2030.0
DEGREE = 12
_SPAN = 5.0  # years an issue is valid
_REFERENCE_KM = 6371.2
_SEMI_MAJOR_KM, _FLATTENING = 6378.137, 1 / 298.257223563
_ECCENTRICITY2 = _FLATTENING * (2 - _FLATTENING)


def declination_deg(latitude: float, longitude: float, year: float, altitude_km: float = 0.0) -> float:
    """Return the angle from true to magnetic north, degrees, positive to the east.

    Args:
        latitude, longitude: WGS84 degrees.
        year: decimal year in [2010, 2030], the span of the issues this project carries.
        altitude_km: above the ellipsoid.

    Raises:
        AenetError: a year outside the span, or a position that is none.
    """
    if not FIRST_YEAR <= year <= LAST_YEAR:
        raise AenetError(f"magnetic declination is known from {FIRST_YEAR:.0f} to {LAST_YEAR:.0f}, not for {year:.1f}")
    if not (abs(latitude) <= 90 and abs(longitude) <= 360 and math.isfinite(altitude_km)):
        raise AenetError(f"latitude {latitude}, longitude {longitude} is no position")
    north, east = _horizontal_field(latitude, longitude, year, altitude_km)
    return math.degrees(math.atan2(east, north))


@lru_cache(maxsize=8)
def _coefficients(epoch: float) -> Float64[np.ndarray, "4 n m"]:
    """g, h and their yearly change; row n, column m."""
    rows, columns = np.tril_indices(DEGREE + 1)
    table = np.zeros((4, DEGREE + 1, DEGREE + 1))
    numbers = np.array(COEFFICIENTS[epoch].split(), dtype=np.float64).reshape(-1, 4)
    table[:, rows[1:], columns[1:]] = numbers.T  # [1:]: there is no monopole
    return table


def _horizontal_field(latitude: float, longitude: float, year: float, altitude_km: float) -> tuple[float, float]:
    """North and east component in nanotesla, in the geodetic frame."""
    epoch = min(max(e for e in COEFFICIENTS if e <= year), LAST_YEAR - _SPAN)
    g, h, g_change, h_change = _coefficients(epoch)
    g, h = g + (year - epoch) * g_change, h + (year - epoch) * h_change
    # At the poles east has no direction: a millimetre beside them it has the limit's.
    phi = math.radians(min(max(latitude, -89.99999999), 89.99999999))
    normal = _SEMI_MAJOR_KM / math.sqrt(1 - _ECCENTRICITY2 * math.sin(phi) ** 2)
    across = (normal + altitude_km) * math.cos(phi)
    up = (normal * (1 - _ECCENTRICITY2) + altitude_km) * math.sin(phi)
    radius, centric = math.hypot(across, up), math.atan2(up, across)
    legendre, slope = _schmidt(math.sin(centric), math.cos(centric))
    orders, degrees = np.arange(DEGREE + 1), np.arange(DEGREE + 1)[:, None]
    cosine, sine = (f(orders * math.radians(longitude)) for f in (np.cos, np.sin))
    weight = (_REFERENCE_KM / radius) ** (degrees + 2)
    potential = weight * (g * cosine + h * sine)
    north = -float((potential * slope).sum())
    east = float((weight * orders * (g * sine - h * cosine) * legendre).sum()) / math.cos(centric)
    down = -float(((degrees + 1) * potential * legendre).sum())
    tilt = centric - phi  # from the geocentric to the geodetic vertical
    return north * math.cos(tilt) - down * math.sin(tilt), east


def _schmidt(s: float, c: float) -> tuple[Float64[np.ndarray, "n m"], Float64[np.ndarray, "n m"]]:
    """Schmidt semi-normalised P(n, m)(sin latitude) and its derivative by the latitude, by the usual recursions."""
    p, dp = np.zeros((2, DEGREE + 1, DEGREE + 1))
    p[0, 0] = 1.0
    for n in range(1, DEGREE + 1):
        grow = 1.0 if n == 1 else math.sqrt(1 - 1 / (2 * n))
        p[n, n] = grow * c * p[n - 1, n - 1]
        dp[n, n] = grow * (c * dp[n - 1, n - 1] - s * p[n - 1, n - 1])
        for m in range(n):
            ahead, behind = (2 * n - 1), math.sqrt((n - 1) ** 2 - m**2)
            scale = math.sqrt(n**2 - m**2)
            before = (p[n - 2, m], dp[n - 2, m]) if n - 2 >= m else (0.0, 0.0)
            p[n, m] = (ahead * s * p[n - 1, m] - behind * before[0]) / scale
            dp[n, m] = (ahead * (s * dp[n - 1, m] + c * p[n - 1, m]) - behind * before[1]) / scale
    return p, dp
