"""A trained model as a folder: weights as safetensors, and a card that says how to rebuild and feed it."""

from pathlib import Path
from typing import Literal

from pydantic import Field
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from aenet.data.card import CARD, InitialWeights
from aenet.io.artifacts import verify_folder
from aenet.io.atomic import write_json
from aenet.io.errors import AenetError, CorruptArtifact
from aenet.io.params import Config, first_fault
from aenet.nn.branches import ModelConfig, TwoBranch
from aenet.view.spec import Paint, ViewSpec

Which = Literal["best", "last", "ema"]


class Choice(Config):
    """By what the epoch of the best weights was chosen, and how well the validation split knows it.

    Attributes:
        criterion, rule: in words.
        places: of the validation split.
        value, standard_error: the criterion at the chosen weights, and how far luck with the places may have moved it,
            in percent.
    """

    criterion: str
    rule: str
    places: int
    value: float
    standard_error: float


class TrainedCard(Config):
    """What a trained model folder says of itself.

    Attributes:
        choice, initial: None where they were not recorded.
        unseen: `train.unseen` as it was; a model of an earlier version, which did not say it, was evaluated and trained
            with other rules than it was served with.
        versions: of what computed it, torch and timm.
    """

    model: ModelConfig
    view: ViewSpec
    trained_on: str
    fingerprint: str
    epochs: int
    best_epoch: int
    choice: Choice | None = None
    unseen: Paint | None = None
    initial: InitialWeights | None = None
    versions: dict[str, str] = Field(default_factory=dict)

    @property
    def painted(self) -> Paint:
        """What stands where a photo shows nothing when the model is evaluated."""
        return self.unseen or "network_mean"  # evaluation's default before cards said it


def save_model(folder: Path, card: TrainedCard, best: dict[str, Tensor], last: dict[str, Tensor]) -> None:
    """Write both sets of weights and the card into `folder` (the caller makes it atomic)."""
    for name, weights in (("best", best), ("last", last)):
        # Copies: shared branches are one tensor under two names, which safetensors refuses.
        save_file({key: tensor.clone().contiguous() for key, tensor in weights.items()}, folder / f"{name}.safetensors")
    write_json(folder / CARD, card.model_dump(mode="json"))


def load_network(folder: Path, which: Which = "best") -> tuple[TwoBranch, TrainedCard]:
    """Rebuild a trained network in evaluation mode.

    Raises:
        AenetError: the folder is not a finished model.
        CorruptArtifact: its bytes differ from its manifest, or the weights do not fit its card.
    """
    manifest = verify_folder(folder, needed=(CARD,))
    try:
        card = TrainedCard.model_validate_json((folder / CARD).read_bytes())
    except (OSError, ValueError) as error:
        raise CorruptArtifact(
            f"{folder / CARD} is not a trained model's card ({first_fault(error)}): train it again"
        ) from error
    if f"{which}.safetensors" not in manifest.files:
        raise AenetError(f"{folder} holds no '{which}' weights: it was trained without train.ema_decay")
    try:
        network = untrained(card.model)
        network.load_state_dict(load_file(folder / f"{which}.safetensors"))
    except (SafetensorError, RuntimeError, OSError) as error:
        raise CorruptArtifact(
            f"{folder}/{which}.safetensors does not fit its card, or is damaged: train it again"
        ) from error
    return network.eval(), card


def untrained(config: ModelConfig) -> TwoBranch:
    """Return the network of a configuration in evaluation mode, with random weights whatever it says of weights."""
    random = config.backbone.model_copy(update={"weights": "random"})
    return TwoBranch(config.model_copy(update={"backbone": random})).eval()
