"""Where the shards of a job are computed: here, on a Dask cluster, or on Ray.

All three call `run_shard`, and the finished shard files are the truth: whatever an executor believes, a shard whose
file stands is not computed again, and two workers never compute the same one (`locks.hold` around each). Workers must
see the job's folders under the same paths.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Literal, assert_never

from aenet.io.errors import AenetError
from aenet.io.machine import need, usable_cores
from aenet.io.terminal import lacking, quiet
from aenet.serving.jobs.job import Job
from aenet.serving.jobs.shard import ShardResult, run_shard

Executor = Literal["local", "dask", "ray"]
ANSWER_SECONDS = 30  # a scheduler that is there answers in one
_LOST_WORKERS = 3  # a shard that takes so many workers with it is at fault itself


def run_shards(
    job: Job,
    executor: Executor = "local",
    address: str | None = None,
    workers: int = 0,
    on_photos: Callable[[int], None] | None = None,
) -> Iterator[ShardResult]:
    """Compute what is missing of a job and yield each shard's result as it is finished.

    Args:
        job: from `plan`.
        executor: `local` computes one shard after another, each with all the threads the job allows; `dask` and `ray`
            compute several at a time.
        address: of a running cluster; None starts one in this machine and stops it afterwards.
        workers: of a cluster started here; 0 means one per usable core, each with one thread.
        on_photos: called with the photos of the present shard placed so far; only `local` has one present shard.

    Raises:
        AenetError: an executor that is not installed or does not answer, or a shard that cannot be computed.
    """
    missing = job.missing
    if not missing:
        return
    match executor:
        case "local":
            for shard in missing:
                yield run_shard(job, shard, on_photos)
        case "dask":
            with _dask(address, workers) as client:
                yield from _on_dask(client, _for_workers(job, address), missing)
        case "ray":
            with _ray(address, workers) as remote:
                yield from _on_ray(remote, _for_workers(job, address), missing)
        case _:
            assert_never(executor)


def _for_workers(job: Job, address: str | None) -> Job:
    """Give each worker one thread where they share this machine's cores and nobody decided otherwise."""
    options = job.options
    if address is None and options.threads == 0:
        options = options.model_copy(update={"threads": 1, "decoders": options.decoders or 1})
    # Workers start elsewhere: paths must not depend on the folder they are started in.
    paths = {name: getattr(job, name).absolute() for name in ("out", "gallery", "model")}
    return replace(job, options=options, **paths)


@contextmanager
def _dask(address: str | None, workers: int) -> Iterator[Any]:
    need("executor dask", "distributed", extra="dask")
    import distributed

    cluster = None
    try:
        if address is None:
            # Processes, because a session and its threads are a process's own; nothing of it listens beyond this host.
            cluster = distributed.LocalCluster(
                n_workers=workers or usable_cores(),
                threads_per_worker=1,
                processes=True,
                dashboard_address=None,
                host="127.0.0.1",
                # A cluster that ends amid its work prints tracebacks of its own; what the user is to know is raised.
                silence_logs=logging.CRITICAL,
            )
        client = distributed.Client(cluster or address, timeout=ANSWER_SECONDS)
    except (OSError, TimeoutError, ValueError) as error:
        raise AenetError(f"no Dask scheduler answers at {address}: {error}") from error
    try:
        yield client
    finally:
        client.close()
        if cluster is not None:
            cluster.close()


def _on_dask(client: Any, job: Job, shards: tuple[int, ...]) -> Iterator[ShardResult]:
    import distributed

    # A worker that dies loses its shard to another: it left no file, and its lock went with it.
    client.run_on_scheduler(_tolerate_lost_workers)
    futures = [client.submit(_attempt, job, shard, pure=False, key=f"{job.key[:12]}-{shard:05d}") for shard in shards]
    for future in distributed.as_completed(futures):
        try:
            result = future.result()
        except distributed.KilledWorker as error:
            raise AenetError(
                f"shard {future.key}: {_LOST_WORKERS + 1} Dask workers died with it; too little memory for a worker, "
                "or a photo that crashes a decoder: run the job again with `executor` local to see which"
            ) from error
        yield _checked(result)


def _checked(result: ShardResult | AenetError) -> ShardResult:
    if isinstance(result, AenetError):
        raise result
    return result


def _attempt(job: Job, shard: int) -> ShardResult | AenetError:
    """Compute a shard in a worker, and return what the user is to be told: what is raised, workers print as traceback.

    So is what the worker's machine lacks, which the sentence describes as it is there.
    """
    quiet()
    try:
        with lacking():
            return run_shard(job, shard)
    except AenetError as error:
        return error


def _tolerate_lost_workers(dask_scheduler: Any) -> None:
    dask_scheduler.allowed_failures = _LOST_WORKERS


@contextmanager
def _ray(address: str | None, workers: int) -> Iterator[Any]:
    need("executor ray", "ray", extra="ray")
    import ray

    options = {} if address else {"num_cpus": workers or usable_cores(), "include_dashboard": False}
    try:
        ray.init(address=address, log_to_driver=False, **options)
    except (ConnectionError, ValueError) as error:
        raise AenetError(f"no Ray cluster answers at {address}: {error}") from error
    try:
        yield ray.remote(num_cpus=1, max_retries=_LOST_WORKERS)(_attempt)
    finally:
        ray.shutdown()


def _on_ray(remote: Any, job: Job, shards: tuple[int, ...]) -> Iterator[ShardResult]:
    import ray

    running = [remote.remote(job, shard) for shard in shards]
    while running:
        finished, running = ray.wait(running)
        try:
            yield _checked(ray.get(finished[0]))
        except ray.exceptions.RayTaskError as error:
            raise error.as_instanceof_cause() from None
