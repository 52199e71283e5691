"""Opening exported networks in onnxruntime: CUDA first, the CPU where that is allowed, and always said which.

The provider is a demand or a preference: `cuda` runs on CUDA or is an error, `auto` prefers CUDA, `cpu` is
the CPU. onnxruntime by itself falls back silently, so the session is asked afterwards what it really has.
"""

import hashlib
from pathlib import Path
from typing import Any, Literal, get_args

import onnxruntime

from aenet.card import ModelCard
from aenet.cores import usable_cores
from aenet.errors import AenetError, CorruptArtifact
from aenet.serving.cuda import cuda_device

Provider = Literal["auto", "cuda", "cpu"]
_CUDA = "CUDAExecutionProvider"
_CPU = "CPUExecutionProvider"
_SILENT = 4  # onnxruntime's severity "fatal": what goes wrong is raised, and said by us
# Every tensor kept outside its file carries the string entry key "location": {1: "location", 2: ...}.
_EXTERNAL_DATA = b"\x0a\x08location\x12"


def read_checked(path: Path, card: ModelCard) -> bytes:
    """Return the file's bytes once they are known to be the card's: what is checked is what is run."""
    expected = card.sha256.get(path.name)
    if expected is None:
        raise CorruptArtifact(f"{path.parent}: the card names no digest for {path.name}: export the model again")
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != expected:
        raise CorruptArtifact(f"{path} changed while it was being read: export the model again")
    if _EXTERNAL_DATA in content:
        raise CorruptArtifact(
            f"{path} keeps weights outside its file, where no digest covers them: export it self-contained"
        )
    return content


def open_session(content: bytes, path: Path, provider: Provider, threads: int) -> tuple[Any, str]:
    """Return a session on a model's bytes and, in words, what it runs on; see `session.Branch` for the arguments."""
    if provider not in get_args(Provider):
        raise AenetError(f"provider {provider!r} is unknown: use one of {', '.join(get_args(Provider))}")
    device = cuda_device()
    if provider == "cuda" and not device:
        raise AenetError(
            f"provider cuda was demanded but {device.reason}: use --provider auto or cpu to run on the CPU"
        )
    onnxruntime.set_default_logger_severity(_SILENT)
    threads = threads or usable_cores()
    if provider != "cpu" and device:
        if hasattr(onnxruntime, "preload_dlls"):
            onnxruntime.preload_dlls()
        session = _session(content, path, [_CUDA, _CPU], threads)
        if _CUDA in session.get_providers():
            return session, f"CUDA ({device.name})"
        if provider == "cuda":
            raise AenetError(
                f"provider cuda was demanded and {device.name} is there, but onnxruntime could not start on it "
                "(libraries of CUDA or cuDNN missing or too old): see `aenet doctor`, or use --provider cpu"
            )
    else:
        session = _session(content, path, [_CPU], threads)
    return session, f"CPU ({threads} thread{'s' if threads > 1 else ''})"


def _session(content: bytes, path: Path, providers: list[str], threads: int) -> Any:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _SILENT
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # Idle threads that spin would take the cores on which the next photos are being decoded.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return onnxruntime.InferenceSession(content, options, providers=providers)
    except Exception as error:  # onnxruntime raises a dozen unrelated kinds
        raise AenetError(f"{path}: onnxruntime cannot open it ({' '.join(str(error).split())[:300]})") from error


def check_signature(session: Any, card: ModelCard, path: Path) -> str:
    """Return the input's name after holding the graph's input and output against the card."""
    inputs, outputs = session.get_inputs(), session.get_outputs()
    want_in = [card.view.height, card.view.width, 3]
    if len(inputs) != 1 or inputs[0].type != "tensor(uint8)" or list(inputs[0].shape[1:]) != want_in:
        found = [(node.name, node.type, node.shape) for node in inputs]
        raise AenetError(f"{path}: the input must be uint8 N x {want_in} by its card, the graph has {found}")
    if [node.name for node in outputs] != ["descriptor"] or outputs[0].shape[-1] not in (card.descriptor_dim, None):
        found = [(node.name, node.type, node.shape) for node in outputs]
        raise AenetError(f"{path}: the output must be descriptor N x {card.descriptor_dim}, the graph has {found}")
    return str(inputs[0].name)
