"""What every reader of a data set is told (its settings) and answers (the list of its pairs)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
from pydantic import Field

from aenet.data.archive.config import SourceConfig
from aenet.data.verification import Verify

SKIPPED_COLUMNS = ("pair_id", "split", "file", "reason")
VIEWS = ("ground", "aerial")


class DatasetConfig(SourceConfig):
    """A data set that lies elsewhere.

    Attributes:
        verify: "headers" reads every image's header, "decode" every pixel, "none" asks for the files' sizes only.
        threads: that look at the images.
        strict: refuse every departure from what was published or listed: counts, pixel sizes, a single file.
        max_skipped: share of the pairs that may be left out because a file is missing or unusable, 0 to 1.
    """

    verify: Verify = "headers"
    threads: int = Field(default=4, ge=1)
    strict: bool = False
    max_skipped: float = Field(default=0.05, ge=0, le=1)


@dataclass(frozen=True)
class Listing:
    """What a reader found in its data set's tables, before any image was looked at.

    Attributes:
        root: folder that the paths in `pairs` are relative to.
        pairs: one row a pair, with the columns of the pair table.
        sizes: published (height, width) of each view's images; None where any will do.
        protocol: what the publishers measure on, for the manifest.
        ask: where a whole copy is to be had; empty where nobody but the user has it.
        departures: sentences about what differs from what was published; `strict` refuses them.
        notices: other sentences the user should read.
        set_aside: rows left out for a reason other than their files, in `SKIPPED_COLUMNS`.
        view: settings of `polar_transform.view` that these images need.
    """

    root: Path
    pairs: pd.DataFrame
    protocol: Mapping[str, Any]
    ask: str = ""
    sizes: Mapping[str, tuple[int, int] | None] = field(default_factory=lambda: dict.fromkeys(VIEWS))
    departures: tuple[str, ...] = ()
    notices: tuple[str, ...] = ()
    set_aside: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=list(SKIPPED_COLUMNS)))
    view: Mapping[str, Any] = field(default_factory=dict)


def left_out(pairs: pd.DataFrame, reason: str) -> pd.DataFrame:
    """Rows of the list of what was left out, one a pair."""
    return pairs.assign(file=pairs["ground"], reason=reason)[list(SKIPPED_COLUMNS)]
