"""`aenet.locate`: photos to places."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal, TypedDict, Unpack

import pyarrow as pa

from aenet.doors.gallerydoor import Gallery, as_gallery
from aenet.doors.given import PathLike, Photos, one_path, photo_source
from aenet.doors.modeldoor import Model, as_model
from aenet.serving.jobs.executors import Executor
from aenet.serving.jobs.job import LocateOptions
from aenet.serving.jobs.outputs import SCHEMA, read_places, with_points
from aenet.serving.jobs.photopipeline import place_photos
from aenet.serving.jobs.plan import check_options
from aenet.serving.jobs.summary import Summary
from aenet.serving.localize import locate as run_job
from aenet.serving.maps.quantities import Number
from aenet.serving.photos.listing import list_photos
from aenet.serving.vocabulary import locate_options

if TYPE_CHECKING:
    from geopandas import GeoDataFrame


class LocateWords(TypedDict, total=False):
    """What may be said of how photos are located, beside the photos themselves; the flags of `aenet locate`.

    Attributes:
        heading: `auto`: as photos say, else sought over all azimuths; `north`: as they say, else north; `unknown`:
            sought for all of them.
        fov: horizontal field of view of photos that do not say theirs, degrees.
        vertical_fov: vertical field of the panoramas the model was trained on, degrees.
        near, within: latitude and longitude, and the radius around them (`"5km"`) to which the search is confined.
        within_box: west, south, east, north in degrees, to which it is confined.
        own_gps: radius around each photo's own position, to which it is confined.
        min_confidence: answer `abstain` where the confidence is lower.
        refine: place between the tiles, by their probability.
        top_k: tiles listed for every photo.
        phases: turns at which a photo of unknown heading is described, each an inference.
        also: further formats of the table: `geojson`, `gpkg`, `kml`.
        shard_size: photos a file: what a killed job may lose.
        decoders: threads that decode photos; 0: one per core.
        thumbnails: photos that the report shows.
        overwrite: replace another job's results in `out`.
    """

    heading: Literal["auto", "north", "unknown"]
    fov: Number | None
    vertical_fov: Number | None
    near: str | Sequence[Number] | None
    within: str | Number | None
    within_box: str | Sequence[Number] | None
    own_gps: str | Number | None
    min_confidence: float | None
    refine: bool
    top_k: int
    phases: int
    also: str | Sequence[str]
    shard_size: int
    decoders: int
    thumbnails: int
    overwrite: bool


def locate(
    photos: Photos,
    gallery: Gallery | PathLike,
    model: Model | PathLike,
    out: PathLike | None = None,
    *,
    on_progress: Callable[[int, int], None] | None = None,
    **words: Unpack[LocateWords],
) -> "GeoDataFrame":
    """Place photos on the map of a gallery.

    Args:
        photos: a photo, a folder, a pattern, a list or a table (CSV, Parquet), or a list of paths of photos.
        gallery: from `Gallery.build` or `Gallery.open`, or its folder.
        model: from `load_model`, or its folder: the one that embedded the gallery.
        out: a folder: then this is a job that goes on where a killed one stopped, and leaves places.parquet, places.csv
            and report.html there. None keeps nothing on disk and loses everything when it is stopped.
        on_progress: called with (photos done, photos in all).
        words: see LocateWords.

    Returns:
        A GeoDataFrame (geopandas is part of the base install) with one row a photo, in order: `status` is `ok`,
        `abstain` or `error`, then with a `reason`; see `aenet.serving.jobs.outputs.SCHEMA` for all columns. What is to
        be said of the list of photos stands in `attrs["notices"]`.

    Raises:
        AenetError: no photos, an unusable gallery or model, a gallery of another model, or words that are none.
    """
    loaded, opened = as_model(model), as_gallery(gallery)
    if out is not None:
        summary = locate_job(photos, opened, loaded, out, on_progress=on_progress, **words)
        places = with_points(read_places(summary.out / "places.parquet"))
        places.attrs["notices"] = list(summary.notices)
        return places
    options = _options(loaded, words)
    stored, index = opened.searched_by(loaded)
    check_options(options, loaded.card, stored)
    listed = list_photos(photo_source(photos))
    report = (lambda done: on_progress(done, len(listed))) if on_progress else None
    rows = place_photos(listed, loaded.ground.network, stored, index, options, report)
    places = with_points(pa.Table.from_pylist(rows, schema=SCHEMA).to_pandas())
    places.attrs["notices"] = list(listed.attrs.get("notices", ()))
    return places


def locate_job(
    photos: Photos,
    gallery: Gallery | PathLike,
    model: Model | PathLike,
    out: PathLike,
    *,
    on_progress: Callable[[int, int], None] | None = None,
    executor: Executor = "local",
    address: str | None = None,
    workers: int = 0,
    new_since: PathLike | None = None,
    **words: Unpack[LocateWords],
) -> Summary:
    """Place photos in a job that can be resumed, and return what came of it; other arguments as `locate`.

    Args:
        executor, address, workers: where shards are computed, see `aenet.serving.jobs.executors.run_shards`.
        new_since: leave out photos that finished jobs below this folder answered.

    Raises:
        NothingNew: `new_since` leaves no photo.
    """
    loaded, opened = as_model(model), as_gallery(gallery)
    history = None if new_since is None else one_path(new_since, "new_since")
    return run_job(
        photo_source(photos), opened.folder, loaded.folder, one_path(out, "out"), _options(loaded, words), on_progress,
        executor, address, workers, history,
    )  # fmt: skip


def _options(model: Model, words: LocateWords) -> LocateOptions:
    return locate_options({**words, **model.session.model_dump(mode="json")}, "locate")
