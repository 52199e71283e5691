"""What every stage does at its edges: errors as sentences, progress, one tracked run."""

import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import FrameType
from typing import Any, NoReturn

from rich.console import Console
from rich.text import Text

from aenet import tracking
from aenet.io.errors import AenetError
from aenet.io.params import check_sections, read_yaml
from aenet.io.terminal import quiet, shortage
from stages.project import Paths, fingerprint

# Paths and errors are printed as they are: `[old]/` is a folder, not markup, and `:key:` no picture.
console = Console(highlight=False, markup=False, emoji=False)


def as_program(main: Callable[[], None]) -> NoReturn:
    """Run a stage as a program: 0 when done, 2 for an error of the user's, 143 or 130 when told to stop."""
    signal.signal(signal.SIGTERM, _stop)
    quiet()
    try:
        main()
    except Exception as error:
        reason = shortage(error) or (str(error) if isinstance(error, AenetError) else None)
        if reason is None:
            raise
        # Of many processes each that fails says so, and which it is: it may be the only one.
        rank = os.environ.get("RANK", "0")
        said = Text.assemble(("error:", "bold red"), f" {reason}", "" if rank == "0" else f" (process {rank})")
        Console(stderr=True, highlight=False).print(said, soft_wrap=True)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
    sys.exit(0)


def _stop(signum: int, frame: FrameType | None) -> None:
    del frame
    sys.exit(128 + signum)  # unwinds, so that temporary folders are swept


@contextmanager
def tracked(
    paths: Paths,
    stage: str,
    params: Mapping[str, Any],
    variant: str | None = None,
    name: str | None = None,
    parent: str | None = None,
    tags: Mapping[str, str] | None = None,
) -> Iterator[tracking.Run]:
    """Open the MLflow run of this stage and fingerprint; refuse a params.yaml with a section no stage has."""
    check_sections(paths.params, read_yaml(paths.root / "dvc.yaml")["stages"])
    digest = fingerprint(paths.root, stage, variant)
    name = name or stage
    with tracking.run(
        experiment="aenet",
        stage=name,
        fingerprint=digest,
        name=name,
        params=params,
        tags=tags or {},
        parent=parent,
    ) as active:
        yield active
