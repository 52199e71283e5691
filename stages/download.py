"""Stage `download`: generate the town, or find and verify a data set, into data/raw."""

from typing import Annotated, assert_never

from pydantic import Field, RootModel

from aenet.data.pairs import SPLITS, read_pairs
from aenet.ingest.archive.archiveconfig import NotedProgress, check_source
from aenet.ingest.cvact import CvactConfig, list_cvact
from aenet.ingest.cvusa import CvusaConfig, list_cvusa
from aenet.ingest.fetching import open_dataset
from aenet.ingest.own import OwnConfig, list_own
from aenet.ingest.rawfolder import write_dataset
from aenet.io.artifacts import read_manifest
from aenet.io.params import read_section
from aenet.progress import progress
from aenet.town.config import TownConfig
from stages.project import Paths
from stages.running import as_program, console, tracked

Elsewhere = CvusaConfig | CvactConfig | OwnConfig


class DownloadConfig(RootModel[Annotated[TownConfig | Elsewhere, Field(discriminator="kind")]]):
    """Where the pairs come from."""


def main(paths: Paths = Paths()) -> None:
    """Write the data set: pair table, manifest, and the town's images; other data sets' images stay where they are."""
    config = read_section(paths.params, "download", DownloadConfig).root
    recorded = config.model_dump(mode="json")
    if not isinstance(config, TownConfig):
        check_source(config)
        recorded["source"] = config.shown
    with tracked(paths, "download", recorded) as active:
        notices: list[str] = []
        with progress("download") as report:
            if isinstance(config, TownConfig):
                from aenet.town.dataset import generate

                generate(config, paths.raw, report)
            else:
                notices = ingest(config, paths, report)
        for notice in notices:
            console.print(f"note: {notice}", soft_wrap=True)
        pairs = read_pairs(paths.raw / "pairs.parquet")
        active.metrics({f"{split}_pairs": float(n) for split, n in pairs["split"].value_counts().items()})
    counts = ", ".join(f"{split} {int((pairs['split'] == split).sum())}" for split in SPLITS)
    manifest = read_manifest(paths.raw)
    images = manifest.meta.get("images", {})
    files = images.get("files", len(manifest.files))
    megabytes = images.get("bytes", sum(file.bytes for file in manifest.files.values())) / 1e6
    where = images.get("root", paths.raw)
    console.print(f"{len(pairs)} pairs ({counts}), {files} files, {megabytes:.0f} MB in {where}", soft_wrap=True)


def ingest(config: Elsewhere, paths: Paths, report: NotedProgress | None = None) -> list[str]:
    """Find, list and verify a data set and write data/raw; return what the user should read.

    Raises:
        AenetError: see `open_dataset`, the reader of the kind, and `write_dataset`; data/raw is then as it was.
    """
    source, origin = open_dataset(config, paths.state, report)
    match config:
        case CvusaConfig():
            listing = list_cvusa(config, source)
        case CvactConfig():
            listing = list_cvact(config, source)
        case OwnConfig():
            listing = list_own(config, source)
        case _:
            assert_never(config)
    return write_dataset(config, config.kind, listing, origin, paths.raw, report)


if __name__ == "__main__":
    as_program(main)
