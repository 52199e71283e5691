"""AENet: cross-view geo-localization as a reproducible pipeline.

The doors are opened when they are first named: `import aenet` loads neither torch nor onnxruntime.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from aenet import quiet as quiet  # first: it sets the environment of what is imported next

if TYPE_CHECKING:
    from aenet.doors.evaluatedoor import evaluate as evaluate
    from aenet.doors.gallerydoor import Gallery as Gallery
    from aenet.doors.locatedoor import locate as locate
    from aenet.doors.modeldoor import Model as Model
    from aenet.doors.modeldoor import load_model as load_model
    from aenet.doors.traindoor import train as train
    from aenet.io.errors import AenetError as AenetError

__version__ = "0.1.0"
__all__ = ["AenetError", "Gallery", "Model", "evaluate", "load_model", "locate", "train"]

_DOORS = {
    "AenetError": "aenet.io.errors",
    "Gallery": "aenet.doors.gallerydoor",
    "Model": "aenet.doors.modeldoor",
    "evaluate": "aenet.doors.evaluatedoor",
    "load_model": "aenet.doors.modeldoor",
    "locate": "aenet.doors.locatedoor",
    "train": "aenet.doors.traindoor",
}


def __getattr__(name: str) -> Any:
    if name not in _DOORS:
        raise AttributeError(f"module 'aenet' has no attribute {name!r}; it offers {', '.join(__all__)}")
    door = getattr(import_module(_DOORS[name]), name)
    globals()[name] = door
    return door


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
