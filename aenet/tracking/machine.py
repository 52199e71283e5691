"""CPU, memory, disk, network and (where there is one) GPU of the machine, as MLflow's system metrics."""

from collections.abc import Iterator
from contextlib import contextmanager

SAMPLE_SECONDS = 5.0


@contextmanager
def machine_metrics(uri: str, run_id: str) -> Iterator[None]:
    """Sample the machine into `system/...` metrics of a running run; a run shorter than 5 s has none."""
    from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

    # MLflow's monitor carries no annotations: hence the three ignores.
    monitor = SystemMetricsMonitor(  # type: ignore[no-untyped-call]
        run_id, SAMPLE_SECONDS, resume_logging=True, tracking_uri=uri
    )
    monitor.start()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        monitor.finish()  # type: ignore[no-untyped-call]
