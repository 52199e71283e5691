"""Stage `polar_transform`: decode every pair once and pack both network inputs into data/views, with their masks."""

from functools import partial

from pydantic import Field

from aenet.data.masks import pack_masks
from aenet.data.views import pack, unknown_metres
from aenet.io.artifacts import folder_digest, verify_folder
from aenet.io.params import Config, read_section
from aenet.progress import progress
from aenet.view.spec import ViewSpec
from stages.project import Paths
from stages.running import as_program, console, tracked


class PolarConfig(Config):
    """The view each branch sees, and the threads that make it (they do not change a pixel)."""

    view: ViewSpec
    threads: int = Field(ge=1)


def main(paths: Paths = Paths()) -> None:
    """Write the packed views."""
    config = read_section(paths.params, "polar_transform", PolarConfig)
    verify_folder(paths.raw, full=False)
    with tracked(paths, "polar_transform", config.model_dump(mode="json")) as active:
        with progress("polar_transform") as report:
            beside = partial(pack_masks, paths.raw, config.view)
            pack(paths.raw, paths.views, config.view, config.threads, report, beside)
        active.dataset(paths.raw.name, folder_digest(paths.raw), str(paths.raw), _rows(paths), context="source")
    if note := unknown_metres(paths.views):
        console.print(f"note: {note}", soft_wrap=True)
    ground, aerial = config.view.ground, config.view.aerial
    shown = f"{ground.height} x {ground.width} and {aerial.height} x {aerial.width} ({aerial.transform})"
    console.print(f"views of {shown} packed in {paths.views}")


def _rows(paths: Paths) -> int:
    from aenet.data.pairs import read_pairs

    return len(read_pairs(paths.raw / "pairs.parquet"))


if __name__ == "__main__":
    as_program(main)
