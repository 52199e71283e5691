"""What is installed, what would run, what is broken, and how to mend it."""

from collections.abc import Callable, Iterator
from pathlib import Path

from aenet.checks import cuda, project, runtime
from aenet.checks.finding import Finding


def diagnose(root: Path = Path()) -> list[Finding]:
    """Look at everything localization and the pipeline need; `root` is the project's folder. Never raises."""
    checks = (
        project.check_python,
        project.check_packages,
        runtime.check_onnxruntime,
        cuda.check_device,
        runtime.check_opencv,
        runtime.check_cores,
        project.check_pipeline,
        lambda: project.check_stores(root),
    )
    return [finding for check in checks for finding in _safely(check)]


def _safely(check: Callable[[], Iterator[Finding]]) -> list[Finding]:
    try:
        return list(check())
    except Exception as error:  # noqa: BLE001  a doctor that falls over helps nobody: what failed is a finding
        return [Finding("broken", "doctor", f"a check failed: {type(error).__name__}: {error}", "report this")]
