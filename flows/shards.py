"""A job's shards as Prefect tasks: one a shard here, one for all of them on a cluster.

Whatever Prefect believes of an earlier run, the finished shard files are the truth.
"""

from typing import NamedTuple, ParamSpec

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun
from prefect.states import Completed, Failed
from prefect.tasks import Task

import flows.settings  # noqa: F401  (Prefect reads its environment when it is imported)
from aenet.io.errors import AenetError, TooSmallMachine
from aenet.io.terminal import lacking
from aenet.serving.localize import Executor, Job, ShardResult, run_shard, run_shards

# How a task of a flow fails: bad input is a sentence and no second try, all else is tried again after a pause.

# isort: off

# isort: on


SECONDS = 5
P = ParamSpec("P")


def bad_input(error: AenetError) -> State:
    """Return the state of a task whose input is at fault, or of one that the machine was too small for just now."""
    return Failed(name="TooSmall" if isinstance(error, TooSmallMachine) else "BadInput", message=str(error))


def again(what: Task[P, State], retries: int) -> Task[P, State]:
    """Return a task that is tried so many times more, unless its input is at fault."""
    return what.with_options(retries=retries, retry_delay_seconds=SECONDS, retry_condition_fn=_not_bad_input)


def _not_bad_input(_task: object, _run: TaskRun, state: State) -> bool:
    return state.name != "BadInput"


# isort: off

# isort: on


class Cluster(NamedTuple):
    """Where shards are computed: see `aenet.serving.jobs.executors.run_shards`."""

    executor: Executor = "local"
    address: str | None = None
    workers: int = 0


@task(task_run_name="shard-{shard}", cache_policy=NO_CACHE, persist_result=False)
def place_shard(job: Job, shard: int) -> State:
    """Place the photos of one shard; a shard that is finished already is not computed again."""
    try:
        with lacking():
            result = run_shard(job, shard)
    except AenetError as error:  # a sentence, no traceback; bad input gets no second try
        return bad_input(error)
    return Completed(name="Completed" if result.computed else "Unchanged", message=_said(result))


@task(task_run_name="shards-on-{cluster.executor}", cache_policy=NO_CACHE, persist_result=False)
def place_all(job: Job, cluster: Cluster) -> State:
    """Place the photos of all missing shards on a cluster, several shards at a time."""
    log, done = get_run_logger(), 0
    try:
        with lacking():
            for result in run_shards(job, *cluster):
                done += 1
                log.info("shard %d: %s", result.shard, _said(result))
    except AenetError as error:
        return bad_input(error)
    return Completed(message=f"{done} shards")


def run_missing(job: Job, cluster: Cluster, retries: int) -> None:
    """Compute what is missing of a job.

    Raises:
        AenetError: the reason of the first task that failed.
    """
    missing = job.missing
    get_run_logger().info("%d of %d shards are to be computed", len(missing), len(job.shards))
    if not missing:
        return
    if cluster.executor == "local":
        one = again(place_shard, retries)
        futures = [one.submit(job, shard) for shard in missing]
    else:
        futures = [again(place_all, retries).submit(job, cluster)]
    for future in futures:
        future.wait()
    left = job.missing
    for future in futures:
        if not future.state.is_completed():
            raise AenetError(f"{len(left)} of {len(job.shards)} shards are not computed: {future.state.message}")


def _said(result: ShardResult) -> str:
    return f"{result.photos} photos, {result.errors} errors, {result.seconds:.1f} s on {result.runs_on}"
