"""A gallery that keeps up with its map and its model, as a Prefect flow: `python -m flows.gallery MAP --out gallery`.

Unchanged inputs do nothing. Otherwise a new version is built beside the present one, and `gallery`, a link, is
switched to it in one step: a job started at any moment finds one whole gallery. A build that was killed goes on.
"""

# isort: off
import flows.settings  # noqa: F401  (Prefect reads its environment when it is imported)

# isort: on
import argparse
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from prefect import flow, get_run_logger, task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed

from aenet.data.card import read_card
from aenet.io.errors import AenetError
from aenet.io.locks import hold
from aenet.io.terminal import lacking
from aenet.serving.galleries.build import GalleryOptions, GallerySummary, build_gallery, plan_gallery
from aenet.serving.galleries.manifest import MANIFEST
from aenet.serving.vocabulary import gallery_options
from flows.commandline import add_model_and_options, run_flow
from flows.models import (
    CHAMPION,
    FetchedModel,
    GalleryRecord,
    current,
    find_model,
    remove_old,
    switch,
    version_folder,
    write_record,
)
from flows.shards import again, bad_input


@task(task_run_name="build-{version.name}", cache_policy=NO_CACHE, persist_result=False)
def build(source: str, version: Path, model: Path, options: GalleryOptions, lines: list[str]) -> State:
    """Build one version of a gallery, or finish it; `lines` gets what is to be said of it."""
    try:
        with lacking():
            summary: GallerySummary = build_gallery(Path(source), version, model, options, _in_tenths())
    except AenetError as error:  # a sentence, no traceback; bad input gets no second try
        return bad_input(error)
    lines += summary.lines()
    return Completed(message=lines[0])


@flow(name="gallery", persist_result=False)
def gallery(
    source: str,
    out: str = "gallery",
    model: str = CHAMPION,
    options: dict[str, Any] | None = None,
    keep: int = 2,
    retries: int = 1,
) -> State:
    """Bring a gallery up to date with its source, its model and its options.

    Args:
        source: map, tile tree, table of tiles or data set: see `aenet.serving.galleries.galleryoptions.open_source`.
        out: the link to the present version; versions are folders beside it, `OUT-<key>`.
        model: folder of an exported model, or `models:/NAME@ALIAS`: another champion makes another gallery.
        options: any flag of `aenet gallery build`, for example `{"spacing": "10m"}`, and any field of
            `aenet.serving.galleries.build.GalleryOptions`.
        keep: earlier versions kept, for jobs that still run on them and for going back.
        retries: further attempts of a build that failed for another reason than bad input.
    """
    link = Path(out)
    try:
        chosen = gallery_options(options or {}, "the gallery's parameters")
        with lacking(), hold(link.with_name(f".{link.name}.lock"), f"gallery {link}"):
            found = find_model(model)
            if found.note:
                get_run_logger().warning(found.note)
            return _refresh(source, link, found, chosen, keep, retries)
    except AenetError as error:
        return Failed(message=str(error))


def _refresh(source: str, link: Path, model: FetchedModel, options: GalleryOptions, keep: int, retries: int) -> State:
    key = plan_gallery(Path(source), read_card(model.folder), options).key
    version, before = version_folder(link, key), current(link)
    if before is not None and before.name == version.name and (version / MANIFEST).exists():
        return Completed(name="Unchanged", message=f"{link} is up to date: {version.name}")
    lines: list[str] = []
    state = again(build, retries)(source, version, model.folder, options, lines, return_state=True)
    if not state.is_completed():
        raise AenetError(f"{link} is as it was, a new version could not be built: {state.message}")
    built = datetime.now(UTC).isoformat(timespec="seconds")
    # Before the switch: whoever finds the gallery finds out its model, too.
    write_record(version, GalleryRecord(key=key, source=source, model=model.uri, built=built))
    switch(link, version)
    gone = [path.name for path in remove_old(link, keep)]
    lines += [f"{link} shows {version.name}, embedded by {model.uri}"] + ([f"removed {', '.join(gone)}"] * bool(gone))
    create_markdown_artifact(key="gallery", markdown="\n".join(f"- {line}" for line in lines))
    return Completed(message="; ".join(lines))


def _in_tenths() -> Callable[[int, int], None]:
    """Return what logs progress, ten lines in all."""
    log, said = get_run_logger(), 0

    def report(done: int, total: int) -> None:
        nonlocal said
        if total and 10 * done // total > said:
            said = 10 * done // total
            log.info("%d of %d tiles", done, total)

    return report


def main(arguments: list[str] | None = None) -> int:
    """Bring one gallery up to date; 0 if it is, 1 if it could not be, 2 for a bad request."""
    parser = argparse.ArgumentParser(prog="python -m flows.gallery", description=gallery.description)
    parser.add_argument("source", help="map, tile tree, table of tiles or data set")
    parser.add_argument("--out", default="gallery", help="the link to the present version (default %(default)s)")
    parser.add_argument("--keep", type=int, default=2, help="earlier versions kept (default %(default)s)")
    add_model_and_options(parser, "spacing=10m")
    return run_flow(gallery, vars(parser.parse_args(arguments)))


if __name__ == "__main__":
    raise SystemExit(main())
