"""What a network costs (paper, table 7): parameters, multiply-accumulates, size of the descriptor.

All of it follows from the configuration and the size of the view, so it is counted on the meta device: no weights, no
pixels, the same on every machine. What depends on the machine is in `latency`.

Two counts of multiply-accumulates (MACs), each of both branches for one pair of images:

- exact: every convolution and matrix product that torch carries out, whatever module it came from.
- hook-counted: by those rules of thop, the counter of many papers, that matter here: hooks on modules whose class is
  exactly Conv2d (outputs x input channels / groups x kernel), Linear (outputs x inputs) or BatchNorm2d (4 an element).
  Subclasses do not count, and timm's EfficientNetV2-S has some: its five `Conv2dSame` and all its `BatchNormAct2d`.
  That leaves 7.08 of 7.44.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from aenet.nn.attention import AttentionConfig, Bam, Cbam, NoAttention, Triplet
from aenet.nn.branches import Branch, ModelConfig, TwoBranch

# Table 7 of the paper: parameters in millions, "GFLOPs".
PAPER: dict[str, tuple[float, float]] = {
    "SAFA": (29.50, 15.64),
    "DSM": (17.90, 7.25),
    "Polar-L2LTR": (195.90, 44.0),
    "AENet": (40.34, 7.14),
}
# The convolutions and matrix products of the same networks, GMACs of both branches for one image each.
RECOUNTED: dict[str, float] = {"SAFA": 40.1, "DSM": 37.8, "Polar-L2LTR": 44.2}
NOTE = (
    "The paper calls its counts GFLOPs and does not say how they were made. Its 7.14 for AENet lies by the "
    "multiply-accumulates of both branches for one image each: 7.08 hook-counted, 7.44 exact. Counted so, Polar-L2LTR "
    "gives its 44 (44.2), but SAFA and DSM at 128 x 512 give 40.1 and 37.8 instead of 15.64 and 7.25: the paper's "
    "figures for those two are not comparable with the rest."
)
# The rows of the paper's ablation (table 5), and which of table 7 each corresponds to.
VARIANTS: dict[str, AttentionConfig] = {
    "Baseline": NoAttention(kind="none"),
    "Baseline + BAM": Bam(kind="bam"),
    "Baseline + CBAM": Cbam(kind="cbam"),
    "AENet": Triplet(kind="triplet"),
}


@dataclass(frozen=True)
class Complexity:
    """Cost of one network for one size of view.

    Attributes:
        ground_parameters, aerial_parameters: of one branch.
        parameters: of both; of the one they share, where they share it.
        feature_map: channels, rows, columns.
        exact_macs, hooked_macs: of both branches, one image each.
        descriptor_dims: float32 values of a descriptor, 4 bytes each.
    """

    parameters: int
    ground_parameters: int
    aerial_parameters: int
    feature_map: tuple[int, int, int]
    exact_macs: int
    hooked_macs: int
    descriptor_dims: int

    @property
    def descriptor_bytes(self) -> int:
        """Size of one float32 descriptor."""
        return 4 * self.descriptor_dims

    def row(self) -> dict[str, float]:
        """Return the columns of the table: millions, 10^9 MACs, values and KiB."""
        return {
            "parameters, M": self.parameters / 1e6,
            "a branch, M": self.ground_parameters / 1e6,
            "GMACs exact": self.exact_macs / 1e9,
            "GMACs hook-counted": self.hooked_macs / 1e9,
            "descriptor": float(self.descriptor_dims),
            "descriptor, KiB": self.descriptor_bytes / 1024,
        }


def complexity(config: ModelConfig, height: int, width: int, aerial: tuple[int, int] | None = None) -> Complexity:
    """Count the network of `config` for views of `height` x `width` pixels; its weights need not exist.

    Args:
        aerial: height and width of the aerial view where it has another size.

    Raises:
        AenetError: the backbone is not known, or gives no map for this view.
    """
    random = config.backbone.model_copy(update={"weights": "random"})
    with torch.device("meta"):
        network = TwoBranch(config.model_copy(update={"backbone": random})).eval()
        pixels = [torch.zeros(1, *size, 3, dtype=torch.uint8) for size in ((height, width), aerial or (height, width))]
    exact, hooked, dims = 0, 0, 0
    with torch.inference_mode():
        _, channels, rows, columns = network.ground.features(pixels[0]).shape
        for branch, view in zip((network.ground, network.aerial), pixels, strict=True):
            with FlopCounterMode(display=False) as counter:
                dims = branch(view).shape[1]
            exact += counter.get_total_flops() // 2  # torch counts the product and the sum as two
            hooked += _hooked(branch, view)
    return Complexity(
        parameters=_parameters(network),
        ground_parameters=_parameters(network.ground),
        aerial_parameters=_parameters(network.aerial),
        feature_map=(channels, rows, columns),
        exact_macs=exact,
        hooked_macs=hooked,
        descriptor_dims=dims,
    )


def table(
    config: ModelConfig, height: int, width: int, variants: Mapping[str, AttentionConfig] = VARIANTS
) -> pd.DataFrame:
    """Return a row for each variant of `config`'s attention, then the paper's rows as it printed them.

    Columns: `network`, those of `Complexity.row`, and of the paper `parameters, M, paper`, `GFLOPs, paper` and
    `GMACs, recounted`; NaN where there is no figure. The paper's figures stand beside the row `AENet` as well, and are
    of a V2-S at 128 x 512.
    """
    lines: list[dict[str, Any]] = []
    for name, attention in variants.items():
        counted = complexity(config.model_copy(update={"attention": attention}), height, width)
        lines.append({"network": name, **counted.row(), **_paper(name)})
    lines += [{"network": name, **_paper(name)} for name in PAPER if name not in variants]
    return pd.DataFrame(lines)


def _paper(name: str) -> dict[str, float]:
    parameters, flops = PAPER.get(name, (float("nan"),) * 2)
    recounted = RECOUNTED.get(name, float("nan"))
    return {"parameters, M, paper": parameters, "GFLOPs, paper": flops, "GMACs, recounted": recounted}


def _hooked(branch: Branch, pixels: Tensor) -> int:
    counts: list[int] = []
    rules: dict[type[nn.Module], Callable[[Any, Tensor], int]] = {
        nn.Conv2d: lambda m, out: out.numel() * m.weight[0].numel(),
        nn.Linear: lambda m, out: out.numel() * m.in_features,
        nn.BatchNorm2d: lambda m, out: 4 * out.numel(),
    }

    def hook(module: nn.Module, inputs: Any, output: Tensor) -> None:
        counts.append(rules[type(module)](module, output))

    handles = [module.register_forward_hook(hook) for module in branch.modules() if type(module) in rules]
    branch(pixels)
    for handle in handles:
        handle.remove()
    return sum(counts)


def _parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())
