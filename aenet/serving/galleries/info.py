"""A gallery's manifest as a person reads it."""

from pathlib import Path

from aenet.serving.galleries.manifest import GalleryManifest, SourceRecord, read_gallery


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
        "view": f"{made.view.height} x {made.view.width} px",
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
