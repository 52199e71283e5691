"""A test that is skipped holds nothing: only what needs CUDA, or needs that there is none, may be.

The hooks of pytest that make any other skip a failure in CI; on other machines such a test is skipped and named.
"""

import os
import re
from collections.abc import Generator

import pytest

_ABOUT_CUDA = re.compile(r"\b(CUDA|GPU)\b")
Report = pytest.TestReport | pytest.CollectReport


def in_ci() -> bool:
    """Whether this is a run of the gate (`.ci/run` sets CI, as CI services do)."""
    return os.environ.get("CI", "").lower() not in ("", "0", "false")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Look at each test's report."""
    report = yield
    _judge(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Look at each file's report: a whole file can be skipped when it is imported (`importorskip`)."""
    report = yield
    _judge(report)
    return report


def _judge(report: Report) -> None:
    if not (in_ci() and report.skipped):
        return
    said = str(report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr)
    if not _ABOUT_CUDA.search(said):
        report.outcome = "failed"
        report.longrepr = f"{said}: only a test that is about CUDA may be skipped; install what it needs"
