"""Photos to places, shard by shard, as a Prefect flow: `python -m flows.localize PHOTOS --gallery G --out O`.

Each shard is one task; the finished shard files are the truth, so a job that was killed goes on where it
stopped, whatever Prefect believes of the earlier run.
"""

# isort: off
import flows.settings  # noqa: F401  (Prefect reads its environment when it is imported)

# isort: on
import argparse
import sys
from datetime import UTC, datetime
from pathlib import Path

from prefect import flow, get_run_logger, runtime, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun
from prefect.states import Completed, Failed
from prefect.task_runners import ThreadPoolTaskRunner

from aenet import tracking
from aenet.errors import AenetError
from aenet.serving.localize import Job, LocateOptions, Summary, finish, plan, run_shard
from aenet.serving.runtime import Provider
from aenet.tracking.events import project_root
from flows.placed import numbers, publish, sentence

RETRY_SECONDS = 5
CHAMPION = "models:/aenet@champion"


@task(task_run_name="shard-{shard}", cache_policy=NO_CACHE, persist_result=False)
def place_shard(job: Job, shard: int) -> State:
    """Place the photos of one shard; a shard that is finished already is not computed again."""
    try:
        result = run_shard(job, shard)
    except AenetError as error:  # bad input: a sentence, no traceback, no second try
        return Failed(name="BadInput", message=str(error))
    name = "Completed" if result.computed else "Unchanged"
    said = f"{result.photos} photos, {result.errors} errors, {result.seconds:.1f} s on {result.runs_on}"
    return Completed(name=name, message=said)


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
    shard_size: int = 256,
    provider: Provider = "auto",
    top_k: int = 5,
    batch_size: int = 32,
    overwrite: bool = False,
    retries: int = 1,
) -> State:
    """Place photos on a gallery's map. Shards run one after another: each uses all of the machine.

    Args:
        photos: file, folder, pattern or table of photos.
        gallery: folder of a finished gallery.
        out: folder of the results; `{date}` in it stands for the day the run was scheduled for (UTC).
        model: folder of an exported model, or `models:/NAME@ALIAS` in the model registry.
        shard_size: photos a shard: what a killed run may lose.
        provider: `auto`, `cuda` or `cpu`.
        top_k, batch_size, overwrite: see `aenet.serving.job.LocateOptions`.
        retries: further attempts of a shard that failed for another reason than bad input.
    """
    options = LocateOptions(
        top_k=top_k, shard_size=shard_size, batch_size=batch_size, provider=provider, overwrite=overwrite
    )
    folder = Path(out.replace("{date}", _day()))
    try:
        job = plan(photos, Path(gallery), _model_folder(model), folder, options)
        given = {"photos": photos, "gallery": gallery, "model": model, **options.model_dump(mode="json")}
        summary = _place(job, given, folder, retries)
    except AenetError as error:
        return Failed(message=str(error))
    publish(summary)
    return Completed(name="Partial" if summary.errors else "Completed", message=sentence(summary))


def _place(job: Job, given: dict[str, object], folder: Path, retries: int) -> Summary:
    """Run the job as one tracked run."""
    with tracking.run(
        experiment="localize",
        stage="localize",
        fingerprint=job.key,
        name=folder.name,
        params=given,
        tags={"prefect.flow_run": str(runtime.flow_run.id)},
    ) as run:
        _run_shards(job, retries)
        summary = finish(job)
        run.metrics(numbers(summary))
        run.artifact(folder / "report.html")
    return summary


def _run_shards(job: Job, retries: int) -> None:
    """Run what is missing; raise AenetError with the first shard's reason if any failed."""
    get_run_logger().info("%d of %d shards are to be computed", len(job.missing), len(job.shards))
    again = place_shard.with_options(
        retries=retries, retry_delay_seconds=RETRY_SECONDS, retry_condition_fn=_not_bad_input
    )
    futures = {shard: again.submit(job, shard) for shard in job.missing}
    for future in futures.values():
        future.wait()
    failed = {shard: future.state for shard, future in futures.items() if not future.state.is_completed()}
    for shard, state in failed.items():
        raise AenetError(f"{len(failed)} of {len(job.shards)} shards failed; shard {shard}: {state.message}")


def _not_bad_input(_task: object, _run: TaskRun, state: State) -> bool:
    return state.name != "BadInput"


def _model_folder(model: str) -> Path:
    if not model.startswith("models:/"):
        return Path(model)
    from aenet.tracking.fetch import fetch  # takes MLflow's seconds only where it is needed

    return fetch(model, project_root() / ".aenet" / "models")


def _day() -> str:
    scheduled = runtime.flow_run.scheduled_start_time or datetime.now(UTC)
    return f"{scheduled:%Y-%m-%d}"


def main(arguments: list[str] | None = None) -> int:
    """Run one job; 0 if every photo was readable, 3 if some were not, 1 if the job failed."""
    parser = argparse.ArgumentParser(prog="python -m flows.localize", description="Place photos on a map.")
    parser.add_argument("photos", help="file, folder, pattern or table of photos")
    parser.add_argument("--gallery", required=True)
    parser.add_argument("--out", required=True, help="folder of the results; {date} stands for today")
    parser.add_argument("--model", default=CHAMPION, help="folder, or models:/NAME@ALIAS (default %(default)s)")
    parser.add_argument("--shard-size", type=int, default=256)
    parser.add_argument("--provider", choices=("auto", "cuda", "cpu"), default="auto")
    given = parser.parse_args(arguments)
    state = localize(**vars(given), return_state=True)
    if not state.is_completed():
        sys.stderr.write(f"error: {state.message}\n")
        return 1
    return 3 if state.name == "Partial" else 0


if __name__ == "__main__":
    raise SystemExit(main())
