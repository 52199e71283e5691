"""What a training run computes with: network, loss, optimiser, schedule and average, on one device or many."""

import math
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import AbstractContextManager
from datetime import timedelta
from typing import Any, TypeVar

import psutil
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import GradientAccumulationPlugin, InitProcessGroupKwargs
from timm.layers import DropPath
from torch import Tensor, nn

from aenet.evaluation.embed import map_shape
from aenet.io.errors import AenetError
from aenet.nn.branches import TwoBranch, View
from aenet.nn.losses import build_loss
from aenet.training.batches import derive_seed, steps_per_epoch
from aenet.training.optimization import Ema, build_optimizer
from aenet.training.processes import Processes, synchronise
from aenet.training.step import Guard, Taken, gradient_norm
from aenet.training.trainconfig import TrainConfig
from aenet.view.spec import Unseen, ViewSpec

# Both branches at the same time, each in a thread of its own.
#
# The branches of a network that shares no weights meet in the loss alone, so each can go forward and backward beside
# the other. A small network's operations are too short for two threads to share one: two cores do better with a branch
# each. What a branch computes, and with how many threads, does not depend on the other one: the numbers are bit by bit
# those of one branch after the other.

T = TypeVar("T")


def can_stand_alone(network: TwoBranch) -> bool:
    """Return whether the branches share nothing: no weights, and no random numbers such as dropout draws."""
    random = (nn.modules.dropout._DropoutNd, DropPath)
    draws = any(isinstance(m, random) and (getattr(m, "p", 0) or getattr(m, "drop_prob", 0)) for m in network.modules())
    return network.ground is not network.aerial and not draws


class SideBySide:
    """The forward and backward passes of two branches, the loss between them."""

    def __init__(self, network: TwoBranch, autocast: Callable[[], AbstractContextManager[None]]) -> None:
        self._network, self._autocast = network, autocast
        self._other = ThreadPoolExecutor(1, thread_name_prefix="aerial-branch")
        self._roots: dict[View, Tensor] = {}
        self._leaves: dict[View, Tensor] = {}

    def each(self, work: Callable[[View], T]) -> tuple[T, T]:
        """Do the same for both views at the same time; what fails in one of them is raised here, after the other."""
        aerial = self._other.submit(work, "aerial")
        try:
            ground = work("ground")
        finally:
            wait([aerial])
        return ground, aerial.result()

    def forward(self, ground: Tensor, aerial: Tensor, unit: bool) -> tuple[Tensor, Tensor]:
        """Return the descriptors of both views as leaves: a loss's backward pass ends there, until `backward`."""
        pixels: dict[View, Tensor] = {"ground": ground, "aerial": aerial}

        def describe(view: View) -> Tensor:
            with self._autocast():  # of this thread alone
                return torch.as_tensor(self._network.branch(view)(pixels[view], unit))

        roots = self.each(describe)
        self._roots = {"ground": roots[0], "aerial": roots[1]}
        self._leaves = {view: root.detach().requires_grad_() for view, root in self._roots.items()}
        return self._leaves["ground"], self._leaves["aerial"]

    def backward(self) -> None:
        """Take the loss's gradient on through both branches."""
        self.each(lambda view: torch.autograd.backward(self._roots[view], self._leaves[view].grad))
        self._roots, self._leaves = {}, {}


def one_after_the_other(work: Callable[[View], T]) -> tuple[T, T]:
    """Do the same for both views, the ground first; stands in for `SideBySide.each`."""
    return work("ground"), work("aerial")


# The others wait for the main process: for its lock, for its validation.
_PATIENCE = timedelta(hours=12)


class Engine:
    """All that changes from step to step.

    Attributes:
        network: as the loop calls it, wrapped for autocast and many processes.
        plain: the same network itself: what is validated and saved.
        side_by_side: both of its branches at the same time, where the machine and the network allow it.
        steps: steps of the optimiser in one epoch.
    """

    def __init__(self, config: TrainConfig, pairs: int, view: ViewSpec) -> None:
        self.config = config
        self.accelerator = accelerator = _accelerator(config)
        self.processes = Processes(accelerator)
        config.check_processes(self.processes.world)
        torch.backends.cudnn.deterministic = config.deterministic
        torch.backends.cudnn.benchmark = not config.deterministic
        torch.manual_seed(config.seed)
        network: Any = TwoBranch(config.model)
        self.loss = build_loss(config.loss, _columns(config, network, view)).to(accelerator.device)
        if self.processes.world > 1:
            # A view of depthwise weights has two names for one layout; averaging them is none the slower.
            warnings.filterwarnings("ignore", message="Grad strides do not match bucket view strides")
            network = synchronise(network, accelerator.device)
            torch.manual_seed(derive_seed(config.seed, self.processes.rank))  # dropout differs from rows to rows
        if config.channels_last:
            network = network.to(memory_format=torch.channels_last)
        self.steps = math.ceil(steps_per_epoch(pairs, config.part_size, self.processes.world) / config.accumulate)
        steps = config.epochs * self.steps
        optimizer, self.scheduler = build_optimizer(config.optimizer, network, steps, self.loss.parameters())
        if config.compile:
            network.compile()
        self.network: Any
        self.optimizer: Any
        self.network, self.optimizer = accelerator.prepare(network, optimizer)
        self.plain: TwoBranch = accelerator.unwrap_model(self.network)
        on_cpu = accelerator.device.type == "cpu" and self.processes.world == 1 and not config.compile
        self.side_by_side: SideBySide | None = None
        if on_cpu and config.threads > 1 and can_stand_alone(self.plain):
            self.side_by_side = SideBySide(self.plain, accelerator.autocast)
        torch.set_num_threads(config.threads // (1 if self.side_by_side is None else 2))
        self.ema = None if config.ema_decay is None else Ema(config.model, self.plain, config.ema_decay)
        self.guard = Guard(self.plain)
        self.unseen = Unseen(rule=config.unseen, colour=self.plain.ground.zero_colour)

    @property
    def parameters(self) -> list[Tensor]:
        """What is learnt, the loss's own parameters included."""
        return [*self.network.parameters(), *self.loss.parameters()]

    def update(self, finite: bool) -> Taken:
        """Take the optimiser's step if the loss was finite and the gradient is; the schedule goes on either way."""
        scaler, clip = self.accelerator.scaler, self.config.optimizer.clip_norm
        self.processes.average_gradients(list(self.loss.parameters()))
        if scaler is not None and not finite:  # let the scaler see it, which leaves the step out
            next(p.grad for p in self.parameters if p.grad is not None).fill_(torch.nan)
        norm = 0.0
        if clip is not None:
            norm = float(self.accelerator.clip_grad_norm_(self.parameters, clip))
        elif scaler is None:
            norm = gradient_norm(self.parameters)
        bad = not finite or (scaler is None and not math.isfinite(norm))
        bad = bool(self.processes.largest(int(bad)))
        overflow = False
        if scaler is not None or not bad:
            self.optimizer.step()
            overflow = scaler is not None and self.optimizer.step_was_skipped
        # A scale below one no longer enlarges anything: what overflows then is the gradient itself.
        bad = bad or (overflow and scaler.get_scale() < 1)
        if bad:
            self.optimizer.zero_grad()
            self.guard.forget()
        self._step_schedule()
        if self.ema is not None and not bad and not overflow:
            self.ema.update(self.plain)
        return "bad" if bad else "overflow" if overflow else "good"

    def _step_schedule(self) -> None:
        with warnings.catch_warnings():
            # The schedule goes by steps; that the optimiser has not taken the first of them is meant.
            warnings.filterwarnings("ignore", message="Detected call of `lr_scheduler.step")
            self.scheduler.step()

    def state_dict(self) -> dict[str, Any]:
        """Return everything the next step depends on; of a step under way, what there was before it."""
        scaler = self.accelerator.scaler
        return {
            "network": self.guard.before(self.plain.state_dict()),
            "loss": self.loss.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scheduler": self.scheduler.state_dict(),
            "scaler": None if scaler is None else scaler.state_dict(),
            "ema": None if self.ema is None else self.ema.network.state_dict(),
            "streak": self.guard.streak,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go back to where `state_dict` was taken."""
        self.plain.load_state_dict(state["network"])
        self.loss.load_state_dict(state["loss"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.scheduler.load_state_dict(state["scheduler"])
        if self.accelerator.scaler is not None:
            self.accelerator.scaler.load_state_dict(state["scaler"])
        if self.ema is not None:
            self.ema.network.load_state_dict(state["ema"])
        self.guard.streak = list(state["streak"])

    def memory_bytes(self) -> int:
        """Return the memory of this process, on a GPU the largest amount reserved there."""
        if self.accelerator.device.type == "cuda":
            return torch.cuda.max_memory_reserved(self.accelerator.device)
        return int(psutil.Process().memory_info().rss)


def _columns(config: TrainConfig, network: TwoBranch, view: ViewSpec) -> int:
    """Return the columns of the descriptors' map, where the loss needs them."""
    if config.loss.heading == "known":
        return 1
    if not view.aerial.around_horizon:
        raise AenetError(
            f"loss.heading {config.loss.heading} turns maps of both views against each other, and in an aerial view of "
            f"transform {view.aerial.transform} no column is an azimuth: use transform polar, or loss.heading known"
        )
    return map_shape(network.ground, view)[2]


def _accelerator(config: TrainConfig) -> Accelerator:
    AcceleratorState._reset_state()  # or a process could train in one precision only; there is no public way
    with_gpu = torch.cuda.is_available()
    if config.precision == "fp16" and not with_gpu:  # Accelerate would train in fp32 and say nothing
        raise AenetError("precision fp16 needs a GPU, and this machine has none: use bf16 or no")
    try:
        return Accelerator(
            mixed_precision=config.precision,
            cpu=not with_gpu,  # without it several processes of a CPU would not know of each other
            gradient_accumulation_plugin=GradientAccumulationPlugin(num_steps=1),  # whatever the launcher says
            kwargs_handlers=[InitProcessGroupKwargs(timeout=_PATIENCE)],
        )
    except ValueError as error:
        raise AenetError(f"precision {config.precision} cannot be had on this machine: {error}") from error
