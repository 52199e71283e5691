"""Build a gallery shard by shard; a killed build continues where it stopped."""

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from aenet.data.card import ModelCard, model_digest, read_card
from aenet.io.artifacts import read_object
from aenet.io.atomic import write_json
from aenet.io.diskspace import writing
from aenet.io.errors import AenetError, CorruptArtifact
from aenet.io.locks import hold
from aenet.io.terminal import need_room
from aenet.serving.galleries.backdrop import MAX_PX, write_backdrop
from aenet.serving.galleries.describe import Made, describe_gallery, record_source
from aenet.serving.galleries.galleryoptions import (
    AddOptions,
    GalleryOptions,
    GallerySummary,
    SourceOptions,
    TileSource,
    open_source,
)
from aenet.serving.galleries.manifest import MANIFEST, GalleryManifest, read_gallery
from aenet.serving.galleries.tileshards import build_shards, sweep_shards
from aenet.serving.sessions.session import OnnxBranch

__all__ = ["GalleryOptions", "GalleryPlan", "GallerySummary", "build_gallery", "plan_gallery"]

PLAN, ADD_PLAN = "plan.json", "plan-add.json"
_FORMAT = 3  # raise it when the content of shards changes for the same inputs
_KEYED = {"within_box": "area"}


class GalleryPlan(NamedTuple):
    """What a gallery will be made of; equal keys are equal galleries.

    Attributes:
        key: digest of everything that decides the gallery.
        tiles: the opened source.
        tile_size_m: side of a tile, metres.
        spacing_m: distance between centres, metres; None for tiles with positions of their own.
    """

    key: str
    tiles: TileSource
    tile_size_m: float
    spacing_m: float | None


def plan_gallery(source: Path, card: ModelCard, options: GalleryOptions) -> GalleryPlan:
    """Open a source and say which gallery the model of `card` will make of it.

    Raises:
        AenetError: see `galleryoptions.open_source`.
    """
    tile_size = options.tile_size_m or card.view.tile_size_m
    tiles = open_source(source, tile_size, options.spacing_m, options)
    spacing = options.spacing_m if tiles.gridded else None
    key = source_key(tiles, card, tile_size, spacing, options, options.dtype)
    return GalleryPlan(key, tiles, tile_size, spacing)


def build_gallery(
    source: Path,
    out: Path,
    model: Path,
    options: GalleryOptions,
    on_progress: Callable[[int, int], None] | None = None,
) -> GallerySummary:
    """Embed the tiles of a map, a tile tree, a table of tiles or a data set's split into the gallery `out`.

    Args:
        source: see `galleryoptions.open_source`.
        out: the gallery; an unfinished one of the same inputs is continued, a finished one left as it is.
        model: folder of an exported model.
        options: see GalleryOptions.
        on_progress: called with (candidates done, candidates in all).

    Raises:
        AenetError: unusable source, model or provider, a full disk, another run is at work there, or `out` holds
            something else and not `overwrite`; or this process may have too little memory.
    """
    need_room()
    card = read_card(model)
    key, tiles, tile_size, spacing = plan_gallery(source, card, options)
    with writing(out), hold(out / ".lock", f"gallery {out}"):
        sweep_shards(out)
        if finished := _prepare(out, key, options.overwrite):
            return GallerySummary(out, finished, 0, len(finished.shards), finished.embedded_on, card.view.tile_size_m)
        branch = open_aerial(model, options)
        shards = shard_paths(out, 0, len(tiles.tiles), options.shard_size)
        computed = build_shards(
            tiles, branch, shards, options.shard_size, options.dtype, options.batch_size, on_progress
        )
        picture = tiles.overview(MAX_PX)
        record = record_source(tiles, key, shards, card, options, picture)
        backdrop = write_backdrop(picture, out)
        made = Made(key, card, tile_size, spacing, options.dtype, branch.runs_on)
        manifest = describe_gallery(out, made, [record], backdrop)
        write_json(out / MANIFEST, manifest.model_dump(mode="json"))
    return GallerySummary(out, manifest, computed, len(shards), branch.runs_on, card.view.tile_size_m)


def source_key(
    tiles: TileSource,
    card: ModelCard,
    tile_size_m: float,
    spacing_m: float | None,
    options: AddOptions,
    dtype: str,
) -> str:
    """Return one digest of everything that decides what a source gives to a gallery."""
    # Under the names that galleries were built with: a key must outlive a better word.
    taken = {_KEYED.get(name, name): getattr(options, name) for name in SourceOptions.model_fields}
    identity: list[Any] = [_FORMAT, model_digest(card), tiles.kind, tiles.digest, tile_size_m, spacing_m]
    identity += [taken, options.shard_size, dtype, *options.arithmetic()]
    return hashlib.sha256(json.dumps(identity).encode()).hexdigest()


def open_aerial(model: Path, options: AddOptions) -> OnnxBranch:
    """Open the branch that embeds tiles; errors as `session.OnnxBranch`."""
    return OnnxBranch(model, "aerial", options.session)


def shard_paths(out: Path, first: int, candidates: int, size: int) -> list[Path]:
    """Return the folders for so many candidates, numbered from `first`."""
    return [out / f"shard-{first + number:05d}" for number in range(-(-candidates // size))]


def _prepare(out: Path, key: str, overwrite: bool) -> GalleryManifest | None:
    """Make `out` ready for the gallery `key`; return its manifest if it is finished already."""
    plan = out / PLAN
    if not plan.exists():
        # Hidden: the lock, and what a kill left of writing the plan.
        if content := [path.name for path in out.iterdir() if not path.name.startswith(".")]:
            raise AenetError(f"{out} holds other files ({content[0]}, ...): give an empty folder for the gallery")
        write_json(plan, {"key": key})
        return None
    try:
        same = read_object(plan, "give another folder, or `overwrite` to build the gallery anew").get("key") == key
    except CorruptArtifact:
        if not overwrite:
            raise
        same = False
    if same:
        return read_gallery(out) if (out / MANIFEST).exists() else None
    if not overwrite:
        raise AenetError(
            f"{out} holds a gallery of other inputs (source, model, precision, tile size, spacing or shards differ): "
            "give another folder, or `overwrite`"
        )
    # The manifest first: without it nobody takes what is left for a gallery. The plan last: until then `overwrite` is
    # needed again.
    for file in (MANIFEST, ADD_PLAN, *(path.name for path in out.glob("backdrop*.jpg"))):
        (out / file).unlink(missing_ok=True)
    for shard in out.glob("shard-*"):
        shutil.rmtree(shard)
    write_json(plan, {"key": key})
    return None
