"""What would run: onnxruntime, OpenCV, cores."""

import os
from collections.abc import Iterator

from aenet.checks.finding import INSTALL, Finding, installed
from aenet.cores import usable_cores


def check_onnxruntime() -> Iterator[Finding]:
    """Which onnxruntime is there, and only one?"""
    import onnxruntime

    both = [name for name in ("onnxruntime", "onnxruntime-gpu") if installed(name)]
    if len(both) > 1:
        mend = "pip uninstall -y onnxruntime onnxruntime-gpu, then " + INSTALL
        yield Finding("broken", "onnxruntime", "onnxruntime and onnxruntime-gpu overwrite each other's files", mend)
    providers = [name.removesuffix("ExecutionProvider") for name in onnxruntime.get_available_providers()]
    listed = ", ".join(providers)
    yield Finding("ok", "onnxruntime", f"{onnxruntime.__version__}, built for {listed} (built for is not runs on)")


def check_opencv() -> Iterator[Finding]:
    """Does OpenCV make the pixels the models know?"""
    import cv2

    major = int(cv2.__version__.split(".")[0])
    if major >= 5:
        yield Finding("broken", "opencv", f"{cv2.__version__} makes other view pixels than 4.x", INSTALL)
    elif sum(installed(f"opencv-{kind}") for kind in ("python", "python-headless", "contrib-python")) > 1:
        mend = "pip uninstall -y opencv-python opencv-contrib-python opencv-python-headless, then " + INSTALL
        yield Finding("warn", "opencv", "two OpenCV packages overwrite each other's files", mend)
    else:
        yield Finding("ok", "opencv", cv2.__version__)


def check_cores() -> Iterator[Finding]:
    """Are no more threads asked for than there are cores?"""
    cores = usable_cores()
    asked = os.environ.get("OMP_NUM_THREADS", "")
    detail = f"{cores} usable" + (f", OMP_NUM_THREADS={asked}" if asked else "")
    if asked.isdigit() and int(asked) > cores:
        mend = f"unset OMP_NUM_THREADS or set it to at most {cores}"
        yield Finding("warn", "cores", detail + ": more threads than cores are many times slower", mend)
    else:
        yield Finding("ok", "cores", detail)
