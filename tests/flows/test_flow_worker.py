"""A run outlives the Prefect worker that started it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from tests.support.prefect_server import server_url

from prefect.client.orchestration import get_client  # isort: skip
from prefect.client.schemas.actions import WorkPoolCreate  # isort: skip
from prefect.client.schemas.objects import FlowRun  # isort: skip

ROOT = Path(__file__).parents[2]

# Begins as flows/localize.py and flows/pipeline.py do. Logs until a file appears, and counts the lines in another.
FLOW = """
import flows.settings
import time
from pathlib import Path
from prefect import flow, get_run_logger
from flows import commandline

@flow
def chatty() -> None:
    for line in range(6000):
        get_run_logger().info("line %d", line)
        Path("lines").write_text(str(line))
        if Path("enough").exists():
            return
        time.sleep(0.05)
"""


def wait_until(done: Callable[[], bool], seconds: float = 180) -> None:
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_a_worker_killed_while_its_run_logs_does_not_end_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "chatty.py").write_text(FLOW)
    monkeypatch.chdir(tmp_path)
    environment = {**os.environ, "PREFECT_API_URL": server_url(), "PYTHONPATH": str(ROOT)}

    def lines() -> int:
        file = tmp_path / "lines"
        return int(file.read_text() or 0) if file.exists() else 0

    with get_client(sync_client=True) as client:
        client.create_work_pool(WorkPoolCreate(name="machine", type="process"))
        deployment = client.create_deployment(
            client.create_flow_from_name("chatty"), "chatty", work_pool_name="machine",
            entrypoint="chatty.py:chatty", path=str(tmp_path),
            pull_steps=[{"prefect.deployments.steps.set_working_directory": {"directory": str(tmp_path)}}],
        )  # fmt: skip
        run = client.create_flow_run_from_deployment(deployment)

        def state() -> FlowRun:
            return client.read_flow_run(run.id)

        with subprocess.Popen(
            [sys.executable, "-m", "prefect", "worker", "start", "--pool", "machine", "--type", "process"],
            cwd=tmp_path, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        ) as worker:  # fmt: skip
            wait_until(lambda: lines() > 0)
            (engine,) = psutil.Process(worker.pid).children()
            worker.send_signal(signal.SIGKILL)
        heard = lines()
        try:
            wait_until(lambda: lines() > heard + 20 or not engine.is_running())
            assert engine.is_running(), f"the run is {state().state_name}"
            (tmp_path / "enough").touch()
            wait_until(lambda: state().state is not None and state().state.is_final())  # type: ignore[union-attr]
            assert state().state_name == "Completed"
        finally:
            if engine.is_running():
                engine.kill()
            client.delete_deployment(deployment)
