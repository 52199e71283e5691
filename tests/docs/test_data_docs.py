"""docs/data.md shows settings that work and names every one there is."""

import re
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from aenet.ingest.archive.archiveconfig import check_source
from aenet.ingest.cvact import CvactConfig
from aenet.ingest.cvusa import CvusaConfig
from aenet.ingest.own import ALIASES, OwnConfig
from aenet.io.params import parse
from stages.download import DownloadConfig
from stages.polar_transform import PolarConfig

TEXT = (Path(__file__).resolve().parents[2] / "docs/data.md").read_text()
BLOCKS = re.findall(r"```yaml\n(.*?)```", TEXT, flags=re.DOTALL)


@pytest.mark.parametrize("block", BLOCKS)
def test_every_example_is_valid(block: str) -> None:
    tree = YAML(typ="safe", pure=True).load(block)
    check_source(parse(tree, "download", DownloadConfig, "docs/data.md").root)  # type: ignore[arg-type]  # no town here
    if "polar_transform" in tree:
        parse(tree, "polar_transform", PolarConfig, "docs/data.md")


def test_every_setting_and_column_is_described() -> None:
    fields = {name for type_ in (CvusaConfig, CvactConfig, OwnConfig) for name in type_.model_fields}
    missing = [name for name in fields | set(ALIASES) if not re.search(rf"`{name}`|\b{name}:", TEXT)]
    assert missing == []
