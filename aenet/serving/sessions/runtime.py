"""Opening exported networks in onnxruntime: CUDA first, the CPU where that is allowed, and always said which.

The provider is a demand or a preference: `cuda` runs on CUDA or is an error, `auto` prefers CUDA, `cpu` is
the CPU. onnxruntime by itself falls back silently, so the session is asked afterwards what it really has.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnxruntime
from pydantic import Field

from aenet.data.card import CARD, HALF, ONNX_BYTES, ModelCard
from aenet.io.errors import AenetError, CorruptArtifact
from aenet.io.machine import usable_cores
from aenet.io.nolinks import listed_path, read_listed
from aenet.io.params import Config
from aenet.serving.sessions.cuda import CPU, CUDA, SILENT, TENSORRT, CudaDevice, CudaOptions, cuda_device, open_cuda
from aenet.serving.sessions.onnxgraph import check_graph
from aenet.view.spec import AerialView, GroundView

Provider = Literal["auto", "cuda", "cpu"]
Precision = Literal["auto", "fp32", "fp16"]


class SessionOptions(Config):
    """Where and how a network runs: one type from the command line down to onnxruntime.

    Attributes:
        provider: `auto` prefers CUDA, `cuda` runs on CUDA or is an error, `cpu` is the CPU.
        precision: number format of the network's arithmetic: `auto` is fp16 on CUDA where the model has it, else fp32.
        threads: CPU threads of one inference; 0 means one per usable core.
        batch_size: views per inference; on CUDA the last batch is padded to it.
        cuda: how to run on CUDA.
    """

    provider: Provider = "auto"
    precision: Precision = "auto"
    threads: int = Field(default=0, ge=0)
    batch_size: int = Field(default=32, ge=1)
    cuda: CudaOptions = CudaOptions()

    @property
    def session(self) -> "SessionOptions":
        """These alone, of options that hold more."""
        return SessionOptions(**{name: getattr(self, name) for name in SessionOptions.model_fields})


def read_checked(path: Path, card: ModelCard) -> bytes:
    """Return the file's bytes once they are known to be the card's: what is checked is what is run."""
    expected = card.sha256.get(path.name)
    if expected is None:
        raise CorruptArtifact(f"{path.parent}: the card names no digest for {path.name}: export the model again")
    content = read_listed(listed_path(path.parent, path.name, CARD), ONNX_BYTES)
    if hashlib.sha256(content).hexdigest() != expected:
        raise CorruptArtifact(f"{path} changed while it was being read: export the model again")
    check_graph(content, path)
    return content


@dataclass(frozen=True)
class Network:
    """An opened model file.

    Attributes:
        session: onnxruntime's.
        path: the file.
        runs_on: provider and precision in words: `CUDA (NVIDIA H100, fp16)`, `CPU (2 threads)`.
        on_cuda: it runs on CUDA and takes batches of one size only.
    """

    session: Any
    path: Path
    runs_on: str
    on_cuda: bool


def open_network(folder: Path, side: str, card: ModelCard, options: SessionOptions) -> Network:
    """Open the file of one branch; see `session.OnnxBranch` for the arguments and errors."""
    provider, precision, cuda = options.provider, options.precision, options.cuda
    device = cuda_device(cuda.device)
    if provider == "cuda" and not device:
        raise AenetError(
            f"provider cuda was demanded but {device.reason}: use `provider` auto or cpu to run on the CPU"
        )
    onnxruntime.set_default_logger_severity(SILENT)
    if provider != "cpu" and device:
        half = precision == "fp16" or (precision == "auto" and f"{side}{HALF}" in card.sha256)
        path = _file(folder, side, card, half)
        session = _open_on_cuda(path, card, device, options, half)
        if session is not None:
            through = "TensorRT on " if TENSORRT in session.get_providers() else ""
            words = f"CUDA ({through}{device.name}, {'fp16' if half else 'fp32'}{', TF32' * (cuda.tf32 and not half)})"
            return Network(session, path, words, True)
    half = precision == "fp16"
    path, threads = _file(folder, side, card, half), options.threads or usable_cores()
    words = f"CPU ({threads} thread{'s' if threads > 1 else ''}{', fp16' * half})"
    return Network(_open_on_cpu(path, card, threads), path, words, False)


def _file(folder: Path, side: str, card: ModelCard, half: bool) -> Path:
    if half and f"{side}{HALF}" not in card.sha256:
        raise AenetError(
            f"{folder} holds no half-precision model ({side}{HALF}): export with precisions: [fp32, fp16], or take "
            "precision auto or fp32"
        )
    return folder / f"{side}{HALF if half else '.onnx'}"


def _open_on_cuda(path: Path, card: ModelCard, device: CudaDevice, options: SessionOptions, half: bool) -> Any | None:
    """Return a session on CUDA, or None where it does not start and need not."""
    content, says, only = read_checked(path, card), "it fell back to the CPU", options.provider == "cuda"
    try:
        session = open_cuda(content, options.cuda, half, options.batch_size, only)
        wanted = TENSORRT if options.cuda.tensorrt else CUDA
        if wanted in session.get_providers():
            return session
    except AenetError:
        raise
    except Exception as error:  # noqa: BLE001  onnxruntime raises a dozen unrelated kinds
        says = _one_line(error)
    if only or options.cuda.tensorrt:
        raise AenetError(
            f"{path}: {device.name} is there, but onnxruntime could not put the network on it ({says}): "
            "`aenet doctor` tells why, `provider` cpu runs on the CPU"
        )
    return None


def _open_on_cpu(path: Path, card: ModelCard, threads: int) -> Any:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = SILENT
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # Idle threads that spin would take the cores on which the next photos are being decoded.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return onnxruntime.InferenceSession(read_checked(path, card), options, providers=[CPU])
    except AenetError:
        raise
    except Exception as error:
        raise AenetError(f"{path}: onnxruntime cannot open it ({_one_line(error)})") from error


def infer(network: Network, feed: dict[str, np.ndarray]) -> np.ndarray:
    """Return the descriptors of one batch.

    Raises:
        AenetError: onnxruntime fails.
    """
    try:
        return np.asarray(network.session.run(["descriptor"], feed)[0])
    except Exception as error:
        raise failure(network, error) from error


def failure(network: Network, error: Exception) -> AenetError:
    """Return what to say of an inference that failed, with a way out where memory was short."""
    says = _one_line(error)
    short = any(word in says.lower() for word in ("out of memory", "failed to allocate", "bad_alloc", "bad allocation"))
    way = ": take a smaller batch size, or free the device's memory" if short else ""
    return AenetError(f"{network.path} on {network.runs_on}: onnxruntime failed ({says}){way}")


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]


def check_signature(session: Any, card: ModelCard, view: GroundView | AerialView, path: Path) -> str:
    """Return the input's name after holding the graph's input and output against the card."""
    inputs, outputs = session.get_inputs(), session.get_outputs()
    want_in = [view.height, view.width, 3]
    if len(inputs) != 1 or inputs[0].type != "tensor(uint8)" or list(inputs[0].shape[1:]) != want_in:
        found = [(node.name, node.type, node.shape) for node in inputs]
        raise AenetError(f"{path}: the input must be uint8 N x {want_in} by its card, the graph has {found}")
    if [node.name for node in outputs] != ["descriptor"] or outputs[0].shape[-1] not in (card.descriptor_dim, None):
        found = [(node.name, node.type, node.shape) for node in outputs]
        raise AenetError(f"{path}: the output must be descriptor N x {card.descriptor_dim}, the graph has {found}")
    return str(inputs[0].name)
