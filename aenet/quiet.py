"""Nothing this project stands on tells anybody anything: switched off before any of it is imported, in every process.

`aenet/__init__` imports this first, and every process of the project imports `aenet` before the library in question:
commands and stages by themselves, workers of Dask, Ray and Prefect because what they are handed is of this package.
Set whatever the environment says: that nothing is told does not depend on who started the process.
"""

import os

OFF = {
    "DO_NOT_TRACK": "true",  # Prefect and Hugging Face take other words as well, MLflow takes this one only
    # Its `disable_telemetry_events()` comes too late: a device's number is kept and a host is asked for by then.
    "ORT_DISABLE_TELEMETRY": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "RAY_USAGE_STATS_ENABLED": "0",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "DVC_NO_ANALYTICS": "1",
    "ITERATIVE_DO_NOT_TRACK": "1",  # of DVC's own parts
    "PROJ_NETWORK": "OFF",  # PROJ fetches grids of datum shifts where it may
}
os.environ.update(OFF)
