"""Experiment tracking: a local journal first, MLflow from it.

`run` is all a stage needs, and it imports no MLflow. `aenet.tracking.follow` and `.sync` send journals,
`aenet.tracking.fetch` fetches the champion; those do.
"""

from aenet.tracking.journal import Registration, Run
from aenet.tracking.run import run

__all__ = ["Registration", "Run", "run"]
