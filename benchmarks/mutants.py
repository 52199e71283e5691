"""Do the tests notice? `python benchmarks/mutants.py [--mutants 200] [--seed 0] [--modules atomic tally]`.

Makes one small change at a time to a copy of a module (another comparison, sum, constant or branch; two arguments
exchanged; a statement or a `not` left out), runs the tests that belong to the module on it, and counts the changes that
some test notices: killed. Every run is a process forked from one that has imported the libraries, and is ended after
five times the processor time that the tests take on the module as it is.

The changes are drawn with a seed from all that are possible, and those that somebody once saw slip through (NAMED) are
always among them. Left out beforehand is what only a clock or a type checker could notice (constants named as `tuning`,
`del`, `copy=`, `assert_never`). The rest counts, whether a test could tell or not; survivors are printed.
"""

import argparse
import ast
import copy
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from itertools import chain
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest
from hardware import processor, results_file

ROOT = Path(__file__).resolve().parents[1]
QUIETLY = ("-q", "-p", "no:cacheprovider", "-o", "addopts=")
SECONDS = 5.0  # of processor time that a run has at least
WALL = 400.0  # times that, of the clock, for what waits for ever; the machine may have other work to do


@dataclass(frozen=True)
class Subject:
    """Files, and the tests that belong to them.

    Attributes:
        tests: pytest's arguments, in steps: what the first does not notice the next is asked.
        tuning: names of module constants that decide how fast and in how much memory, not what comes out.
    """

    files: tuple[str, ...]
    tests: tuple[tuple[str, ...], ...]
    tuning: frozenset[str] = field(default_factory=frozenset)


_TIES = ("tests/retrieval/test_ties.py", "-k", "not papers_network and not heading and not horizon")
_RANKING = ("tests/retrieval/test_ranking.py", "-k", "not pile_up and not within_metres")
SUBJECTS = {
    "atomic": Subject(("aenet/io/atomic.py",), (("tests/io/test_atomic.py",), ("tests/io/test_artifacts.py",))),
    "confidence": Subject(
        ("aenet/scoring/confidence.py",),
        (
            ("tests/scoring/test_confidence.py", "-k", "not fitted_holds and not denser and not weigh"),
            ("tests/scoring/test_confidence.py", "-k", "denser"),
        ),
        frozenset({"_POINTS", "LISTED"}),
    ),
    "geodesy": Subject(("aenet/data/distance.py",), (("tests/data/test_geodesy.py",),)),
    "losses": Subject(
        ("aenet/nn/losses.py", "aenet/nn/formulae.py"),
        (
            ("tests/nn/test_losses.py",),
            ("tests/data/test_sharing.py", "-k", "in_any_loss or mask_of_nothing or no_negative_by_hand"),
            ("tests/evaluation/test_unknown_heading.py", "-k", "loss or refused or best"),
        ),
    ),
    "products": Subject(
        ("aenet/retrieval/products.py",), (_RANKING, _TIES), frozenset({"_GATHER_BYTES", "DEPTH", "depth"})
    ),
    "ranking": Subject(
        ("aenet/retrieval/ranking.py",),
        (_RANKING, _TIES),
        frozenset({"_BLOCK_BYTES", "_REFERENCES", "_GATHER_BYTES", "_QUERY_BYTES", "_REFERENCE_BYTES"}),
    ),
    "tally": Subject(("aenet/retrieval/tally.py",), (_RANKING, _TIES), frozenset({"_ROWS", "_SPARSE"})),
}  # fmt: skip
NAMED = {"atomic": ("sync(temporary)  ->  pass", "sync(path.parent)  ->  pass", "os.kill(pid, 0)  ->  os.kill(pid, 1)")}

_COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip
_OPERATORS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult,
    ast.Mod: ast.FloorDiv, ast.Pow: ast.Mult, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd, ast.MatMult: ast.Mult,
}  # fmt: skip


@dataclass(frozen=True)
class Mutant:
    """One change: a whole file's new text, where, and what was put for what."""

    subject: str
    file: str
    line: int
    change: str
    text: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.change}"


def variants(node: ast.AST) -> Iterator[ast.AST]:
    """Yield what may stand in a node's place."""
    other = copy.deepcopy(node)
    match other:
        case ast.Compare(ops=[operator]) if type(operator) in _COMPARISONS:
            other.ops = [_COMPARISONS[type(operator)]()]
            yield other
        case ast.BinOp(op=operator) | ast.AugAssign(op=operator) if type(operator) in _OPERATORS:
            other.op = _OPERATORS[type(operator)]()
            yield other
        case ast.BoolOp(op=operator):
            other.op = ast.Or() if isinstance(operator, ast.And) else ast.And()
            yield other
        case ast.UnaryOp(op=ast.Not() | ast.USub() | ast.Invert()):
            yield other.operand
        case ast.Constant(value=bool()):
            yield ast.Constant(not other.value)
        case ast.Constant(value=int() | float()):
            yield ast.Constant(other.value + 1)
        case ast.If() | ast.IfExp() if not _types_only(other):
            other.test = ast.UnaryOp(ast.Not(), other.test)
            yield other
        case ast.Expr(value=ast.Call(func=ast.Name("assert_never"))):
            return  # for the type checker
        case ast.Expr(value=ast.Call()) | ast.Raise() | ast.Continue():
            yield ast.Pass()
        case ast.Assign(targets=[ast.Subscript()]):
            yield ast.Pass()
        case ast.Call(func=ast.Attribute(attr="hypot")):
            return  # of equals
        case ast.Call(args=[ast.Name() | ast.Attribute(), ast.Name() | ast.Attribute(), *_]):
            yield from _swapped(other)


def _swapped(call: ast.Call) -> Iterator[ast.AST]:
    """Yield the call with two neighbours among its arguments exchanged."""
    for first in range(len(call.args) - 1):
        other = copy.deepcopy(call)
        other.args[first : first + 2] = reversed(other.args[first : first + 2])
        yield other


def _types_only(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"


def places(tree: ast.AST, tuning: frozenset[str]) -> Iterator[tuple[ast.AST, str, int | None]]:
    """Yield each node that may be changed: its parent, the parent's field, and the place in a list.

    Not changed: annotations, decorators, what an error says, named constants of `tuning`, what the tests' own check of
    types sees alone.
    """
    for name, value in ast.iter_fields(tree):
        if name in {"annotation", "returns", "decorator_list", "keywords", "bases"} and not isinstance(tree, ast.Call):
            continue
        if isinstance(tree, ast.Raise | ast.JoinedStr) or _types_only(tree):
            continue
        if isinstance(tree, ast.keyword) and tree.arg == "copy":
            continue
        for index, child in enumerate(value if isinstance(value, list) else [value]):
            if not isinstance(child, ast.AST) or _is_tuning(child, tuning):
                continue
            yield tree, name, index if isinstance(value, list) else None
            yield from places(child, tuning)


def _is_tuning(node: ast.AST, tuning: frozenset[str]) -> bool:
    """Whether it gives a constant of `tuning` its value, or computes with one."""
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    names = {target.id for target in targets if isinstance(target, ast.Name)}
    if isinstance(node, ast.BinOp | ast.IfExp):
        names |= {inner.id for inner in ast.walk(node) if isinstance(inner, ast.Name)}
    return bool(names & tuning)


def mutants_of(name: str) -> list[Mutant]:
    """Return every possible mutant of a subject, in the order of its lines."""
    found = []
    for file in SUBJECTS[name].files:
        tree = ast.parse((ROOT / file).read_text())
        for parent, part, index in places(tree, SUBJECTS[name].tuning):
            holder = getattr(parent, part)
            old = holder if index is None else holder[index]
            for new in variants(old):
                _put(parent, part, index, new)
                ast.fix_missing_locations(ast.copy_location(new, old))
                text = ast.unparse(tree)
                change = f"{_short(old)}  ->  {_short(new)}"
                # A constant says little by itself: show what it stands in.
                if isinstance(old, ast.Constant) and not isinstance(parent, ast.Module):
                    new_parent = _short(parent)
                    _put(parent, part, index, old)
                    change = f"{_short(parent)}  ->  {new_parent}"
                _put(parent, part, index, old)
                found.append(Mutant(name, file, getattr(old, "lineno", 0), change, text))
    return found


def _put(parent: ast.AST, part: str, index: int | None, node: ast.AST) -> None:
    if index is None:
        setattr(parent, part, node)
    else:
        getattr(parent, part)[index] = node


def _short(node: ast.AST) -> str:
    line = ast.unparse(node).splitlines()[0]
    return line if len(line) <= 70 else f"{line[:67]}..."


def draw(names: list[str], count: int, seed: int) -> list[Mutant]:
    """Return `count` mutants of these subjects, the named ones among them."""
    every = [mutant for name in names for mutant in mutants_of(name)]
    named = [mutant for mutant in every if mutant.change in NAMED.get(mutant.subject, ())]
    missing = {change for name in names for change in NAMED.get(name, ())} - {mutant.change for mutant in named}
    assert not missing, f"no longer in the code: {missing}"
    others = [mutant for mutant in every if mutant not in named]
    drawn = named + random.Random(seed).sample(others, min(max(0, count - len(named)), len(others)))  # noqa: S311
    return sorted(drawn, key=every.index)


def run_tests(copy_of: Path, arguments: tuple[str, ...], seconds: float) -> tuple[int, float]:
    """Run pytest in a child; return its status (negative: ended by that signal) and its processor time."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    child = os.fork()
    if child == 0:
        _be_pytest(copy_of, arguments, seconds)
    end = time.monotonic() + WALL * seconds
    while (ended := os.waitpid(child, os.WNOHANG))[0] == 0:
        if time.monotonic() > end:
            os.killpg(child, signal.SIGKILL)
        time.sleep(0.02)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return os.waitstatus_to_exitcode(ended[1]), after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _be_pytest(copy_of: Path, arguments: tuple[str, ...], seconds: float) -> None:
    os.setsid()
    _say_nothing()
    resource.setrlimit(resource.RLIMIT_CPU, (int(seconds) + 1, int(seconds) + 2))
    os.chdir(copy_of)
    os._exit(pytest.main(["-x", *QUIETLY, *arguments]))


def _say_nothing() -> None:
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nowhere, stream)


class Nest:
    """A copy of the project in which one module at a time is another."""

    def __init__(self, folder: Path) -> None:
        self.folder, self._times = folder, 0
        self._limits: dict[str, list[float]] = {}
        for part in ("aenet", "tests", "stages", "flows", "benchmarks"):
            shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__", "results"))
        for file in ("pyproject.toml", "params.yaml", "dvc.yaml"):
            shutil.copy(ROOT / file, folder)

    def killed_by(self, mutant: Mutant, limits: list[float]) -> tuple[str | None, float]:
        """Return what noticed: the tests' step, or `time`; None if nothing did. And the processor time it took."""
        original, spent = (ROOT / mutant.file).read_text(), 0.0
        try:
            self.write(mutant.file, mutant.text)
            for step, limit in enumerate(limits):
                tests = SUBJECTS[mutant.subject].tests[step]
                status, took = run_tests(self.folder, tests, limit)
                spent += took
                if status:
                    return (tests[0] if status > 0 else "time"), spent
            return None, spent
        finally:
            self.write(mutant.file, original)

    def write(self, file: str, text: str) -> None:
        """Write a module so that no compiled one of the same second is taken for it."""
        self._times += 1
        (self.folder / file).write_text(text)
        os.utime(self.folder / file, (self._times, self._times))

    def limits(self, name: str) -> list[float]:
        """Return the processor time of each step of tests, from one run on the module as it is, made once.

        Raises:
            SystemExit: a test fails although nothing was changed.
        """
        if name in self._limits:
            return self._limits[name]
        found = self._limits[name] = []
        for tests in SUBJECTS[name].tests:
            for file in SUBJECTS[name].files:
                self.write(file, (ROOT / file).read_text())
            status, took = run_tests(self.folder, tests, 600.0)
            if status:
                raise SystemExit(f"{' '.join(tests)} ends with {status} on the code as it is")
            found.append(max(SECONDS, 5 * took))
        return found


def survey(drawn: list[Mutant]) -> list[tuple[str | None, float]]:
    """Return, for each mutant, what noticed it (None: nothing did), and the processor time it took."""
    found = []
    with tempfile.TemporaryDirectory() as folder:
        nest, names = Nest(Path(folder)), list(dict.fromkeys(mutant.subject for mutant in drawn))
        sys.path[:] = [folder, *(path for path in sys.path if path not in {str(ROOT), str(ROOT / "benchmarks")})]
        preload(nest.folder, names)
        for mutant in drawn:
            by, took = nest.killed_by(mutant, nest.limits(mutant.subject))
            sys.stderr.write(f"{mutant}: {by or 'SURVIVED'}, {took:.1f} s\n")
            found.append((by, took))
    return found


def report(drawn: list[Mutant], found: list[tuple[str | None, float]]) -> list[str]:
    """Return the result as lines of Markdown."""
    lines = ["| module | mutants | killed | share | processor seconds |", "|---|---:|---:|---:|---:|"]
    for name in [*dict.fromkeys(mutant.subject for mutant in drawn), "all"]:
        mine = [row for mutant, row in zip(drawn, found, strict=True) if name in {mutant.subject, "all"}]
        killed = sum(by is not None for by, _ in mine)
        share = 100 * killed / len(mine)
        lines.append(f"| {name} | {len(mine)} | {killed} | {share:.1f} % | {sum(took for _, took in mine):.0f} |")
    survivors = [mutant for mutant, (by, _) in zip(drawn, found, strict=True) if by is None]
    named = [f"`{mutant.change}`" for mutant in drawn if mutant.change in NAMED.get(mutant.subject, ())]
    lines += ["", f"Among them: {', '.join(named)}."] if named else []
    return [*lines, "", "Survivors:" if survivors else "No survivors.", "", *(f"- `{mutant}`" for mutant in survivors)]


def preload(folder: Path, subjects: list[str]) -> None:
    """Import what the tests import, once for all runs; what is changed, and who knows it, is forgotten again."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = "1"
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    files = {arguments[0] for name in subjects for arguments in SUBJECTS[name].tests}
    before, said = Path.cwd(), [os.dup(stream) for stream in (0, 1, 2)]
    os.chdir(folder)
    _say_nothing()
    pytest.main(["--collect-only", *QUIETLY, *sorted(files)])
    sys.dont_write_bytecode = True  # of what is changed; the rest is compiled by now
    for stream, old in enumerate(said):
        os.dup2(old, stream)
    os.chdir(before)
    for name, module in list(sys.modules.items()):
        held = vars(module)  # and no `__getattr__`: torch has modules that answer to every name
        known = f"{held.get('__file__')} {held.get('__path__')}"
        if str(folder) in known or name.split(".")[0] == "aenet":
            del sys.modules[name]


def main() -> None:
    """Read the arguments, make and run the mutants, print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mutants", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--modules", nargs="+", choices=SUBJECTS, default=list(SUBJECTS))
    parser.add_argument("--jobs", type=int, default=1, help="at a time (default %(default)s)")
    parser.add_argument("--list", action="store_true", help="print the mutants, run nothing")
    given: Any = parser.parse_args()
    drawn = draw(given.modules, given.mutants, given.seed)
    if given.list:
        print("\n".join(map(str, drawn)))
        return
    size = -(-len(drawn) // given.jobs)
    parts = [drawn[start : start + size] for start in range(0, len(drawn), size)]  # neighbours share a baseline
    with ProcessPoolExecutor(given.jobs, mp_context=get_context("fork")) as pool:
        rows = dict(zip(chain(*parts), chain(*pool.map(survey, parts)), strict=True))
    lines = [f"`python benchmarks/mutants.py --mutants {given.mutants} --seed {given.seed}` on {processor()}", ""]
    lines += report(drawn, [rows[mutant] for mutant in drawn])
    print("\n".join(lines))
    if given.modules == list(SUBJECTS):
        results_file("mutants", processor()).write_text("\n".join(["# Mutation testing", "", *lines, ""]))


if __name__ == "__main__":
    main()
