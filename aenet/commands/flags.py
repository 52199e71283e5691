"""Flags that commands share, in the groups in which `--help` shows them, and how errors come to speak of flags."""

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
import typer.core

from aenet.io.errors import AenetError

RUNS, GPU, MAP, RESULTS = "Where and how the network runs", "On an NVIDIA GPU", "The map and its tiles", "Results"

ModelOption = Annotated[Path, typer.Option("--model", "-m", help="Folder of an exported model.")]
ProviderOption = Annotated[
    Literal["auto", "cuda", "cpu"],
    typer.Option(
        help="auto: on the GPU if there is one, else on the CPU; cuda: on the GPU or not at all; cpu: on the CPU.",
        rich_help_panel=RUNS,
    ),
]
PrecisionOption = Annotated[
    Literal["auto", "fp32", "fp16"],
    typer.Option(
        help="Number format of the network. auto: fp16 on a GPU if the model has it, else fp32.", rich_help_panel=RUNS
    ),
]
Threads = Annotated[
    int, typer.Option(min=0, help="CPU threads that compute; 0: as many as there are cores.", rich_help_panel=RUNS)
]
BatchSize = Annotated[int, typer.Option(min=1, help="Images the network takes at once.", rich_help_panel=RUNS)]
Device = Annotated[int, typer.Option(min=0, help="Which GPU, counted from 0.", rich_help_panel=GPU)]
GpuMemory = Annotated[
    int | None,
    typer.Option(min=64, metavar="MIB", help="How much of its memory to take at most, in MiB.", rich_help_panel=GPU),
]
Tf32 = Annotated[
    bool, typer.Option("--tf32", help="Multiply fp32 in TF32: faster, and less exact.", rich_help_panel=GPU)
]
CudaGraphs = Annotated[
    bool, typer.Option("--cuda-graphs", help="Replay the network as one CUDA graph.", rich_help_panel=GPU)
]
TensorRt = Annotated[
    bool,
    typer.Option("--tensorrt", help="Run through TensorRT, which builds an engine first.", rich_help_panel=GPU),
]
WithinBoxOption = Annotated[
    str | None,
    typer.Option(
        metavar="W,S,E,N", help="Only inside this box: west, south, east, north in degrees.", rich_help_panel=MAP
    ),
]
Overwrite = Annotated[
    bool,
    typer.Option("--overwrite", help="Delete what a run with other inputs left in --out.", rich_help_panel=RESULTS),
]


def running(
    provider: str,
    precision: str,
    threads: int,
    batch_size: int,
    device: int,
    gpu_memory: int | None,
    tf32: bool,
    cuda_graphs: bool,
    tensorrt: bool,
) -> dict[str, Any]:
    """Return the keywords of `aenet.load_model` that these flags stand for."""
    cuda = {"device": device, "memory_mib": gpu_memory, "tf32": tf32, "graphs": cuda_graphs, "tensorrt": tensorrt}
    return {"provider": provider, "precision": precision, "threads": threads, "batch_size": batch_size, "cuda": cuda}


# What stands behind an option in `--help`: nothing behind a switch, and no names of Python's types.
_SHOWN = {
    "<bool>": "", "<int>": "NUMBER", "<int range>": "NUMBER", "<float>": "NUMBER", "<float range>": "NUMBER",
    "<str>": "TEXT", "<path>": "PATH",
}  # fmt: skip


def _shown(params: list[Any], context: Any) -> list[Any]:
    for param in params:
        kind = getattr(param, "display_type", None)  # of typer's since 0.27; earlier ones show nothing behind switches
        if kind is not None and param.param_type_name == "option" and param.metavar is None:
            param.metavar = _SHOWN.get(kind(context))
    return params


class Command(typer.core.TyperCommand):
    """A command whose help a newcomer can read."""

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the command's options and arguments."""
        return _shown(super().get_params(ctx), ctx)


class Group(typer.core.TyperGroup):
    """The same for a group of commands."""

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the group's options."""
        return _shown(super().get_params(ctx), ctx)


# Flags of earlier versions, which answer with the present one.
_RENAMED = {
    "--network-precision": "--precision", "--area": "--within-box", "--box": "--within-box", "--engine": "--executor",
}  # fmt: skip


def refuse_old_flags(words: Sequence[str]) -> None:
    """Answer flags of an earlier version with their present names.

    Raises:
        AenetError: one is among the words of a command line.
    """
    for word, after in zip(words, [*words[1:], ""], strict=True):
        flag, _, value = word.partition("=")
        if flag in _RENAMED:
            raise AenetError(f"{flag} is called {_RENAMED[flag]} now")
        if flag == "--precision" and re.fullmatch(r"[0-9.]+", value or after):
            raise AenetError(
                f"--precision is the network's number format now (auto, fp32 or fp16): to abstain below a confidence "
                f"of {value or after} write --min-confidence {value or after}"
            )


_OPTIONS: dict[str, str] = {}  # of the whole command line: it says them once it stands


def speak_of(options: Mapping[str, str]) -> None:
    """Have `say` show these arguments as options."""
    _OPTIONS.update(options)


def say(lines: Iterable[str], err: bool = False) -> None:
    """Print lines of the library's, its arguments as options."""
    for line in lines:
        typer.echo(dashed(line, _OPTIONS), err=err)


def option_names(command: Any) -> dict[str, str]:
    """Return for every argument of a command of typer's, and of all below it, the option that stands for it."""
    options = [one for one in command.params if any(word.startswith("--") for word in one.opts)]
    names = {str(option.name): max(option.opts, key=len) for option in options}
    for below in getattr(command, "commands", {}).values():
        names |= option_names(below)
    return names


def dashed(said: str, options: Mapping[str, str]) -> str:
    """Return a sentence in which the library's arguments stand as the command line has them.

    Args:
        said: with arguments in backquotes: `tile_size`.
        options: what stands for an argument: --tile-size.
    """
    return re.sub(r"`([a-z][a-z0-9_]*)`", lambda found: options.get(found[1], found[0]), said)
