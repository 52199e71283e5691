"""`aenet.train`: packed views to a model that is kept, with its weights, its card and its history."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from aenet.doors.given import PathLike
from aenet.io.machine import need

if TYPE_CHECKING:
    from aenet.doors.fitdoor import Kept
    from aenet.training.state import Epoch, Step


def train(
    views: PathLike,
    preset: PathLike = "paper",
    out: PathLike = "models/mine",
    *,
    changes: Mapping[str, Any] | None = None,
    overwrite: bool = False,
    on_step: "Callable[[Step], None] | None" = None,
    on_epoch: "Callable[[Epoch], None] | None" = None,
) -> "Kept":
    """Train on packed views and keep the model. A run that was killed goes on from its last checkpoint.

    Args:
        views: folder of packed views, as the stage `polar_transform` leaves it.
        preset: name of a file of presets/ (in the present folder, else beside the package in a checkout), or the path
            of a YAML file with a section `train`.
        out: the model's folder; a finished training of the same inputs is left as it is. While it is under way, its
            checkpoints lie beside it.
        changes: values of the section `train` by dotted key: `{"epochs": 2, "model.backbone.name": "resnet18"}`.
        overwrite: replace a model of other inputs in `out`.
        on_step, on_epoch: told of progress.

    Raises:
        AenetError: PyTorch is not installed, views or preset cannot be used, `out` holds something else, or see
            `aenet.training.loop.train`.
    """
    need("`aenet.train`", "torch", "timm", "accelerate", "safetensors", "psutil", "scipy")
    from aenet.doors.fitdoor import fit

    return fit(views, preset, out, changes, overwrite, on_step, on_epoch)
