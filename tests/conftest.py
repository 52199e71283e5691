"""Shapes and types of every public function are checked while the tests run, and only then."""

import os
import signal

# Before numpy and torch are imported: tests share few cores, and their sums must round alike every time.
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")
# A job started in the background ignores Ctrl-C, and so would every process that tests start and interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)
os.environ.setdefault("HF_HUB_OFFLINE", "1")  # a test that needs a network is not a test

import pytest  # noqa: E402  after the settings above
from jaxtyping import install_import_hook  # noqa: E402

from tests.support.skips import pytest_make_collect_report, pytest_runtest_makereport  # noqa: E402, F401

install_import_hook("aenet", "beartype.beartype")
import aenet  # noqa: E402, F401  before tests import what it keeps quiet

# Begun first, so that no worker is left with one of them when the other has nothing to do.
LONGEST = ("test_end_to_end", "test_flow", "test_reproduce", "test_training", "test_calibration", "test_export")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Give each file to one of pytest's workers, whose module fixtures it then shares; the flows share a server."""
    items.sort(key=lambda item: _place(item.path.stem))
    if config.pluginmanager.hasplugin("xdist"):
        for item in items:
            stem = item.path.stem
            item.add_marker(pytest.mark.xdist_group("flows" if stem.startswith("test_flow") else stem))


def _place(stem: str) -> int:
    return next((number for number, name in enumerate(LONGEST) if stem.startswith(name)), len(LONGEST))
