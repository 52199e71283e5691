"""Magnetic declination from the World Magnetic Model: what turns a compass heading into a true one.

The field is minus the gradient of V(r, theta, lambda) = a sum (a/r)^(n+1) (g cos m lambda + h sin m lambda) P(n, m)
with Schmidt semi-normalised P (Chulliat et al., The US/UK World Magnetic Model for 2025-2030, equations 4 to 19).
Good to about half a degree away from the magnetic poles, which is better than any phone's compass.
"""

import math
from functools import lru_cache

import numpy as np
from jaxtyping import Float64

from aenet.io.errors import AenetError

# Gauss coefficients of the World Magnetic Model, 2010 to 2030.
#
# Source: NOAA National Centers for Environmental Information and British Geological Survey, files WMM.COF of the
# releases 2010, 2015v2, 2020 and 2025 (https://www.ncei.noaa.gov/products/world-magnetic-model); in the public domain.
# For every degree n = 1..12 and order m = 0..n four numbers stand in a row: g and h in nanotesla at the epoch, and
# their change in nanotesla a year.

COEFFICIENTS: dict[float, str] = {
    2010.0: """
-29496.6 0 11.6 0 -1586.3 4944.4 16.5 -25.9 -2396.6 0 -12.1 0 3026.1 -2707.7 -4.4 -22.5 1668.6 -576.1 1.9 -11.8 1340.1
0 0.4 0 -2326.2 -160.2 -4.1 7.3 1231.9 251.9 -2.9 -3.9 634 -536.6 -7.7 -2.6 912.6 0 -1.8 0 808.9 286.4 2.3 1.1 166.7
-211.2 -8.7 2.7 -357.1 164.3 4.6 3.9 89.4 -309.1 -2.1 -0.8 -230.9 0 -1 0 357.2 44.6 0.6 0.4 200.3 188.9 -1.8 1.8 -141.1
-118.2 -1 1.2 -163 0 0.9 4 -7.8 100.9 1 -0.6 72.8 0 -0.2 0 68.6 -20.8 -0.2 -0.2 76 44.1 -0.1 -2.1 -141.4 61.5 2 -0.4
-22.8 -66.3 -1.7 -0.6 13.2 3.1 -0.3 0.5 -77.9 55 1.7 0.9 80.5 0 0.1 0 -75.1 -57.9 -0.1 0.7 -4.7 -21.1 -0.6 0.3 45.3 6.5
1.3 -0.1 13.9 24.9 0.4 -0.1 10.4 7 0.3 -0.8 1.7 -27.7 -0.7 -0.3 4.9 -3.3 0.6 0.3 24.4 0 -0.1 0 8.1 11 0.1 -0.1 -14.5
-20 -0.6 0.2 -5.6 11.9 0.2 0.4 -19.3 -17.4 -0.2 0.4 11.5 16.7 0.3 0.1 10.9 7 0.3 -0.1 -14.1 -10.8 -0.6 0.4 -3.7 1.7 0.2
0.3 5.4 0 0 0 9.4 -20.5 -0.1 0 3.4 11.5 0 -0.2 -5.2 12.8 0.3 0 3.1 -7.2 -0.4 -0.1 -12.4 -7.4 -0.3 0.1 -0.7 8 0.1 0 8.4
2.1 -0.1 -0.2 -8.5 -6.1 -0.4 0.3 -10.1 7 -0.2 0.2 -2 0 0 0 -6.3 2.8 0 0.1 0.9 -0.1 -0.1 -0.1 -1.1 4.7 0.2 0 -0.2 4.4 0
-0.1 2.5 -7.2 -0.1 -0.1 -0.3 -1 -0.2 0 2.2 -3.9 0 -0.1 3.1 -2 -0.1 -0.2 -1 -2 -0.2 0 -2.8 -8.3 -0.2 -0.1 3 0 0 0 -1.5
0.2 0 0 -2.1 1.7 0 0.1 1.7 -0.6 0.1 0 -0.5 -1.8 0 0.1 0.5 0.9 0 0 -0.8 -0.4 0 0.1 0.4 -2.5 0 0 1.8 -1.3 0 -0.1 0.1 -2.1
0 -0.1 0.7 -1.9 -0.1 0 3.8 -1.8 0 -0.1 -2.2 0 0 0 -0.2 -0.9 0 0 0.3 0.3 0.1 0 1 2.1 0.1 0 -0.6 -2.5 -0.1 0 0.9 0.5 0 0
-0.1 0.6 0 0.1 0.5 0 0 0 -0.4 0.1 0 0 -0.4 0.3 0 0 0.2 -0.9 0 0 -0.8 -0.2 -0.1 0 0 0.9 0.1 0
    """,
    2015.0: """
-29438.2 0 7 0 -1493.5 4796.3 9 -30.2 -2444.5 0 -11 0 3014.7 -2842.4 -6.2 -29.6 1679 -638.8 0.3 -17.3 1351.8 0 2.4 0
-2351.6 -113.7 -5.7 6.5 1223.6 246.5 2 -0.8 582.3 -537.4 -11 -2 907.5 0 -0.8 0 814.8 283.3 -0.9 -0.4 117.8 -188.6 -6.5
5.8 -335.6 180.7 5.2 3.8 69.7 -330 -4 -3.5 -232.9 0 -0.3 0 360.1 46.9 0.6 0.2 191.7 196.5 -0.8 2.3 -141.3 -119.9 0.1 0
-157.2 16 1.2 3.3 7.7 100.6 1.4 -0.6 69.4 0 -0.8 0 67.7 -20.1 -0.5 0.3 72.3 32.8 -0.1 -1.5 -129.1 59.1 1.6 -1.2 -28.4
-67.1 -1.6 0.4 13.6 8.1 0 0.2 -70.3 61.9 1.2 1.3 81.7 0 -0.3 0 -75.9 -54.3 -0.2 0.6 -7.1 -19.5 -0.3 0.5 52.2 6 0.9 -0.8
15 24.5 0.1 -0.2 9.1 3.5 -0.6 -1.1 -3 -27.7 -0.9 0.1 5.9 -2.9 0.7 0.2 24.2 0 -0.1 0 8.9 10.1 0.2 -0.4 -16.9 -18.3 -0.2
0.6 -3.1 13.3 0.5 -0.1 -20.7 -14.5 -0.1 0.6 13.3 16.2 0.4 -0.2 11.6 6 0.4 -0.5 -16.3 -9.2 -0.1 0.5 -2.1 2.4 0.4 0.1 5.5
0 -0.1 0 8.8 -21.8 -0.1 -0.3 3 10.7 0 0.1 -3.2 11.8 0.4 -0.4 0.6 -6.8 -0.4 0.3 -13.2 -6.9 0 0.1 -0.1 7.9 0.3 0 8.7 1 0
-0.1 -9.1 -3.9 0 0.5 -10.4 8.5 -0.3 0.2 -2 0 0 0 -6.1 3.3 0 0 0.2 -0.4 -0.1 0.1 0.6 4.6 0.2 -0.2 -0.5 4.4 -0.1 0.1 1.8
-7.9 -0.2 -0.1 -0.7 -0.6 0 0.1 2.2 -4.2 -0.1 0 2.4 -2.9 -0.2 -0.1 -1.8 -1.1 -0.1 0.2 -3.6 -8.8 0 0 3 0 0 0 -1.4 0 0 0
-2.3 2.1 0 0.1 2.1 -0.6 0 0 -0.8 -1.1 0 0.1 0.6 0.7 -0.1 0 -0.7 -0.2 0 0 0.1 -2.1 0 0.1 1.7 -1.5 0 0 -0.2 -2.6 -0.1
-0.1 0.4 -2 0 0 3.5 -2.3 -0.1 -0.1 -2 0 0 0 -0.1 -1 0 0 0.5 0.3 0 0 1.2 1.8 0 -0.1 -0.9 -2.2 -0.1 0.1 0.9 0.3 0 0 0.1
0.7 0 0 0.6 -0.1 0 0 -0.4 0.3 0 0 -0.5 0.2 0 0 0.2 -0.9 0 0 -0.9 -0.2 0 0 0 0.8 -0.1 -0.1
    """,
    2020.0: """
-29404.5 0 6.7 0 -1450.7 4652.9 7.7 -25.1 -2500 0 -11.5 0 2982 -2991.6 -7.1 -30.2 1676.8 -734.8 -2.2 -23.9 1363.9 0 2.8
0 -2381 -82.2 -6.2 5.7 1236.2 241.8 3.4 -1 525.7 -542.9 -12.2 1.1 903.1 0 -1.1 0 809.4 282 -1.6 0.2 86.2 -158.4 -6 6.9
-309.4 199.8 5.4 3.7 47.9 -350.1 -5.5 -5.6 -234.4 0 -0.3 0 363.1 47.7 0.6 0.1 187.8 208.4 -0.7 2.5 -140.7 -121.3 0.1
-0.9 -151.2 32.2 1.2 3 13.7 99.1 1 0.5 65.9 0 -0.6 0 65.6 -19.1 -0.4 0.1 73 25 0.5 -1.8 -121.5 52.7 1.4 -1.4 -36.2
-64.4 -1.4 0.9 13.5 9 0 0.1 -64.7 68.1 0.8 1 80.6 0 -0.1 0 -76.8 -51.4 -0.3 0.5 -8.3 -16.8 -0.1 0.6 56.5 2.3 0.7 -0.7
15.8 23.5 0.2 -0.2 6.4 -2.2 -0.5 -1.2 -7.2 -27.2 -0.8 0.2 9.8 -1.9 1 0.3 23.6 0 -0.1 0 9.8 8.4 0.1 -0.3 -17.5 -15.3
-0.1 0.7 -0.4 12.8 0.5 -0.2 -21.1 -11.8 -0.1 0.5 15.3 14.9 0.4 -0.3 13.7 3.6 0.5 -0.5 -16.5 -6.9 0 0.4 -0.3 2.8 0.4 0.1
5 0 -0.1 0 8.2 -23.3 -0.2 -0.3 2.9 11.1 0 0.2 -1.4 9.8 0.4 -0.4 -1.1 -5.1 -0.3 0.4 -13.3 -6.2 0 0.1 1.1 7.8 0.3 0 8.9
0.4 0 -0.2 -9.3 -1.5 0 0.5 -11.9 9.7 -0.4 0.2 -1.9 0 0 0 -6.2 3.4 0 0 -0.1 -0.2 0 0.1 1.7 3.5 0.2 -0.3 -0.9 4.8 -0.1
0.1 0.6 -8.6 -0.2 -0.2 -0.9 -0.1 0 0.1 1.9 -4.2 -0.1 0 1.4 -3.4 -0.2 -0.1 -2.4 -0.1 -0.1 0.2 -3.9 -8.8 0 0 3 0 0 0 -1.4
0 -0.1 0 -2.5 2.6 0 0.1 2.4 -0.5 0 0 -0.9 -0.4 0 0.2 0.3 0.6 -0.1 0 -0.7 -0.2 0 0 -0.1 -1.7 0 0.1 1.4 -1.6 -0.1 0 -0.6
-3 -0.1 -0.1 0.2 -2 -0.1 0 3.1 -2.6 -0.1 0 -2 0 0 0 -0.1 -1.2 0 0 0.5 0.5 0 0 1.3 1.3 0 -0.1 -1.2 -1.8 0 0.1 0.7 0.1 0
0 0.3 0.7 0 0 0.5 -0.1 0 0 -0.2 0.6 0 0.1 -0.5 0.2 0 0 0.1 -0.9 0 0 -1.1 0 0 0 -0.3 0.5 -0.1 -0.1
    """,
    2025.0: """
-29351.8 0 12 0 -1410.8 4545.4 9.7 -21.5 -2556.6 0 -11.6 0 2951.1 -3133.6 -5.2 -27.7 1649.3 -815.1 -8 -12.1 1361 0 -1.3
0 -2404.1 -56.6 -4.2 4 1243.8 237.5 0.4 -0.3 453.6 -549.5 -15.6 -4.1 895 0 -1.6 0 799.5 278.6 -2.4 -1.1 55.7 -133.9 -6
4.1 -281.1 212 5.6 1.6 12.1 -375.6 -7 -4.4 -233.2 0 0.6 0 368.9 45.4 1.4 -0.5 187.2 220.2 0 2.2 -138.7 -122.9 0.6 0.4
-142 43 2.2 1.7 20.9 106.1 0.9 1.9 64.4 0 -0.2 0 63.8 -18.4 -0.4 0.3 76.9 16.8 0.9 -1.6 -115.7 48.8 1.2 -0.4 -40.9
-59.8 -0.9 0.9 14.9 10.9 0.3 0.7 -60.7 72.7 0.9 0.9 79.5 0 0 0 -77 -48.9 -0.1 0.6 -8.8 -14.4 -0.1 0.5 59.3 -1 0.5 -0.8
15.8 23.4 -0.1 0 2.5 -7.4 -0.8 -1 -11.1 -25.1 -0.8 0.6 14.2 -2.3 0.8 -0.2 23.2 0 -0.1 0 10.8 7.1 0.2 -0.2 -17.5 -12.6 0
0.5 2 11.4 0.5 -0.4 -21.7 -9.7 -0.1 0.4 16.9 12.7 0.3 -0.5 15 0.7 0.2 -0.6 -16.8 -5.2 0 0.3 0.9 3.9 0.2 0.2 4.6 0 0 0
7.8 -24.8 -0.1 -0.3 3 12.2 0.1 0.3 -0.2 8.3 0.3 -0.3 -2.5 -3.3 -0.3 0.3 -13.1 -5.2 0 0.2 2.4 7.2 0.3 -0.1 8.6 -0.6 -0.1
-0.2 -8.7 0.8 0.1 0.4 -12.9 10 -0.1 0.1 -1.3 0 0.1 0 -6.4 3.3 0 0 0.2 0 0.1 0 2 2.4 0.1 -0.2 -1 5.3 0 0.1 -0.6 -9.1
-0.3 -0.1 -0.9 0.4 0 0.1 1.5 -4.2 -0.1 0 0.9 -3.8 -0.1 -0.1 -2.7 0.9 0 0.2 -3.9 -9.1 0 0 2.9 0 0 0 -1.5 0 0 0 -2.5 2.9
0 0.1 2.4 -0.6 0 0 -0.6 0.2 0 0.1 -0.1 0.5 -0.1 0 -0.6 -0.3 0 0 -0.1 -1.2 0 0.1 1.1 -1.7 -0.1 0 -1 -2.9 -0.1 0 -0.2
-1.8 -0.1 0 2.6 -2.3 -0.1 0 -2 0 0 0 -0.2 -1.3 0 0 0.3 0.7 0 0 1.2 1 0 -0.1 -1.3 -1.4 0 0.1 0.6 0 0 0 0.6 0.6 0.1 0 0.5
-0.1 0 0 -0.1 0.8 0 0 -0.4 0.1 0 0 -0.2 -1 -0.1 0 -1.3 0.1 0 0 -0.7 0.2 -0.1 -0.1
    """,
}


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
