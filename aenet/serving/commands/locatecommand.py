"""The command `aenet locate`: thin, and lazy so that `--help` answers at once."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

import typer

from aenet.io.errors import AenetError
from aenet.serving.commands.flags import Device, Graphs, Memory, NetworkPrecision, TensorRt, Tf32, cuda_options
from aenet.serving.commands.gallerycommand import Model, Overwrite, Provider, Threads

if TYPE_CHECKING:
    from aenet.serving.jobs.outputs import Format
    from aenet.serving.search.prior import Box, Near, OwnGps

_PARTIAL = 3

Photos = Annotated[str, typer.Argument(help="photo, folder, glob, list, or CSV/Parquet with a `path` column")]
Heading = Annotated[
    Literal["auto", "north", "unknown"],
    typer.Option(help="auto: as photos say, else matched over all azimuths; north: else north; unknown: all matched"),
]
Fov = Annotated[
    float | None,
    typer.Option(min=3, max=360, help="horizontal field of view in degrees; a table's and GPano's count before it"),
]
VerticalFov = Annotated[
    float | None, typer.Option(min=1, max=180, help="vertical field in degrees of the panoramas the model was taught")
]
NearTo = Annotated[str | None, typer.Option("--near", help="LAT,LON: search around it only, see --within")]
Within = Annotated[str, typer.Option(help="radius of --near, e.g. 500m or 5km")]
BoxOf = Annotated[str | None, typer.Option("--box", help="WEST,SOUTH,EAST,NORTH in degrees: search there only")]
Own = Annotated[str | None, typer.Option("--own-gps", help="search within e.g. 500m of each photo's own position")]
Precision = Annotated[
    float | None, typer.Option(min=0.01, max=1.0, help="abstain where the confidence is below this, e.g. 0.9")
]
Also = Annotated[str, typer.Option(help="further formats of the table: geojson, gpkg, kml, joined by commas")]
NewSince = Annotated[
    Path | None, typer.Option("--new-since", help="leave out photos that finished jobs below this folder answered")
]


def locate(
    photos: Photos,
    gallery: Annotated[Path, typer.Option(help="folder of a gallery")],
    out: Annotated[Path, typer.Option("--out", "-o", help="folder of the results")],
    model: Model = Path("models/onnx"),
    heading: Heading = "auto",
    fov: Fov = None,
    vertical_fov: VerticalFov = None,
    near: NearTo = None,
    within: Within = "5km",
    box: BoxOf = None,
    own_gps: Own = None,
    precision: Precision = None,
    refine: Annotated[bool, typer.Option("--refine", help="place between the tiles, by their probability")] = False,
    also: Also = "",
    new_since: NewSince = None,
    top_k: Annotated[int, typer.Option(min=1, max=100, help="tiles listed for every photo")] = 5,
    phases: Annotated[int, typer.Option(min=1, max=16, help="inferences for a photo of unknown heading")] = 4,
    shard_size: Annotated[int, typer.Option(min=1, help="photos a shard: what a killed run may lose")] = 256,
    provider: Provider = "auto",
    threads: Threads = 0,
    network_precision: NetworkPrecision = "auto",
    device: Device = 0,
    gpu_memory: Memory = None,
    tf32: Tf32 = False,
    cuda_graphs: Graphs = False,
    tensorrt: TensorRt = False,
    overwrite: Overwrite = False,
    engine: Annotated[Literal["local", "dask", "ray"], typer.Option(help="where shards are computed")] = "local",
    address: Annotated[str | None, typer.Option(help="of a Dask or Ray cluster; default: one in this machine")] = None,
    workers: Annotated[int, typer.Option(min=0, help="of a cluster in this machine; 0: one per core")] = 0,
) -> None:
    """Place photos on the map: a table, a CSV and a report; exit status 3 if some could not be read."""
    from aenet.progress import progress
    from aenet.serving.localize import LocateOptions, NothingNew
    from aenet.serving.localize import locate as place
    from aenet.serving.photos.reading import PhotoOptions

    options = LocateOptions(
        top_k=top_k,
        photos=PhotoOptions(fov_deg=fov, vertical_deg=vertical_fov),
        heading=heading,
        phases=phases,
        prior=_prior(near, within, box, own_gps),
        precision=precision,
        refine=refine,
        formats=_formats(also),
        shard_size=shard_size,
        provider=provider,
        threads=threads,
        network_precision=network_precision,
        cuda=cuda_options(device, gpu_memory, tf32, cuda_graphs, tensorrt),
        overwrite=overwrite,
    )
    try:
        with progress("locate") as report:
            summary = place(photos, gallery, model, out, options, report, engine, address, workers, new_since)
    except NothingNew as nothing:
        typer.echo(str(nothing))
        return
    for line in summary.lines():
        typer.echo(line)
    raise typer.Exit(_PARTIAL if summary.errors else 0)


def _prior(near: str | None, within: str, box: str | None, own_gps: str | None) -> "Near | Box | OwnGps | None":
    from aenet.serving.search.prior import OwnGps, parse_box, parse_distance, parse_near

    given = {"--near": near, "--box": box, "--own-gps": own_gps}
    named = [name for name, value in given.items() if value is not None]
    if len(named) > 1:
        raise AenetError(f"{' and '.join(named)} exclude each other: give one of them")
    if near is not None:
        return parse_near(near, within)
    if box is not None:
        return parse_box(box)
    return None if own_gps is None else OwnGps(radius_m=parse_distance(own_gps))


def _formats(also: str) -> "tuple[Format, ...]":
    from typing import get_args

    from aenet.serving.jobs.outputs import Format

    kinds: list[Any] = [kind.strip().lower() for kind in also.split(",") if kind.strip()]
    if strange := [kind for kind in kinds if kind not in get_args(Format)]:
        raise AenetError(f"--also {strange[0]}: no format written here; known are {', '.join(get_args(Format))}")
    return cast("tuple[Format, ...]", tuple(dict.fromkeys(kinds)))
