"""The command `aenet locate`: thin, and lazy so that `--help` answers at once."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from aenet.commands.flags import (
    RESULTS,
    BatchSize,
    CudaGraphs,
    Device,
    GpuMemory,
    ModelOption,
    Overwrite,
    PrecisionOption,
    ProviderOption,
    TensorRt,
    Tf32,
    Threads,
    running,
    say,
)

_PARTIAL = 3
_PHOTOS, _SEARCH, _WHERE = "What is known of the photos", "Where to search", "On which machines"

_Photos = Annotated[
    str,
    typer.Argument(help="A photo, a folder, a pattern in quotes, a list of paths, or a table with a column `path`."),
]
_Heading = Annotated[
    Literal["auto", "north", "unknown"],
    typer.Option(
        help="Which way photos look. auto: as they say, else sought; north: as they say, else north; unknown: sought.",
        rich_help_panel=_PHOTOS,
    ),
]
Fov = Annotated[
    float | None,
    typer.Option(
        min=3, max=360, metavar="DEGREES", help="Horizontal field of view of photos that do not say theirs; "
        "360 for panoramas.", rich_help_panel=_PHOTOS,
    ),
]  # fmt: skip
VerticalFov = Annotated[
    float | None,
    typer.Option(
        min=1, max=180, metavar="DEGREES", help="Vertical field of view of the panoramas the model was trained on.",
        rich_help_panel=_PHOTOS,
    ),
]  # fmt: skip
_Near = Annotated[
    str | None,
    typer.Option(metavar="LAT,LON", help="Only around this place; see --within.", rich_help_panel=_SEARCH),
]
Within = Annotated[
    str | None,
    typer.Option(metavar="LENGTH", help="Radius around --near, as 500m; 5km if not said.", rich_help_panel=_SEARCH),
]
_WithinBox = Annotated[
    str | None,
    typer.Option(
        metavar="W,S,E,N", help="Only inside this box: west, south, east, north in degrees.", rich_help_panel=_SEARCH
    ),
]
_OwnGps = Annotated[
    str | None,
    typer.Option(
        metavar="LENGTH", help="Only so far, as 500m, from the position that each photo itself says.",
        rich_help_panel=_SEARCH,
    ),
]  # fmt: skip
MinConfidence = Annotated[
    float | None,
    typer.Option(
        min=0.01, max=1.0, metavar="0..1", help="Answer `abstain` where the confidence is lower, e.g. 0.9.",
        rich_help_panel=RESULTS,
    ),
]  # fmt: skip
Refine = Annotated[
    bool,
    typer.Option("--refine", help="Place between the centres of tiles, by their probability.", rich_help_panel=RESULTS),
]
TopK = Annotated[
    int, typer.Option(min=1, max=100, help="How many of the best tiles to list for a photo.", rich_help_panel=RESULTS)
]
Also = Annotated[
    str,
    typer.Option(
        metavar="FORMATS", help="Write the table in these, too: geojson, gpkg, kml (comma between).",
        rich_help_panel=RESULTS,
    ),
]  # fmt: skip
NewSince = Annotated[
    Path | None,
    typer.Option(
        metavar="FOLDER", help="Leave out photos that jobs below this folder have answered.", rich_help_panel=_PHOTOS
    ),
]
_ShardSize = Annotated[
    int, typer.Option(min=1, help="Photos a file: what a killed run may have to repeat.", rich_help_panel=RESULTS)
]
Phases = Annotated[
    int,
    typer.Option(
        min=1, max=16, help="Turns at which a photo of unknown heading is looked at: more are slower and finer.",
        rich_help_panel=_SEARCH,
    ),
]  # fmt: skip
_Executor = Annotated[
    Literal["local", "dask", "ray"], typer.Option(help="Here, or on a cluster of Dask or Ray.", rich_help_panel=_WHERE)
]
Address = Annotated[
    str | None, typer.Option(help="Where the cluster listens; else one is started here.", rich_help_panel=_WHERE)
]
Workers = Annotated[
    int, typer.Option(min=0, help="Of a cluster started here; 0: one per core.", rich_help_panel=_WHERE)
]


def locate(
    photos: _Photos,
    gallery: Annotated[Path, typer.Option(help="Folder of the gallery to search, from `aenet gallery build`.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the results: a table, a CSV, a report.")],
    model: ModelOption = Path("models/onnx"),
    heading: _Heading = "auto",
    fov: Fov = None,
    vertical_fov: VerticalFov = None,
    new_since: NewSince = None,
    near: _Near = None,
    within: Within = None,
    within_box: _WithinBox = None,
    own_gps: _OwnGps = None,
    phases: Phases = 4,
    min_confidence: MinConfidence = None,
    refine: Refine = False,
    top_k: TopK = 5,
    also: Also = "",
    shard_size: _ShardSize = 256,
    overwrite: Overwrite = False,
    provider: ProviderOption = "auto",
    precision: PrecisionOption = "auto",
    threads: Threads = 0,
    batch_size: BatchSize = 32,
    device: Device = 0,
    gpu_memory: GpuMemory = None,
    tf32: Tf32 = False,
    cuda_graphs: CudaGraphs = False,
    tensorrt: TensorRt = False,
    executor: _Executor = "local",
    address: Address = None,
    workers: Workers = 0,
) -> None:
    """Place photos on a map. A run that was killed goes on where it stopped.

    Writes places.parquet, places.csv and report.html. Exit status 3 if some photos could not be read.
    """
    from aenet.doors.locatedoor import locate_job
    from aenet.doors.modeldoor import load_model
    from aenet.progress import progress
    from aenet.serving.localize import NothingNew

    run = running(provider, precision, threads, batch_size, device, gpu_memory, tf32, cuda_graphs, tensorrt)
    loaded = load_model(model, **run)
    try:
        with progress("locate") as report:
            summary = locate_job(
                photos, gallery, loaded, out, on_progress=report, executor=executor, address=address, workers=workers,
                new_since=new_since, heading=heading, fov=fov, vertical_fov=vertical_fov, near=near, within=within,
                within_box=within_box, own_gps=own_gps, phases=phases, min_confidence=min_confidence, refine=refine,
                top_k=top_k, also=also, shard_size=shard_size, overwrite=overwrite,
            )  # fmt: skip
    except NothingNew as nothing:
        say([str(nothing)])
        return
    say(summary.lines())
    raise typer.Exit(_PARTIAL if summary.errors else 0)
