"""What attacks came to, before and after: `python benchmarks/attacks.py --before 7d96c5c`.

Every item of `attackitems.py` is held by tests. They run on this tree and, with `--before`, as they are today on the
code of an earlier commit, in a folder of its own. Loopback only; a test that does not end within `--timeout` seconds
counts as failed, and the others go on in another process.
"""

import argparse
import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from attackitems import ITEMS, Item
from hardware import processor, results_file

ROOT = Path(__file__).resolve().parents[1]
_STARTING = 1800.0  # seconds that a busy machine may need to import everything
SHOWN = 110  # characters of what a test said


class Outcome(NamedTuple):
    """How one test ended.

    Attributes:
        passed: whether it did.
        new: whether it failed because it asked for a part which that version has not.
        said: the failure, '' without one.
    """

    passed: bool
    new: bool = False
    said: str = ""


def run(items: list[Item], tree: Path, folder: Path, seconds: float) -> dict[str, Outcome]:
    """Run all tests of some items on the code of a tree."""
    outcomes = folder / f"outcomes-{tree.name}"
    outcomes.touch()
    tests = list(dict.fromkeys(f"tests/{test}" for item in items for test in item.tests))
    for process in itertools.count(1):
        said = _process(tests, tree, folder, outcomes, seconds)
        lines = [json.loads(line) for line in outcomes.read_text(encoding="utf-8").splitlines()]
        collected: list[list[str]] = [line["collected"] for line in lines if "collected" in line]
        if len(collected) < process:
            raise SystemExit(f"pytest could not begin in {tree}:\n{said[-3000:]}")
        begun = {line["begun"] for line in lines if "begun" in line}
        if begun >= {*collected[0]} or not collected[-1]:
            break
    ended = {test: Outcome(passed=False, said="did not end") for test in begun}
    for line in lines:
        if line.get("outcome") in ("passed", "failed"):
            ended[line["test"]] = Outcome(line["outcome"] == "passed", line["new"], line["said"])
        elif "outcome" in line:
            ended.pop(line["test"], None)  # skipped
    return ended


def _process(tests: list[str], tree: Path, folder: Path, outcomes: Path, seconds: float) -> str:
    """Run the tests that have not begun until all have, or one does not end; return what pytest printed."""
    environment = {**os.environ, "AENET_OUTCOMES": str(outcomes), "OMP_NUM_THREADS": "1"}
    environment |= {"HF_HUB_OFFLINE": "1"}
    environment["PYTHONPATH"] = os.pathsep.join([str(tree), str(folder)])
    words = ["-m", "pytest", "-p", "oldcode", "-p", "no:cacheprovider", "-q", "--no-header", "--tb=no", "--timeout=0"]
    words += ["--continue-on-collection-errors", *tests]
    log = outcomes.with_suffix(".log")
    with log.open("w") as stream:
        process = subprocess.Popen(
            [sys.executable, *words], cwd=tree, env=environment, stdout=stream, stderr=stream, start_new_session=True
        )
        outcomes.touch()
        size = outcomes.stat().st_size
        while process.poll() is None:
            time.sleep(0.5)
            idle = time.time() - outcomes.stat().st_mtime
            if idle > (seconds if outcomes.stat().st_size > size else max(seconds, _STARTING)):
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
    return log.read_text(errors="replace")


def earlier(commit: str, folder: Path) -> Path:
    """Unpack an earlier commit and give it the tests of today."""
    tree = folder / "before"
    archive = folder / "before.tar"
    subprocess.run(["git", "-C", ROOT, "archive", "-o", archive, commit], check=True)
    with tarfile.open(archive) as packed:
        packed.extractall(tree, filter="data")
    for name in ("tests", "benchmarks"):
        shutil.rmtree(tree / name)
        shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copyfile(ROOT / "pyproject.toml", tree / "pyproject.toml")
    return tree


def of(item: Item, outcomes: dict[str, Outcome]) -> dict[str, Outcome]:
    """Return those of an item's tests."""
    names = tuple(f"tests/{test}" for test in item.tests)
    return {test: outcome for test, outcome in outcomes.items() if test.partition("[")[0].startswith(names)}


def cell(outcomes: dict[str, Outcome]) -> str:
    """Return how many of them passed or failed."""
    failed = [outcome for outcome in outcomes.values() if not outcome.passed]
    if not failed:
        return f"{len(outcomes)} pass"
    new = sum(outcome.new for outcome in failed)
    return f"**{len(failed)} of {len(outcomes)} fail**" + (f" ({new} for want of a part)" if new else "")


def said(outcomes: dict[str, Outcome]) -> str:
    """Return on one line what the first failure said that is not for want of a part, or the first one."""
    failed = [outcome for outcome in outcomes.values() if not outcome.passed]
    first = next((outcome for outcome in failed if not outcome.new), failed[0] if failed else Outcome(passed=True))
    line = " ".join(first.said.split()).replace("|", "/").replace("`", "'").replace("<", "&lt;")
    line = "".join(character if character.isprintable() else "?" for character in line)
    line = line.replace(tempfile.gettempdir(), "...")
    return line if len(line) <= SHOWN else line[:SHOWN] + " ..."


def table(items: list[Item], before: dict[str, Outcome] | None, after: dict[str, Outcome], commit: str | None) -> str:
    """Return the Markdown."""
    command = "`python benchmarks/attacks.py" + (f" --before {commit}`" if commit else "`")
    lines = [
        "# What attacks came to\n", f"{processor()}, {datetime.now(UTC):%Y-%m-%d}: {command}\n",
        "Each item is held by tests (`benchmarks/attackitems.py`), which ran on this version"
        + (f" and, as they are today, on the code of {commit}. *For want of a part*: the test asks for a module or a "
           "name which that version has not, so it says nothing of what that version did." if commit else "."),
    ]  # fmt: skip
    group = ""
    for item in items:
        if item.group != group:
            group = item.group
            lines += [f"\n## {group}\n", "| item | before | what the first of them said | now |", "|---|---|---|---|"]
        now = of(item, after)
        then = {
            test: (before or {}).get(test, Outcome(passed=False, new=True, said="cannot be collected")) for test in now
        }
        was = f"{cell(then)} | {said(then)}" if before is not None else "|"
        lines.append(f"| {item.title} | {was} | {cell(now)} |")
    return "\n".join(lines) + "\n"


def main() -> int:
    """Run all items, print the table, keep it if asked to; fail if a test of this version fails."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--before", metavar="COMMIT", help="run the tests on the code of this commit, too")
    parser.add_argument("--only", default="", help="items whose heading or title contains this")
    parser.add_argument("--without", default="", help="leave out tests whose file's name contains this")
    parser.add_argument("--timeout", type=float, default=300.0, help="seconds for each test")
    parser.add_argument("--keep", action="store_true", help="write benchmarks/results/attacks-HARDWARE-DATE.md")
    given = parser.parse_args()
    items = [item for item in ITEMS if given.only.lower() in f"{item.group}: {item.title}".lower()]
    if given.without:
        kept = [item._replace(tests=tuple(test for test in item.tests if given.without not in test)) for item in items]
        items = [item for item in kept if item.tests]
    with tempfile.TemporaryDirectory() as name, ThreadPoolExecutor() as pool:
        folder = Path(name).resolve()
        shutil.copy(Path(__file__).with_name("oldcode.py"), folder)  # alone: benchmarks/serving.py hides tests/serving
        trees = [ROOT, earlier(given.before, folder)] if given.before else [ROOT]
        after, *befores = pool.map(lambda tree: run(items, tree, folder, given.timeout), trees)
    text = table(items, befores[0] if befores else None, after, given.before)
    print(text)
    for test, outcome in after.items():
        if not outcome.passed:
            print(f"FAILS NOW: {test}: {outcome.said[:1000]}", file=sys.stderr)
    if given.keep:
        results_file("attacks", processor()).write_text(text, encoding="utf-8")
    return int(not all(outcome.passed for outcome in after.values()))


if __name__ == "__main__":
    sys.exit(main())
