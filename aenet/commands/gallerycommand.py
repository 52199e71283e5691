"""The commands `aenet gallery ...`: thin, and lazy so that `--help` answers at once."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from aenet.commands.flags import (
    MAP,
    RESULTS,
    BatchSize,
    Command,
    CudaGraphs,
    Device,
    GpuMemory,
    Group,
    ModelOption,
    Overwrite,
    PrecisionOption,
    ProviderOption,
    TensorRt,
    Tf32,
    Threads,
    WithinBoxOption,
    running,
    say,
)
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


gallery_app = typer.Typer(
    help="Maps cut into tiles and embedded, ready to be searched.", no_args_is_help=True, cls=Group
)

_Source = Annotated[
    str,
    typer.Argument(
        metavar="MAP",
        help="A GeoTIFF, a folder or pattern of GeoTIFFs, a tree of tiles z/x/y.png, a table of tiles, or a data set.",
    ),
]
TileSize = Annotated[
    str | None,
    typer.Option(metavar="LENGTH", help="Side of a tile on the ground, as 70m; else the model's.", rich_help_panel=MAP),
]
Spacing = Annotated[
    str,
    typer.Option(
        metavar="LENGTH",
        help="Distance between the centres of tiles. The finer, the nearer the answers and the larger the gallery.",
        rich_help_panel=MAP,
    ),
]
MinValid = Annotated[
    float,
    typer.Option(min=0.01, max=1.0, help="Drop tiles of which less than this share shows map.", rich_help_panel=MAP),
]
Split = Annotated[str, typer.Option(help="Of a data set: train, val or test.", rich_help_panel=MAP)]
Zoom = Annotated[
    int | None, typer.Option(help="Of a tree of tiles: which zoom, else its deepest.", rich_help_panel=MAP)
]
Tms = Annotated[bool, typer.Option("--tms", help="Of a tree of tiles: y counts from the south.", rich_help_panel=MAP)]
Attribution = Annotated[
    str | None,
    typer.Option(help="Who made the imagery, shown in reports; else what its files say.", rich_help_panel=MAP),
]
Licence = Annotated[str | None, typer.Option(help="Under which terms the imagery may be used.", rich_help_panel=MAP)]
Dtype = Annotated[
    Literal["float32", "float16"],
    typer.Option(help="How descriptors are stored; float16 takes half the disk.", rich_help_panel=RESULTS),
]
_ShardSize = Annotated[
    int, typer.Option(min=1, help="Tiles a file: what a killed build may have to repeat.", rich_help_panel=RESULTS)
]
Finished = Annotated[Path, typer.Argument(metavar="GALLERY", help="Folder of a finished gallery.")]


@gallery_app.command("build", cls=Command)
def gallery_build(
    source: _Source,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the new gallery.")],
    model: ModelOption = Path("models/onnx"),
    tile_size: TileSize = None,
    spacing: Spacing = "20m",
    within_box: WithinBoxOption = None,
    min_valid: MinValid = 0.5,
    split: Split = "test",
    zoom: Zoom = None,
    tms: Tms = False,
    attribution: Attribution = None,
    licence: Licence = None,
    dtype: Dtype = "float32",
    shard_size: _ShardSize = 2048,
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
) -> None:
    """Cut a map into tiles and embed them. A build that was killed goes on where it stopped."""
    from aenet.doors.gallerydoor import Gallery
    from aenet.doors.modeldoor import load_model
    from aenet.progress import progress

    run = running(provider, precision, threads, batch_size, device, gpu_memory, tf32, cuda_graphs, tensorrt)
    loaded = load_model(model, **run)
    with progress("gallery") as report:
        built = Gallery.build(
            source, loaded, out, tile_size, spacing, within_box=within_box, min_valid=min_valid, split=split, zoom=zoom,
            tms=tms, attribution=attribution, licence=licence, dtype=dtype, shard_size=shard_size, overwrite=overwrite,
            on_progress=report,
        )  # fmt: skip
    say(built.summary.lines() if built.summary else ())


@gallery_app.command("add", cls=Command)
def gallery_add(
    gallery: Finished,
    source: _Source,
    model: ModelOption = Path("models/onnx"),
    tile_size: TileSize = None,
    within_box: WithinBoxOption = None,
    min_valid: MinValid = 0.5,
    split: Split = "test",
    zoom: Zoom = None,
    tms: Tms = False,
    attribution: Attribution = None,
    licence: Licence = None,
    shard_size: _ShardSize = 2048,
    overwrite: Annotated[
        bool,
        typer.Option(
            "--overwrite", help="Give up what an unfinished addition of another map left.", rich_help_panel=RESULTS
        ),
    ] = False,
    provider: ProviderOption = "auto",
    precision: PrecisionOption = "auto",
    threads: Threads = 0,
    batch_size: BatchSize = 32,
    device: Device = 0,
    gpu_memory: GpuMemory = None,
    tf32: Tf32 = False,
    cuda_graphs: CudaGraphs = False,
    tensorrt: TensorRt = False,
) -> None:
    """Add to a gallery the tiles that another map has beyond it, at the same spacing. A killed run goes on."""
    from aenet.doors.gallerydoor import Gallery
    from aenet.doors.modeldoor import load_model
    from aenet.progress import progress

    run = running(provider, precision, threads, batch_size, device, gpu_memory, tf32, cuda_graphs, tensorrt)
    loaded = load_model(model, **run)
    with progress("gallery") as report:
        added = Gallery.open(gallery).add(
            source, loaded, tile_size, within_box=within_box, min_valid=min_valid, split=split, zoom=zoom, tms=tms,
            attribution=attribution, licence=licence, shard_size=shard_size, overwrite=overwrite, on_progress=report,
        )  # fmt: skip
    say(added.summary.lines() if added.summary else ())


@gallery_app.command("index", cls=Command)
def gallery_index(
    gallery: Finished,
    recall: Annotated[
        float, typer.Option(min=0.01, max=1.0, help="Share of photos whose best tile the index must find.")
    ] = 0.95,
    similarity: Annotated[
        float, typer.Option(min=0.05, max=0.99, help="How alike (cosine) a photo and its best tile are then.")
    ] = 0.7,
    threads: Threads = 0,
) -> None:
    """Make a gallery of a million tiles and more quick to search.

    `aenet locate` then looks up photos of the whole horizon, of known heading or not. It compares photos of a part of
    it, photos whose area is known, and tiles added later one by one as before.
    """
    from aenet.progress import progress
    from aenet.serving.search.indexbuild import IndexOptions, build_gallery_index

    with progress("index") as report:
        meta = build_gallery_index(gallery, IndexOptions(recall=recall, similarity=similarity), threads, report)
    say(meta.lines())


@gallery_app.command("info", cls=Command)
def gallery_info(gallery: Finished) -> None:
    """Say what a gallery holds: tiles, coverage, best possible error, model, disk, sources, index."""
    from aenet.serving.search.indexbuild import index_meta

    index = index_meta(gallery, full=False)
    say([*gallery_lines(gallery), *(index.lines() if index else [])])
