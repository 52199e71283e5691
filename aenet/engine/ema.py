"""A moving average of the weights."""

import torch

from aenet.nn.branches import ModelConfig, TwoBranch


class Ema:
    """A second network whose state follows the first: a <- decay a + (1 - decay) w, after every step.

    Running statistics are averaged like weights, counters are copied.
    """

    def __init__(self, config: ModelConfig, network: TwoBranch, decay: float) -> None:
        random = config.backbone.model_copy(update={"weights": "random"})
        with torch.random.fork_rng():  # having an average changes no number of the training
            self.network = TwoBranch(config.model_copy(update={"backbone": random}))
        self.network.to(next(network.parameters()).device).eval().requires_grad_(False)
        self.network.load_state_dict(network.state_dict())
        self._decay = decay

    @torch.no_grad()
    def update(self, network: TwoBranch) -> None:
        """Move a little towards the weights as they are now."""
        live = network.state_dict()
        followed = {tensor.data_ptr(): name for name, tensor in self.network.state_dict().items()}
        for name, average in self.network.state_dict().items():
            if followed[average.data_ptr()] != name:
                continue  # a shared branch has two names for one tensor: follow once
            if average.is_floating_point():
                average.lerp_(live[name], 1 - self._decay)
            else:
                average.copy_(live[name])
