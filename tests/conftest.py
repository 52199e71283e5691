"""Shapes and types of every public function are checked while the tests run, and only then."""

import os
import signal

# Before numpy and torch are imported: tests share few cores, and their sums must round alike every time.
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")
# A job started in the background ignores Ctrl-C, and so would every process that tests start and interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)
os.environ.setdefault("HF_HUB_OFFLINE", "1")  # a test that needs a network is not a test

from jaxtyping import install_import_hook  # noqa: E402  after the settings above

install_import_hook("aenet", "beartype.beartype")
