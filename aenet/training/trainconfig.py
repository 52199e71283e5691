"""The configuration of a training run."""

from typing import ClassVar, Literal

from pydantic import Field, model_validator

from aenet.io.errors import AenetError
from aenet.io.params import Config
from aenet.nn.branches import ModelConfig
from aenet.nn.losses import LossConfig
from aenet.training.augment import AugmentConfig
from aenet.training.optimization import OptimizerConfig
from aenet.training.sampling import SamplingConfig
from aenet.view.spec import Paint


class TrainConfig(Config):
    """All that decides the outcome of a run, and how it is kept safe.

    Attributes:
        batch_size: pairs of one optimiser step, of all processes together.
        threads: CPU threads of torch, per process; part of the outcome, because sums in another order round
            differently. With two or more, a CPU computes both branches at the same time with half of them each
            (`aenet.training.engine`), so that two give the numbers of one.
        precision: autocast of the forward pass; fp16 needs a GPU and scales the loss.
        channels_last: keep convolution weights in NHWC order.
        compile: compile the network with torch.compile before training.
        deterministic: let cuDNN use only kernels that give the same bits each time; False lets it search for the
            fastest. A CPU is deterministic either way.
        accumulate: compute a step's gradient in this many parts to save memory. The loss compares the pairs of a
            batch, so this is not the loss of the whole batch: it is the mean of the parts' losses, and a pair's
            negatives come from its own part of `batch_size / accumulate` pairs.
        ema_decay: keep a moving average of the weights with this decay, validate it beside them and save it;
            None keeps none.
        validate_every: epochs from one validation to the next, counted back from the last, which is always validated.
        checkpoint_every: steps between checkpoints; None writes one at each epoch's end only.
        max_bad_steps: stop after this many steps in a row whose loss or gradient is not finite.
        sampling: which pairs meet in a batch.
        unseen: what stands where a photo shows nothing: in augmentation (`augment.fov_deg`), in evaluation, and, by the
            model's card, in service.
    """

    # What a finished training does not depend on: changing it may not cost another one.
    SAFEKEEPING: ClassVar[frozenset[str]] = frozenset({"checkpoint_every", "max_bad_steps"})

    seed: int
    epochs: int = Field(ge=1)
    batch_size: int = Field(ge=2)
    threads: int = Field(ge=1)
    precision: Literal["no", "bf16", "fp16"] = "no"
    channels_last: bool = False
    compile: bool = False
    deterministic: bool = True
    accumulate: int = Field(default=1, ge=1)
    ema_decay: float | None = Field(default=None, gt=0, lt=1)
    validate_every: int = Field(default=1, ge=1)
    checkpoint_every: int | None = Field(default=None, ge=1)
    max_bad_steps: int = Field(default=3, ge=1)
    model: ModelConfig
    loss: LossConfig
    optimizer: OptimizerConfig
    augment: AugmentConfig
    unseen: Paint = "edge"
    sampling: SamplingConfig

    @model_validator(mode="after")
    def _parts_hold_negatives(self) -> "TrainConfig":
        if self.batch_size % self.accumulate or self.batch_size // self.accumulate < 2:
            raise ValueError(
                f"batch_size {self.batch_size} cannot be accumulated in {self.accumulate} equal parts of two pairs "
                "or more: change one of the two"
            )
        return self

    @model_validator(mode="after")
    def _unknown_headings_need_a_map(self) -> "TrainConfig":
        if self.loss.heading == "unknown" and self.model.head.kind != "flatten":
            raise ValueError(
                f"loss.heading unknown turns the feature map, and head {self.model.head.kind} keeps none: use head "
                "flatten, or loss.heading known"
            )
        return self

    @property
    def part_size(self) -> int:
        """Pairs, of all processes, whose descriptors are compared with each other."""
        return self.batch_size // self.accumulate

    def validates(self, epoch: int) -> bool:
        """Return whether an epoch, counted from 0, is one of those that are validated."""
        return (self.epochs - 1 - epoch) % self.validate_every == 0

    def check_processes(self, world: int) -> None:
        """Refuse a batch that `world` processes cannot share evenly.

        Raises:
            AenetError: names both numbers.
        """
        if self.part_size % world:
            parts = f" in {self.accumulate} parts" if self.accumulate > 1 else ""
            raise AenetError(
                f"a batch of {self.batch_size} pairs{parts} cannot be shared evenly by {world} processes: "
                f"make train.batch_size a multiple of {world * self.accumulate}, or start fewer processes"
            )
