"""The commands `aenet gallery ...`: thin, and lazy so that `--help` answers at once."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from aenet.serving.commands.flags import Device, Graphs, Memory, NetworkPrecision, TensorRt, Tf32, cuda_options
from aenet.serving.galleries.manifest import GalleryManifest, SourceRecord, read_gallery

# A gallery's manifest as a person reads it.


def gallery_lines(folder: Path) -> list[str]:
    """Return what `aenet gallery info` prints.

    Raises:
        AenetError: no finished gallery there.
    """
    made = read_gallery(folder)
    rows = {
        "gallery": str(folder),
        "tiles": f"{made.tiles:,} of {made.tile_size_m:g} m{_left_out(made)}",
        "spacing": _spacing(made),
        "floor": _floor(made),
        "coverage": made.where,
        "model": made.model[:12],
        "view": f"{made.view.aerial.transform}, {made.view.aerial.height} x {made.view.aerial.width} px",
        "descriptors": f"{made.descriptor_dim:,} numbers of {made.dtype}",
        "storage": made.storage.total(made.tiles),
        "shards": f"{len(made.shards):,}, embedded on {made.embedded_on}",
    }
    lines = [f"{name:12} {value}" for name, value in rows.items()]
    lines += _choices(made)
    return lines + [line for number, source in enumerate(made.sources, start=1) for line in _source(number, source)]


def _left_out(made: GalleryManifest | SourceRecord) -> str:
    parts = []
    if made.dropped:
        parts.append(f"{made.dropped:,} dropped: no map there, or unreadable")
    if made.duplicates:
        parts.append(f"{made.duplicates:,} left out: the gallery had them")
    return f" ({'; '.join(parts)})" if parts else ""


def _spacing(made: GalleryManifest) -> str:
    return f"{made.spacing_m:g} m" if made.spacing_m is not None else "none: tiles have positions of their own"


def _floor(made: GalleryManifest) -> str:
    if made.floor is None:
        return "none: tiles may be centred on their photos, then errors flatter"
    floor = made.floor
    return f"{floor.median:.1f} m median, {floor.p95:.1f} m 95 %, {floor.max:.1f} m at most, with a perfect ranking"


def _choices(made: GalleryManifest) -> list[str]:
    """Say what the other choices take: compressions chosen when the model was exported, types when it was built."""
    lines: list[str] = []
    for name, size in made.storage.choices_bytes_per_tile.items():
        each = (made.storage.choices_gb_per_km2 or {}).get(name)
        area = "" if each is None else f", {each:,.3g} GB a km2"
        mark = "  <- this one" if name == made.storage.choice else ""
        lines.append(f"{'' if lines else 'choices':12} {name:26} {size:>9,} bytes a tile{area}{mark}")
    return lines


def _source(number: int, source: SourceRecord) -> list[str]:
    credits_ = [
        f"{'':12} {name}: {value}"
        for name, value in (("attribution", source.attribution), ("licence", source.licence))
        if value
    ]
    unsaid = "" if source.metres_known else ", of how many metres it does not say"
    about = f"{source.name} ({source.kind}), {source.tiles:,} tiles of {source.tile_px} px{unsaid}{_left_out(source)}"
    return [f"{f'source {number}':12} {about}", *credits_, *(f"{'':12} {note}" for note in source.notes)]


gallery_app = typer.Typer(help="Galleries: embedded tiles of a map, ready to be searched.", no_args_is_help=True)

Model = Annotated[Path, typer.Option("--model", "-m", help="folder of an exported model")]
Provider = Annotated[Literal["auto", "cuda", "cpu"], typer.Option(help="auto, cuda (refuse to run without it) or cpu")]
Threads = Annotated[int, typer.Option(min=0, help="CPU threads of one inference; 0: one per core")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="replace another job's results there")]
Split = Annotated[str, typer.Option(help="which split, where SOURCE is a data set")]
Area = Annotated[str | None, typer.Option(help="west,south,east,north in degrees; default: all")]
MinValid = Annotated[
    float, typer.Option(min=0.01, max=1.0, help="share of a tile that must be map, else it is dropped")
]
Zoom = Annotated[int | None, typer.Option(help="zoom of a tile tree; default: its deepest")]
Tms = Annotated[bool, typer.Option("--tms", help="a tile tree whose y counts from the south")]
Attribution = Annotated[str | None, typer.Option(help="who made the imagery; default: what the files say")]
Licence = Annotated[str | None, typer.Option(help="under which terms the imagery may be used")]
TileSize = Annotated[str | None, typer.Option(help="side of a tile, e.g. 70m; default: the model's, or the gallery's")]
Finished = Annotated[Path, typer.Argument(help="folder of a finished gallery")]
GalleryShard = Annotated[int, typer.Option(min=1, help="tiles a shard: what a killed build may lose")]


@gallery_app.command("build")
def gallery_build(
    source: Annotated[
        Path,
        typer.Argument(help="GeoTIFF, folder or glob of GeoTIFFs, tree of z/x/y.png, table of tiles, or a data set"),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="folder of the gallery")],
    model: Model = Path("models/onnx"),
    tile_size: TileSize = None,
    spacing: Annotated[str, typer.Option(help="distance between centres, e.g. 20m")] = "20m",
    split: Split = "test",
    area: Area = None,
    min_valid: MinValid = 0.5,
    zoom: Zoom = None,
    tms: Tms = False,
    attribution: Attribution = None,
    licence: Licence = None,
    dtype: Annotated[Literal["float32", "float16"], typer.Option(help="float16 halves the disk")] = "float32",
    shard_size: GalleryShard = 2048,
    provider: Provider = "auto",
    threads: Threads = 0,
    network_precision: NetworkPrecision = "auto",
    device: Device = 0,
    gpu_memory: Memory = None,
    tf32: Tf32 = False,
    cuda_graphs: Graphs = False,
    tensorrt: TensorRt = False,
    overwrite: Overwrite = False,
) -> None:
    """Cut a map into tiles and embed them; a killed build goes on where it stopped."""
    from aenet.progress import progress
    from aenet.serving.commands.flags import parse_area, parse_metres
    from aenet.serving.galleries.build import GalleryOptions, build_gallery

    options = GalleryOptions(
        tile_size_m=None if tile_size is None else parse_metres(tile_size, "--tile-size"),
        spacing_m=parse_metres(spacing, "--spacing"),
        split=split,
        area=parse_area(area, "--area"),
        min_valid=min_valid,
        zoom=zoom,
        tms=tms,
        attribution=attribution,
        licence=licence,
        dtype=dtype,
        shard_size=shard_size,
        provider=provider,
        threads=threads,
        network_precision=network_precision,
        cuda=cuda_options(device, gpu_memory, tf32, cuda_graphs, tensorrt),
        overwrite=overwrite,
    )
    with progress("gallery") as report:
        summary = build_gallery(source, out, model, options, report)
    for line in summary.lines():
        typer.echo(line)


@gallery_app.command("add")
def gallery_add(
    gallery: Finished,
    source: Annotated[Path, typer.Argument(help="as for `build`")],
    model: Model = Path("models/onnx"),
    tile_size: TileSize = None,
    split: Split = "test",
    area: Area = None,
    min_valid: MinValid = 0.5,
    zoom: Zoom = None,
    tms: Tms = False,
    attribution: Attribution = None,
    licence: Licence = None,
    shard_size: GalleryShard = 2048,
    provider: Provider = "auto",
    threads: Threads = 0,
    network_precision: NetworkPrecision = "auto",
    device: Device = 0,
    gpu_memory: Memory = None,
    tf32: Tf32 = False,
    cuda_graphs: Graphs = False,
    tensorrt: TensorRt = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="give up what an unfinished addition of another source left")
    ] = False,
) -> None:
    """Add to a gallery what another source has beyond it, at the same spacing; a killed run goes on when repeated."""
    from aenet.progress import progress
    from aenet.serving.commands.flags import parse_area, parse_metres
    from aenet.serving.galleries.extend import AddOptions, add_to_gallery

    options = AddOptions(
        tile_size_m=None if tile_size is None else parse_metres(tile_size, "--tile-size"),
        split=split,
        area=parse_area(area, "--area"),
        min_valid=min_valid,
        zoom=zoom,
        tms=tms,
        attribution=attribution,
        licence=licence,
        shard_size=shard_size,
        provider=provider,
        threads=threads,
        network_precision=network_precision,
        cuda=cuda_options(device, gpu_memory, tf32, cuda_graphs, tensorrt),
        overwrite=overwrite,
    )
    with progress("gallery") as report:
        summary = add_to_gallery(gallery, source, model, options, report)
    for line in summary.lines():
        typer.echo(line)


@gallery_app.command("index")
def gallery_index(
    gallery: Finished,
    recall: Annotated[
        float, typer.Option(min=0.01, max=1.0, help="share of photos whose best tile must be found")
    ] = 0.95,
    similarity: Annotated[
        float, typer.Option(min=0.05, max=0.99, help="cosine of a photo and its tile for which that must hold")
    ] = 0.7,
    threads: Threads = 0,
) -> None:
    """Index a gallery: worth it above a million tiles.

    `aenet locate` then looks up photos of the whole horizon, of known heading or not. It compares photos of a part of
    it, photos with a prior, and tiles added later one by one as before.
    """
    from aenet.progress import progress
    from aenet.serving.search.indexbuild import IndexOptions, build_gallery_index

    with progress("index") as report:
        meta = build_gallery_index(gallery, IndexOptions(recall=recall, similarity=similarity), threads, report)
    for line in meta.lines():
        typer.echo(line)


@gallery_app.command("info")
def gallery_info(gallery: Finished) -> None:
    """Say what a gallery is: tiles, floor, coverage, model, storage, sources and index."""
    pass
    from aenet.serving.search.indexbuild import index_meta

    index = index_meta(gallery, full=False)
    for line in [*gallery_lines(gallery), *(index.lines() if index else [])]:
        typer.echo(line)
