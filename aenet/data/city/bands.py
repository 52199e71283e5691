"""Work on a raster that goes band by band, on as many cores as there are."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from aenet.cores import usable_cores

THREADS = 8  # no more: each holds the temporaries of its band


def in_bands(work: Callable[[int], None], rows: int, band: int) -> None:
    """Call `work` with the first row of each band of `band` rows; bands must not depend on each other.

    NumPy and OpenCV leave the interpreter lock while they work.
    """
    with ThreadPoolExecutor(min(THREADS, usable_cores())) as pool:
        for future in [pool.submit(work, top) for top in range(0, rows, band)]:
            future.result()
