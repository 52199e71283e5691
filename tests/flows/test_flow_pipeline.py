"""The pipeline flow against a real, small DVC project and a real Prefect server."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from prefect.artifacts import Artifact

import flows.pipeline
from aenet.io.errors import AenetError
from aenet.io.params import read_yaml
from flows.graph import Graph, parse_dot, read_graph
from flows.pipeline import main, pipeline
from tests.support.prefect_server import server_url

DVC_YAML = """
stages:
  a:
    cmd: python step.py a in.txt
    deps: [in.txt]
    outs: [a.txt]
  b:
    cmd: python step.py b a.txt
    deps: [a.txt]
    outs: [b.txt]
  c:
    foreach: [x, y]
    do:
      cmd: python step.py c@${item} a.txt
      deps: [a.txt]
      outs: ["c@${item}.txt"]
  d:
    cmd: python step.py d b.txt c@x.txt c@y.txt
    deps: [b.txt, c@x.txt, c@y.txt]
    outs: [d.txt]
    metrics: [{metrics.json: {cache: false}}]
"""

GRAPH: Graph = {"a": (), "b": ("a",), "c@x": ("a",), "c@y": ("a",), "d": ("b", "c@x", "c@y")}

# A stage of the miniature project. $MEET names stages that must all be running at once; the first to
# be named leaves last. $BAD names a stage that fails, and its exit status.
STEP = """
import json, os, sys, time
from pathlib import Path

name, inputs = sys.argv[1], sys.argv[2:]
Path("log").mkdir(exist_ok=True)
with open("log/" + name, "a") as log:
    log.write("started\\n")
meet = os.environ.get("MEET", "").split()
if name in meet:
    end = time.time() + 60
    while not all(Path("log/" + other).exists() for other in meet):
        assert time.time() < end, name + " is alone"
        time.sleep(0.05)
    time.sleep(1.0 if name == meet[0] else 0.0)
if os.environ.get("BAD", "").startswith(name + "="):
    print("the photos of", name, "are upside down")
    sys.exit(int(os.environ["BAD"].split("=")[1]))
if os.environ.get("SLEEP") == name:
    time.sleep(300)
Path(name + ".txt").write_text(name + "".join(Path(file).read_text() for file in inputs))
if name == "d":
    Path("reports").mkdir(exist_ok=True)
    Path("reports/table.md").write_text("| variant | R@1 |")
    Path("reports/curve.png").write_bytes(b"a picture")
    Path("metrics.json").write_text(json.dumps({"recall": {"at_1": 0.75}}))
"""


def shell(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("template") / "project"
    folder.mkdir()
    (folder / "dvc.yaml").write_text(DVC_YAML)
    (folder / "step.py").write_text(STEP)
    (folder / "in.txt").write_text("one")
    for command in (["git", "init", "-q"], [sys.executable, "-m", "dvc", "init", "-q"]):
        subprocess.run(command, cwd=folder, check=True)
    return folder


@pytest.fixture(scope="module")
def plain(template: Path) -> Path:
    """The same project after a plain `dvc repro`."""
    folder = template.parent / "plain"
    shutil.copytree(template, folder)
    subprocess.run([sys.executable, "-m", "dvc", "repro", "-q"], cwd=folder, check=True)
    return folder


def enter(source: Path, folder: Path, patch: pytest.MonkeyPatch) -> Path:
    """Copy a project and go there."""
    shutil.copytree(source, folder)
    patch.chdir(folder)
    patch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    patch.delenv("DVC_ROOT", raising=False)
    patch.setattr(flows.pipeline, "RETRY_SECONDS", 0)
    return folder


@pytest.fixture
def project(template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return enter(template, tmp_path / "project", monkeypatch)


@pytest.fixture
def finished(plain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return enter(plain, tmp_path / "project", monkeypatch)


def states(message: str | None) -> dict[str, str]:
    """Read `a Completed, b Unchanged` back."""
    return dict(part.split(" ") for part in (message or "").split(", "))  # type: ignore[misc]  # two words each


def starts(project: Path, stage: str) -> int:
    log = project / "log" / stage
    return log.read_text().count("started") if log.exists() else 0


def test_every_stage_follows_what_it_waits_for() -> None:
    graph = parse_dot('strict digraph {\n"d";\n"a";\n"c@x";\n"a" -> "c@x";\n"c@x" -> "d";\n"a" -> "d";\n}')
    assert list(graph) == ["a", "c@x", "d"]
    assert graph["d"] == ("c@x", "a")


def test_the_graph_is_dvcs_own(project: Path) -> None:
    assert {stage: set(before) for stage, before in read_graph().items()} == {
        stage: set(before) for stage, before in GRAPH.items()
    }
    assert list(read_graph(["c"])) == ["a", "c@x", "c@y"]
    with pytest.raises(AenetError, match=r"no stage bb: did you mean b\?"):
        read_graph(["bb"])


def test_outside_a_project_dvc_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(AenetError, match="not inside of a DVC repository"):
        read_graph()
    assert main([]) == 2


def test_a_section_of_no_stage_is_refused(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "params.yaml").write_text("a: {}\nbb: {}\n")
    assert main([]) == 2
    assert "unknown section 'bb' (did you mean 'b'?)" in capsys.readouterr().err


def locked(folder: Path) -> dict[str, object]:
    """What DVC wrote of each stage: it appends them in the order in which they end, which says nothing."""
    stages: dict[str, object] = read_yaml(folder / "dvc.lock")["stages"]
    return stages


def test_parallel_run_locks_what_a_plain_repro_does(
    project: Path, plain: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server_url()
    monkeypatch.setenv("MEET", "b c@x c@y")  # they finish in another order than DVC's
    state = pipeline(workers=3, return_state=True)
    assert states(state.message) == dict.fromkeys(GRAPH, "Completed")
    assert locked(project) == locked(plain)
    shown = Artifact.get("pipeline")
    assert shown is not None
    assert "| c@y | Completed |" in str(shown.data)
    assert "| metrics.json | recall.at_1 | 0.75 |" in str(shown.data)
    assert "| variant | R@1 |" in str(shown.data)
    assert f"[reports/curve.png]({(project / 'reports' / 'curve.png').as_uri()})" in str(shown.data)


def test_what_dvc_holds_is_not_computed(finished: Path) -> None:
    server_url()
    (finished / "in.txt").write_text("two")
    shell(sys.executable, "-m", "dvc", "repro", "-q", "b")
    (finished / "in.txt").write_text("one")
    state = pipeline(["b"], return_state=True)
    assert states(state.message) == {"a": "Restored", "b": "Restored"}
    state = pipeline(["b"], return_state=True)
    assert states(state.message) == {"a": "Unchanged", "b": "Unchanged"}
    assert starts(finished, "b") == 2


def test_a_failure_is_named_and_the_rest_finishes(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server_url()
    monkeypatch.setenv("BAD", "c@x=1")
    state = pipeline(return_state=True)
    assert state.is_failed()
    assert "stage c@x failed (not run because of it: d)" in str(state.message)
    assert "the photos of c@x are upside down" in str(state.message)
    assert starts(project, "c@x") == 2, "tried once more"
    assert starts(project, "d") == 0
    assert (project / "b.txt").exists()
    assert (project / "c@y.txt").exists()


def test_bad_input_is_not_tried_again(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    server_url()
    monkeypatch.setenv("BAD", "a=2")
    assert main([]) == 1
    assert starts(project, "a") == 1
    assert "stage a failed" in capsys.readouterr().err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_stopping_leaves_no_process_and_no_lock(project: Path, plain: Path, number: signal.Signals) -> None:
    environment = {
        **os.environ, "SLEEP": "b", "MEET": "c@x c@y b", "PREFECT_API_URL": server_url(),
        "PYTHONPATH": str(Path(flows.pipeline.__file__).parents[1]),
    }  # fmt: skip
    flow = subprocess.Popen(
        [sys.executable, "-m", "flows.pipeline", "--workers", "3"],
        env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    end = time.monotonic() + 120
    while not ((project / "dvc.lock").exists() and "  c@x:" in (project / "dvc.lock").read_text()):
        assert time.monotonic() < end
        assert flow.poll() is None
        time.sleep(0.1)
    assert set(locked(project)) == {"a", "c@y", "c@x"}
    family = psutil.Process(flow.pid).children(recursive=True)
    assert any("step.py" in " ".join(process.cmdline()) for process in family if process.is_running())
    flow.send_signal(number)
    assert flow.wait(120) != 0
    _, alive = psutil.wait_procs(family, timeout=60)
    assert alive == []
    assert starts(project, "b") == 1, "not tried again"
    if number != signal.SIGINT:  # the end of the story is the same
        assert pipeline(return_state=True).is_completed()
        assert locked(project) == locked(plain)


def test_a_run_by_hand_that_is_told_to_stop_ends_at_once_and_leaves_no_server(project: Path) -> None:
    """Started in a sub folder, with a server inside; SIGTERM reaches its whole process group, as Ctrl-C would."""
    environment = {**os.environ, "SLEEP": "a", "PYTHONPATH": str(Path(flows.pipeline.__file__).parents[1])}
    for name in ("PREFECT_API_URL", "PREFECT_HOME", "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE"):  # this session's
        environment.pop(name, None)
    (project / "below").mkdir()
    flow = subprocess.Popen(
        [sys.executable, "-m", "flows.pipeline", "a"], cwd=project / "below", env=environment,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    end = time.monotonic() + 600
    while not starts(project, "a"):
        assert time.monotonic() < end
        assert flow.poll() is None
        time.sleep(0.1)
    family = psutil.Process(flow.pid).children(recursive=True)
    (server,) = [line for process in family if "uvicorn" in (line := " ".join(process.cmdline()))]
    assert "--host 127.0.0.1" in server
    os.killpg(flow.pid, signal.SIGTERM)
    assert flow.wait(60) != 0
    _, alive = psutil.wait_procs(family, timeout=60)
    assert alive == []
    assert list((project / "below").iterdir()) == []
    assert (project / ".aenet" / "prefect" / "prefect.db").exists()
