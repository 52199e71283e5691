"""Stage `download`: generate the town, or fetch and verify an archive, into data/raw."""

from typing import Annotated

from pydantic import Field, RootModel

from aenet.artifacts import read_manifest
from aenet.data.city.config import CityConfig
from aenet.data.fetch import ArchiveConfig, ingest
from aenet.data.pairs import read_pairs
from aenet.params import read_section
from aenet.progress import progress
from stages.paths import Paths
from stages.running import console, run, tracked


class DownloadConfig(RootModel[Annotated[CityConfig | ArchiveConfig, Field(discriminator="kind")]]):
    """Where the pairs come from."""


def main(paths: Paths = Paths()) -> None:
    """Write the data set: pair table, images, manifest."""
    config = read_section(paths.params, "download", DownloadConfig).root
    with tracked(paths, "download", config.model_dump(mode="json")) as active, progress("download") as report:
        if isinstance(config, CityConfig):
            from aenet.data.city.dataset import generate

            generate(config, paths.raw, report)
        else:
            ingest(config, paths.raw, paths.state / "downloads", report)
        pairs = read_pairs(paths.raw / "pairs.parquet")
        active.metrics({f"{split}_pairs": float(n) for split, n in pairs["split"].value_counts().items()})
        files = read_manifest(paths.raw).files
        megabytes = sum(file.bytes for file in files.values()) / 1e6
        console.print(f"{len(pairs)} pairs, {len(files)} files, {megabytes:.0f} MB in {paths.raw}")


if __name__ == "__main__":
    run(main)
