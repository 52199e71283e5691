"""prefect.yaml and the pool templates, held against the flows and against Prefect itself."""

import json
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import prefect
import pytest
import yaml

from aenet.serving.vocabulary import gallery_options, locate_options
from flows.localize import localize
from tests.support.prefect_server import server_url

from prefect.client.orchestration import get_client  # isort: skip
from prefect.client.schemas.actions import DeploymentScheduleCreate  # isort: skip
from prefect.client.schemas.schedules import CronSchedule, IntervalSchedule  # isort: skip
from prefect.flows import load_flow_from_entrypoint  # isort: skip

ROOT = Path(__file__).parents[2]
DEPLOYMENTS: dict[str, dict[str, Any]] = {
    entry["name"]: entry for entry in yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"]
}
OPTIONS = {"nightly": locate_options, "weekly": gallery_options}


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_a_deployment_fits_its_flow(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = DEPLOYMENTS[name]
    monkeypatch.chdir(ROOT)
    flow = load_flow_from_entrypoint(entry["entrypoint"])
    parameters = flow.validate_parameters(entry["parameters"])
    if name in OPTIONS:
        OPTIONS[name](parameters.get("options") or {}, "prefect.yaml")
    for schedule in entry["schedules"]:
        CronSchedule(cron=schedule["cron"], timezone=schedule["timezone"])
    assert entry["concurrency_limit"] == 1
    assert {entry["work_pool"]["name"] for entry in DEPLOYMENTS.values()} == {"aenet"}


def test_the_gallery_is_refreshed_where_the_night_looks_for_it() -> None:
    nightly, weekly = (DEPLOYMENTS[name]["parameters"] for name in ("nightly", "weekly"))
    assert nightly["gallery"] == weekly["out"]


@pytest.mark.parametrize(("kind", "package"), [("docker", "prefect-docker"), ("kubernetes", "prefect-kubernetes")])
def test_a_pool_is_prefects_own_and_more(kind: str, package: str) -> None:
    """Every variable of Prefect's template is still there, and every placeholder is a variable."""
    pool = json.loads((ROOT / "docs" / "pools" / f"{kind}.json").read_text())
    views = Path(prefect.__file__).parent / "server" / "api" / "collections_data" / "views"
    known = json.loads((views / "aggregate-worker-metadata.json").read_text())[package][kind]
    theirs = known["default_base_job_configuration"]
    ours = set(pool["variables"]["properties"])
    assert ours >= set(theirs["variables"]["properties"])
    used = set(re.findall(r"\{\{ (\w+) \}\}", json.dumps(pool["job_configuration"])))
    assert used == ours
    assert used > set(re.findall(r"\{\{ (\w+) \}\}", json.dumps(theirs["job_configuration"])))


def test_a_schedule_gives_runs() -> None:
    """Prefect 3.8 schedules nothing with SQLAlchemy 2.1 and says so in the server's log alone."""
    schedule = DeploymentScheduleCreate(schedule=IntervalSchedule(interval=timedelta(hours=1)), active=True)
    server = server_url()
    with get_client(sync_client=True) as client:
        deployment = client.create_deployment(client.create_flow(localize), "scheduled", schedules=[schedule])
        answer = httpx.post(f"{server}/deployments/{deployment}/schedule", json={"min_runs": 3}, timeout=60)
        assert answer.is_success, f"{answer.text}: install SQLAlchemy < 2.1"
        runs = httpx.post(f"{server}/flow_runs/filter", json={"deployments": {"id": {"any_": [str(deployment)]}}})
        client.delete_deployment(deployment)
    assert [run["state_name"] for run in runs.json()].count("Scheduled") >= 3
