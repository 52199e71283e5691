"""What attacks come to: `python benchmarks/attacks.py`.

Every item of `attackitems.py` is held by tests. They run here, loopback only, and the table says how many of each item
passed; a test that does not end within `--timeout` seconds has failed.
"""

import argparse
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from xml.etree import ElementTree  # of what pytest wrote

from attackitems import ITEMS, Item
from hardware import processor, results_file

ROOT = Path(__file__).resolve().parents[1]
SHOWN = 110  # characters of what a test said


def run(items: list[Item], seconds: float) -> dict[str, str | None]:
    """Run the tests of some items; return what each that was not skipped said, None where it passed.

    Raises:
        SystemExit: pytest could not begin.
    """
    tests = list(dict.fromkeys(f"tests/{test}" for item in items for test in item.tests))
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        words = ["-q", "--no-header", "--tb=no", f"--timeout={seconds:g}", "-p", "no:cacheprovider"]
        words += ["-o", "junit_family=xunit1", f"--junitxml={report}", *tests]  # the older family names the file
        subprocess.run([sys.executable, "-m", "pytest", *words], cwd=ROOT, check=False)
        if not report.exists():
            raise SystemExit("pytest could not begin, see above")
        cases = ElementTree.parse(report).iter("testcase")  # noqa: S314  # our own file
        return {
            f"{case.get('file')}::{case.get('name')}": _said(case) for case in cases if case.find("skipped") is None
        }


def _said(case: ElementTree.Element) -> str | None:
    faults = [fault for kind in ("failure", "error") if (fault := case.find(kind)) is not None]
    return faults[0].get("message", "failed") if faults else None


def cell(item: Item, outcomes: dict[str, str | None]) -> str:
    """Return how many of an item's tests passed, or how many failed and what the first of them said."""
    names = tuple(f"tests/{test}" for test in item.tests)
    mine = [said for test, said in outcomes.items() if test.partition("[")[0].startswith(names)]
    failed = [said for said in mine if said is not None]
    if not failed:
        return f"{len(mine)} pass"
    first = " ".join(failed[0].split()).replace("|", "/").replace("`", "'").replace("<", "&lt;")
    return f"**{len(failed)} of {len(mine)} fail**: {first[:SHOWN]}"


def table(items: list[Item], outcomes: dict[str, str | None]) -> str:
    """Return the Markdown."""
    lines = [
        "# What attacks came to\n",
        f"{processor()}, {datetime.now(UTC):%Y-%m-%d}: `python benchmarks/attacks.py`\n",
        "Each item is held by tests (`benchmarks/attackitems.py`).",
    ]
    group = ""
    for item in items:
        if item.group != group:
            group = item.group
            lines += [f"\n## {group}\n", "| item | tests |", "|---|---|"]
        lines.append(f"| {item.title} | {cell(item, outcomes)} |")
    return "\n".join(lines) + "\n"


def main() -> int:
    """Run all items, print the table, keep it if asked to; fail if a test fails."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="items whose heading or title contains this")
    parser.add_argument("--timeout", type=float, default=300.0, help="seconds for each test")
    parser.add_argument("--keep", action="store_true", help="write benchmarks/results/attacks-HARDWARE-DATE.md")
    given = parser.parse_args()
    items = [item for item in ITEMS if given.only.lower() in f"{item.group}: {item.title}".lower()]
    outcomes = run(items, given.timeout)
    text = table(items, outcomes)
    print(text)
    if given.keep:
        results_file("attacks", processor()).write_text(text, encoding="utf-8")
    return int(any(said is not None for said in outcomes.values()))


if __name__ == "__main__":
    sys.exit(main())
