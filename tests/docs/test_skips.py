"""No test is skipped but those about CUDA: the gate fails for any other."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[2]
_FILES = {
    "library": "import pytest\npytest.importorskip('nosuch_library')\ndef test_it(): pass\n",
    "mark": "import pytest\n@pytest.mark.skipif(True, reason='no browser here')\ndef test_it(): pass\n",
    "fixture": (
        "import pytest\n@pytest.fixture\ndef disk(): pytest.skip('cannot mount')\ndef test_it(disk): pass\n"
    ),
    "body": "import pytest\ndef test_it(): pytest.skip('not today')\n",
    "cuda": "import pytest\n@pytest.mark.skipif(True, reason='this machine has no CUDA device')\ndef test_it(): pass\n",
    "gpu": "import pytest\ndef test_it(): pytest.skip('fp16 needs a GPU')\n",
}  # fmt: skip


def run(folder: Path, kind: str, ci: str) -> tuple[int, str]:
    (folder / f"test_{kind}.py").write_text(_FILES[kind])
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-rs",
        "-p",
        "tests.support.skips",
        "-p",
        "no:cacheprovider",
        f"test_{kind}.py",
    ]
    environment = {**os.environ, "CI": ci, "PYTHONPATH": str(_ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    ran = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    return ran.returncode, ran.stdout


@pytest.mark.parametrize("kind", ["library", "mark", "fixture", "body"])
def test_in_ci_a_skip_for_anything_else_than_cuda_fails(tmp_path: Path, kind: str) -> None:
    status, said = run(tmp_path, kind, "true")
    assert status != 0
    assert "only a test that is about CUDA may be skipped" in said


@pytest.mark.parametrize(("kind", "ci"), [("cuda", "true"), ("gpu", "1"), ("body", ""), ("body", "false")])
def test_a_skip_about_cuda_or_on_ones_own_machine_stays_one(tmp_path: Path, kind: str, ci: str) -> None:
    status, said = run(tmp_path, kind, ci)
    assert (status, "1 skipped" in said) == (0, True), said


def test_the_gate_says_that_it_is_one_and_installs_what_tests_need() -> None:
    gate = (_ROOT / ".ci" / "run").read_text()
    assert "export CI=true" in gate
    assert "chromium" in gate


def test_this_suite_is_judged(request: pytest.FixtureRequest) -> None:
    judged = {
        hook.plugin_name.rpartition("/")[2] for hook in request.config.hook.pytest_runtest_makereport.get_hookimpls()
    }
    assert "conftest.py" in judged
