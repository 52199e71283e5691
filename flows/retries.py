"""How a task of a flow fails: bad input is a sentence and no second try, all else is tried again after a pause."""

# isort: off
import flows.settings  # noqa: F401  (Prefect reads its environment when it is imported)

# isort: on
from typing import ParamSpec

from prefect.client.schemas.objects import State, TaskRun
from prefect.states import Failed
from prefect.tasks import Task

from aenet.errors import AenetError, TooSmallMachine

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
