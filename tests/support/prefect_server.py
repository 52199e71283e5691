"""One Prefect server for the whole test session (it takes some seconds to start)."""

import atexit
import functools
import logging
from contextlib import ExitStack

import flows.settings  # noqa: F401  (before prefect)

from prefect.settings import PREFECT_API_URL  # isort: skip
from prefect.testing.utilities import prefect_test_harness  # isort: skip


@functools.cache
def server_url() -> str:
    """Start the server if it is not running yet and return its address."""
    stack = ExitStack()
    atexit.register(stack.close)
    stack.enter_context(prefect_test_harness(server_startup_timeout=120))
    # Registered last, so called before the server is stopped: pytest has by then closed what its last words go to.
    atexit.register(logging.disable)
    return str(PREFECT_API_URL.value())
