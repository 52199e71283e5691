"""The columns of a places table."""

import pyarrow as pa

SCHEMA = pa.schema(
    [
        ("photo", pa.string()),
        ("status", pa.string()),
        ("latitude", pa.float64()),
        ("longitude", pa.float64()),
        ("score", pa.float32()),
        ("margin", pa.float32()),
        ("tiles", pa.list_(pa.string())),
        ("scores", pa.list_(pa.float32())),
        ("reason", pa.string()),
        ("true_latitude", pa.float64()),
        ("true_longitude", pa.float64()),
        ("error_m", pa.float64()),
        ("heading_deg", pa.float64()),
        ("heading_from", pa.string()),
        ("confidence", pa.float64()),
        ("radius_m", pa.float64()),
        ("spread_m", pa.float64()),
        ("notes", pa.string()),
        ("photo_sha256", pa.string()),
    ]
)
"""The columns of a places table.

    photo           name in the photo list
    status          `ok`; `error` (then `reason` says why and the place is null); or `abstain`: the confidence is below
                    the precision asked for, and the place is the best guess all the same
    latitude, longitude   WGS84 degrees of the best tile's centre, or near it where a refined place was asked for
    score           cosine similarity of photo and best tile, in [-1, 1]
    margin          score minus that of the best tile of another place, that is one farther from the best tile than
                    the gallery's spacing (a data set's tiles: half a tile). Where all of the first 32 tiles are the
                    same place it is taken from the last of them and is a lower bound; null with a single tile.
    tiles, scores   the best tiles, best first
    true_latitude, true_longitude   where it is known to be taken: the table's columns, else EXIF GPS; never used
                    for the search
    error_m         geodesic metres from the truth
    heading_deg     true azimuth of the photo's middle, 0 to 360
    heading_from    where it is from: `photo`, `table`, `matched` (the azimuth at which it fits the best tile best), or
                    `assumed north`
    confidence      probability that the photo was taken within 25 m of the place, if it was taken in the area that
                    was searched; this and the next two are null where the model has no calibration, and notes
                    say so
    radius_m        metres around the place that hold 90 % of the probability, the ground between tiles and the tiles
                    that are not listed among it
    spread_m        root mean square distance in metres of the listed tiles from the place, by their probability
    notes           what the photo says of itself that was corrected or left aside, and why; why there is no radius
    photo_sha256    digest of the file's bytes as read
"""
