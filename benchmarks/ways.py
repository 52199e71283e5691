"""The ways of computing a training step that `benchmarks/training.py` compares."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from aenet.nn.attention import Triplet
from aenet.nn.backbones import BackboneConfig
from aenet.nn.branches import ModelConfig, TwoBranch
from aenet.nn.heads import Flatten
from aenet.nn.losses import Mhnw, build_loss
from aenet.training.batches import Batch

# Name -> (bfloat16, layout of pixels and weights, torch.compile).
WAYS = {
    "fp32 NCHW": (False, "nchw", False),
    "fp32": (False, "pixels", False),
    "fp32 channels_last": (False, "all", False),
    "bf16": (True, "pixels", False),
    "bf16 channels_last": (True, "all", False),
    "fp32 channels_last compile": (False, "all", True),
    "bf16 channels_last compile": (True, "all", True),
}


def build_step(
    way: str, backbone: str, device: torch.device
) -> tuple[Callable[[Batch], None], Callable[[Batch], float]]:
    """Return one training step of a batch, and what counts its floating-point operations."""
    half, layout, compiled = WAYS[way]
    network = TwoBranch(
        ModelConfig(
            backbone=BackboneConfig(name=backbone, weights="random"),
            attention=Triplet(kind="triplet"),
            head=Flatten(kind="flatten"),
        )
    ).to(device)
    if layout == "nchw":  # views are NHWC, and a network takes them so; most code copies them to NCHW first
        for branch in (network.ground, network.aerial):
            branch.backbone.register_forward_pre_hook(lambda _, inputs: (inputs[0].contiguous(),))
    if layout == "all":
        network = network.to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-4)
    loss = build_loss(Mhnw(kind="mhnw")).to(device)
    forward = torch.compile(network) if compiled else network

    def value(run: Callable[..., tuple[Tensor, Tensor]], batch: Batch) -> Tensor:
        with torch.autocast(device.type, torch.bfloat16, enabled=half):
            ground, aerial = run(batch.ground, batch.aerial)
        return torch.as_tensor(loss(ground, aerial))

    def step(batch: Batch) -> None:
        optimizer.zero_grad()
        value(forward, batch).backward()  # type: ignore[no-untyped-call]  # torch's
        optimizer.step()

    def flop(batch: Batch) -> float:
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            value(network, batch)
        return float(3 * counter.get_total_flops())  # the backward pass twice the forward: the usual count

    return step, flop
