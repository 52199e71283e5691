"""Build a gallery shard by shard; a killed build continues where it stopped."""

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd

from aenet.artifacts import folder_digest, write_bytes, write_json
from aenet.card import read_card
from aenet.errors import AenetError
from aenet.images import encode_jpeg
from aenet.locks import hold
from aenet.serving.floor import grid_floor
from aenet.serving.gallery import BACKDROP, MANIFEST, Backdrop, GalleryManifest, read_gallery
from aenet.serving.galleryoptions import GalleryOptions, GallerySummary
from aenet.serving.raster import Overview
from aenet.serving.session import Branch
from aenet.serving.sources import TileSource, open_source
from aenet.serving.tileshards import build_shard, is_whole
from aenet.serving.views import model_digest

__all__ = ["GalleryOptions", "GallerySummary", "build_gallery"]

PLAN = "plan.json"
_BACKDROP_PX = 2048
_FORMAT = 1  # raise it when the content of shards changes for the same inputs


def build_gallery(
    source: Path,
    out: Path,
    model: Path,
    options: GalleryOptions,
    on_progress: Callable[[int, int], None] | None = None,
) -> GallerySummary:
    """Embed the tiles of a GeoTIFF, or of a data set's split (a folder), into the gallery `out`.

    Args:
        source: a GeoTIFF (`raster.RasterSource`) or the folder of a data set (`pairtiles.PairSource`).
        out: the gallery; an unfinished one of the same inputs is continued, a finished one left as it is.
        model: folder of an exported model.
        options: see GalleryOptions.
        on_progress: called with (candidates done, candidates in all).

    Raises:
        AenetError: unusable source, model or provider, or `out` holds something else and not `overwrite`.
    """
    card = read_card(model)
    tile_size = options.tile_size_m or card.view.tile_size_m
    tiles = open_source(source, tile_size, options.spacing_m, options.split, options.area)
    spacing = options.spacing_m if tiles.kind == "raster" else None
    identity = [_FORMAT, model_digest(card), tiles.kind, tiles.digest, tile_size, spacing, options.split]
    identity += [options.area, options.shard_size, options.dtype]
    key = hashlib.sha256(json.dumps(identity).encode()).hexdigest()
    with hold(out / ".lock", f"gallery {out}"):
        if finished := _prepare(out, key, options.overwrite):
            return GallerySummary(out, finished, 0, finished.embedded_on, card.view.tile_size_m)
        branch = Branch(model, "aerial", options.provider, options.threads, options.batch_size)
        computed = _build_shards(tiles, branch, out, options, on_progress)
        manifest = _describe(tiles, out, key, branch, tile_size, spacing)
        write_json(out / MANIFEST, manifest.model_dump(mode="json"))
    return GallerySummary(out, manifest, computed, branch.runs_on, card.view.tile_size_m)


def _prepare(out: Path, key: str, overwrite: bool) -> GalleryManifest | None:
    """Make `out` ready for the gallery `key`; return its manifest if it is finished already."""
    plan = out / PLAN
    if not plan.exists():
        # Hidden: the lock, and what a kill left of writing the plan.
        if content := [path.name for path in out.iterdir() if not path.name.startswith(".")]:
            raise AenetError(f"{out} holds other files ({content[0]}, ...): give an empty folder for the gallery")
        write_json(plan, {"key": key})
        return None
    same = json.loads(plan.read_text()).get("key") == key
    if same:
        return read_gallery(out) if (out / MANIFEST).exists() else None
    if not overwrite:
        raise AenetError(
            f"{out} holds a gallery of other inputs (source, model, tile size, spacing or shards differ): "
            "give another folder, or --overwrite"
        )
    (out / MANIFEST).unlink(missing_ok=True)
    (out / BACKDROP).unlink(missing_ok=True)
    for shard in out.glob("shard-*"):
        shutil.rmtree(shard)
    write_json(plan, {"key": key})
    return None


def _build_shards(
    tiles: TileSource,
    branch: Branch,
    out: Path,
    options: GalleryOptions,
    on_progress: Callable[[int, int], None] | None,
) -> int:
    computed, total = 0, len(tiles.tiles)
    for number, start in enumerate(range(0, total, options.shard_size)):
        stop = min(start + options.shard_size, total)
        shard = out / f"shard-{number:05d}"
        if not is_whole(shard):
            build_shard(tiles, branch, shard, start, stop, options.batch_size, options.dtype)
            computed += 1
        if on_progress:
            on_progress(stop, total)
    return computed


def _describe(
    tiles: TileSource, out: Path, key: str, branch: Branch, tile_size: float, spacing: float | None
) -> GalleryManifest:
    shards = sorted(out.glob("shard-*"))
    kept = pd.concat([pd.read_parquet(shard / "tiles.parquet") for shard in shards], ignore_index=True)
    if kept.empty:
        raise AenetError(f"{tiles.path}: none of {len(tiles.tiles)} tiles shows enough of the map to be used")
    latitude, longitude = kept["latitude"], kept["longitude"]
    return GalleryManifest(
        key=key,
        model=model_digest(branch.card),
        source=tiles.path.name,
        source_digest=tiles.digest,
        kind=tiles.kind,
        crs=tiles.crs,
        tile_size_m=tile_size,
        tile_px=tiles.tile_px,
        spacing_m=spacing,
        floor=grid_floor(spacing) if spacing else None,
        tiles=len(kept),
        dropped=len(tiles.tiles) - len(kept),
        descriptor_dim=branch.card.descriptor_dim,
        coverage=(longitude.min(), latitude.min(), longitude.max(), latitude.max()),
        backdrop=_write_backdrop(tiles.overview(_BACKDROP_PX), out),
        embedded_on=branch.runs_on,
        shards={shard.name: folder_digest(shard) for shard in shards},
    )


def _write_backdrop(picture: Overview | None, out: Path) -> Backdrop | None:
    if picture is None:
        return None
    write_bytes(out / BACKDROP, encode_jpeg(picture.pixels, quality=85))
    left, bottom, right, top = picture.edges
    height, width = picture.pixels.shape[:2]
    return Backdrop(crs=picture.crs, left=left, bottom=bottom, right=right, top=top, width_px=width, height_px=height)
