"""Photos to places, shard by shard, as a Prefect flow: `python -m flows.localize PHOTOS --gallery G --out O`.

A job that was killed goes on where it stopped when it is run again with the same folder.
"""

# isort: off
import flows.settings  # noqa: F401  (Prefect reads its environment when it is imported)

# isort: on
import argparse
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from prefect import flow, get_run_logger, runtime
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed
from prefect.task_runners import ThreadPoolTaskRunner

from aenet import tracking
from aenet.io.errors import AenetError
from aenet.io.terminal import lacking
from aenet.serving.jobs.plan import NothingNew
from aenet.serving.localize import Executor, Job, Summary, finish, plan
from aenet.serving.vocabulary import locate_options
from flows.commandline import add_model_and_options, run_flow
from flows.drift import Drift
from flows.lineage import drift_of, publish, record_inputs, result_metrics, sentence, trace
from flows.models import CHAMPION, FetchedModel, find_model
from flows.shards import Cluster, run_missing


@flow(
    name="localize",
    task_runner=ThreadPoolTaskRunner(max_workers=1),  # type: ignore[arg-type]  # as in flows.pipeline
    persist_result=False,
)
def localize(
    photos: str,
    gallery: str,
    out: str,
    model: str = CHAMPION,
    options: dict[str, Any] | None = None,
    new_only: bool = False,
    history: str | None = None,
    executor: Executor = "local",
    address: str | None = None,
    workers: int = 0,
    shard_size: int = 256,
    overwrite: bool = False,
    retries: int = 1,
    engine: Executor | None = None,
) -> State:
    """Place photos on a gallery's map.

    Args:
        photos: file, folder, pattern or table of photos.
        gallery: folder of a finished gallery, or a link to one.
        out: folder of the results; `{date}` and `{time}` in it stand for the day and the time of day the run was
            scheduled for (UTC).
        model: folder of an exported model, `models:/NAME@ALIAS` in the model registry, or `gallery`: the one that
            embedded a gallery made by `flows.gallery`.
        options: any flag of `aenet locate`, for example `{"provider": "cuda", "precision": "fp16", "device": 1,
            "within_box": [8.9, 47.8, 9.0, 47.9], "min_confidence": 0.9}`, and any field of
            `aenet.serving.jobs.job.LocateOptions`.
        new_only: leave out photos that a finished job below `history` has answered; with none left the run is
            completed with a sentence.
        history: the folder of all jobs; the one above `out` if none is given.
        executor: `local`: one shard after another, each on all of this machine; `dask`, `ray`: many at a time.
        address: of a running cluster; none starts one in this machine.
        workers: of a cluster started here; 0 means one a core.
        shard_size: photos a shard: what a killed run may lose.
        overwrite: replace another job's results in `out`.
        retries: further attempts of a shard that failed for another reason than bad input.
        engine: what `executor` was called before; it goes with the next release.
    """
    if engine is not None:
        get_run_logger().warning("engine is called executor now: write that, the old name goes with the next release")
        executor = engine
    given = {"shard_size": shard_size, "overwrite": overwrite, **(options or {})}
    folder = Path(_dated(out))
    try:
        chosen = locate_options(given, "the job's parameters")
        with lacking():
            # Not the link: a refresh may turn it to another gallery while the job runs.
            of = Path(gallery).resolve()
            found = find_model(model, of)
            if found.note:
                get_run_logger().warning(found.note)
            past = Path(history or Path(out).parent) if new_only else None
            job = plan(photos, of, found.folder, folder, chosen, past)
            cluster = Cluster(executor, address, workers)
            summary, drifts = _place(job, found, cluster, retries, {"photos": photos, **given})
    except NothingNew as nothing:
        return Completed(name="NothingNew", message=str(nothing))
    except AenetError as error:
        return Failed(message=str(error))
    publish(summary, drifts)
    return Completed(name="Partial" if summary.errors else "Completed", message=sentence(summary, drifts))


def _place(
    job: Job, model: FetchedModel, cluster: Cluster, retries: int, given: dict[str, Any]
) -> tuple[Summary, list[Drift]]:
    """Run the job as one tracked run_flow."""
    lineage = trace(job, model)
    with tracking.run(
        experiment="localize",
        stage="localize",
        fingerprint=job.key,
        name=job.out.name,
        params={**given, "gallery": str(job.gallery), "model": model.uri, "executor": cluster.executor},
        tags={"prefect.flow_run": str(runtime.flow_run.id), **lineage.tags()},
    ) as run:
        record_inputs(run, job, lineage)
        run_missing(job, cluster, retries)
        summary = finish(job)
        drifts = drift_of(job, lineage)
        for drift in drifts:
            get_run_logger().log(30 if drift.drifted else 20, drift.sentence())
        run.metrics(result_metrics(summary, drifts))
        run.artifact(job.out / "report.html")
    return summary, drifts


def _dated(out: str) -> str:
    scheduled = runtime.flow_run.scheduled_start_time or datetime.now(UTC)
    return out.replace("{date}", f"{scheduled:%Y-%m-%d}").replace("{time}", f"{scheduled:%H%M%S}")


def main(arguments: list[str] | None = None) -> int:
    """Run one job; 0 if every photo was readable, 3 if some were not, 1 if the job failed, 2 for a bad request."""
    parser = argparse.ArgumentParser(prog="python -m flows.localize", description="Place photos on a map.")
    parser.add_argument("photos", help="file, folder, pattern or table of photos")
    parser.add_argument("--gallery", required=True)
    parser.add_argument("--out", required=True, help="folder of the results; {date} and {time} stand for now")
    parser.add_argument("--new-only", action="store_true", help="leave out what finished jobs have answered")
    parser.add_argument("--history", help="folder of the finished jobs; default: the one above --out")
    parser.add_argument("--executor", choices=("local", "dask", "ray"), default="local")
    parser.add_argument("--engine", choices=("local", "dask", "ray"), help=argparse.SUPPRESS)  # its name before
    parser.add_argument("--address", help="of a running Dask or Ray cluster; default: one in this machine")
    parser.add_argument("--workers", type=int, default=0, help="of a cluster in this machine; 0: one a core")
    parser.add_argument("--shard-size", type=int, default=256)
    parser.add_argument("--provider", choices=("auto", "cuda", "cpu"), default="auto")
    parser.add_argument("--overwrite", action="store_true", help="replace another job's results")
    add_model_and_options(parser, "top_k=10")
    given = vars(parser.parse_args(arguments))
    return run_flow(localize, given, provider=given.pop("provider"))


if __name__ == "__main__":
    raise SystemExit(main())
