"""Add a source to a finished gallery: new shards beside the old, and one new manifest that names them all.

Until that manifest replaces the old one, in one step, the gallery is what it was.
"""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from aenet.data.card import ModelCard, read_card
from aenet.data.distance import near
from aenet.io.artifacts import read_object
from aenet.io.atomic import write_json
from aenet.io.diskspace import writing
from aenet.io.errors import AenetError, CorruptArtifact
from aenet.io.locks import hold
from aenet.serving.galleries.backdrop import MAX_PX, extend_backdrop
from aenet.serving.galleries.build import ADD_PLAN, open_aerial, shard_paths, source_key
from aenet.serving.galleries.describe import Made, describe_gallery, record_source
from aenet.serving.galleries.gallery import Gallery
from aenet.serving.galleries.galleryoptions import AddOptions, GallerySummary, TileSource, open_source
from aenet.serving.galleries.manifest import MANIFEST, GalleryManifest, check_model, read_gallery
from aenet.serving.galleries.tileshards import build_shards, sweep_shards

__all__ = ["AddOptions", "add_to_gallery"]

_SAME_PLACE_M = 1.0  # tiles with positions of their own that are nearer than this are the same tile


class _Addition(NamedTuple):
    """A source less what the gallery has, its key, and the shards it will fill."""

    tiles: TileSource
    key: str
    shards: list[Path]
    duplicates: int


def add_to_gallery(
    folder: Path,
    source: Path,
    model: Path,
    options: AddOptions,
    on_progress: Callable[[int, int], None] | None = None,
) -> GallerySummary:
    """Embed what a source has beyond a gallery's tiles, and append it.

    Centres nearer than half a spacing to one of the gallery's are left out and counted. A killed addition leaves the
    gallery as it was, and goes on where it stopped when it is run again.

    Args:
        folder: a finished gallery.
        source: see `galleryoptions.open_source`.
        model: folder of the exported model that embedded the gallery.
        options: see AddOptions.
        on_progress: called with (candidates done, candidates in all).

    Raises:
        AenetError: no finished gallery, another model, tile size or kind of source than the gallery's, nothing that
            it has not, an unfinished addition of another source (and not `overwrite`), another run at work there, or
            a full disk.
    """
    card = read_card(model)
    read_gallery(folder)  # before a lock would make the folder
    with writing(folder), hold(folder / ".lock", f"gallery {folder}"):
        sweep_shards(folder)
        gallery = _open(folder, card, options)
        before = gallery.manifest
        tiles = open_source(source, before.tile_size_m, before.spacing_m or 1.0, options)
        _check_kind(folder, before, tiles)
        key = source_key(tiles, card, before.tile_size_m, before.spacing_m, options, before.dtype)
        if key in {known.key for known in before.sources}:
            _tidy(folder, before)
            return _summary(folder, before, card)
        new = _prepare(gallery, tiles, key, options)
        if not new.shards:
            return _summary(folder, before, card, new.duplicates)
        branch = open_aerial(model, options)
        computed = build_shards(
            tiles, branch, new.shards, options.shard_size, before.dtype, options.batch_size, on_progress
        )
        after = _publish(gallery, new, card, options)
    added = after.tiles - before.tiles
    return GallerySummary(
        folder, after, computed, len(new.shards), branch.runs_on, card.view.tile_size_m, added, new.duplicates
    )


def _open(folder: Path, card: ModelCard, options: AddOptions) -> Gallery:
    manifest = read_gallery(folder)
    check_model(folder, manifest, card)
    if options.tile_size_m is not None and options.tile_size_m != manifest.tile_size_m:
        raise AenetError(
            f"{folder} has tiles of {manifest.tile_size_m:g} m, {options.tile_size_m:g} m were asked for: "
            "a gallery has tiles of one size; leave `tile_size` away, or build another gallery"
        )
    return Gallery.open(folder, card, full=False)


def _check_kind(folder: Path, manifest: GalleryManifest, tiles: TileSource) -> None:
    """A floor would hold for half of a gallery of both kinds."""
    if tiles.gridded != (manifest.spacing_m is not None):
        has, brings = ("on a grid", "with positions of their own")[:: 1 if manifest.spacing_m else -1]
        raise AenetError(f"{folder} has tiles {has}, {tiles.path} brings tiles {brings}: build another gallery of it")


def _prepare(gallery: Gallery, tiles: TileSource, key: str, options: AddOptions) -> _Addition:
    """Leave out what the gallery has, and make room for the rest; shards of a killed run of the same are kept."""
    folder, plan = gallery.folder, gallery.folder / ADD_PLAN
    if plan.exists() and not _is_of(plan, key, options.overwrite):
        plan.unlink()
    if not plan.exists():
        for shard in folder.glob("shard-*"):
            if shard.name not in gallery.manifest.shards:
                shutil.rmtree(shard)
        write_json(plan, {"key": key, "source": str(tiles.path)})
    reach = gallery.manifest.spacing_m / 2 if gallery.manifest.spacing_m else _SAME_PLACE_M
    known = near(
        gallery.tiles[["latitude", "longitude"]].to_numpy(), tiles.tiles[["latitude", "longitude"]].to_numpy(), reach
    )
    rest = tiles.tiles[~known].reset_index(drop=True)
    # Numbers of tiles start anew with every source, and must not meet in one gallery.
    tiles.tiles = rest.assign(tile_id=f"{len(gallery.manifest.sources) + 1}:" + rest["tile_id"])
    first = 1 + max(int(name.rpartition("-")[2]) for name in gallery.manifest.shards)
    shards = shard_paths(folder, first, len(rest), options.shard_size)
    if not shards:
        plan.unlink()  # nothing to go on with
    return _Addition(tiles, key, shards, int(known.sum()))


def _is_of(plan: Path, key: str, overwrite: bool) -> bool:
    """Return whether an unfinished addition is of the source with that key.

    Raises:
        AenetError: it is another's, or nobody can tell, and that is not to be given up.
    """
    try:
        found = read_object(plan, "give the unfinished addition up with `overwrite`")
    except CorruptArtifact:
        if not overwrite:
            raise
        return False
    if found.get("key") == key:
        return True
    if not overwrite:
        raise AenetError(
            f"{plan.parent} has an unfinished addition of {found.get('source')}: finish it by running the same "
            "`aenet gallery add` again, or give it up with `overwrite`"
        )
    return False


def _publish(gallery: Gallery, new: _Addition, card: ModelCard, options: AddOptions) -> GalleryManifest:
    folder, before = gallery.folder, gallery.manifest
    picture = new.tiles.overview(MAX_PX)
    record = record_source(new.tiles, new.key, new.shards, card, options, picture, new.duplicates)
    made = Made(before.key, card, before.tile_size_m, before.spacing_m, before.dtype, before.embedded_on)
    plain = describe_gallery(folder, made, [*before.sources, record], None)
    number = new.shards[0].name.rpartition("-")[2]
    backdrop = extend_backdrop(folder, before.backdrop, plain.coverage, picture, f"backdrop-{number}.jpg")
    after = plain.model_copy(update={"backdrop": backdrop})
    write_json(folder / MANIFEST, after.model_dump(mode="json"))
    _tidy(folder, after)
    return after


def _tidy(folder: Path, manifest: GalleryManifest) -> None:
    """Remove what a published addition needs no more."""
    for picture in folder.glob("backdrop*.jpg"):
        if manifest.backdrop is None or picture.name != manifest.backdrop.file:
            picture.unlink()
    (folder / ADD_PLAN).unlink(missing_ok=True)


def _summary(folder: Path, manifest: GalleryManifest, card: ModelCard, duplicates: int = 0) -> GallerySummary:
    """Say that there was nothing to do."""
    size = card.view.tile_size_m
    return GallerySummary(folder, manifest, 0, len(manifest.shards), manifest.embedded_on, size, 0, duplicates)
