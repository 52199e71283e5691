"""Training for headings that are not known: what the loss compares, what the ground views are turned by."""

from typing import Any

import numpy as np
import pytest
import torch
from pydantic import TypeAdapter, ValidationError

from aenet.io.errors import AenetError
from aenet.nn.distances import best_products, pairwise_distance, turned_back, turned_products
from aenet.nn.losses import LossConfig, build_loss
from aenet.retrieval import azimuth
from aenet.training.augment import AugmentConfig, draw_turns
from aenet.training.batches import batches
from aenet.training.trainconfig import TrainConfig
from tests.nn.test_losses import CONFIGS, name, unit
from tests.support.gloo_training import make_views, settings

C, H, W = 3, 2, 8
D = C * H * W


def unknown(config: Any) -> Any:
    return config.model_copy(update={"heading": "unknown"})


def roll(descriptors: torch.Tensor, shift: int, columns: int = W) -> torch.Tensor:
    return descriptors.unflatten(1, (-1, columns)).roll(shift, 2).flatten(1)


def test_products_are_those_of_the_search() -> None:
    """Against the numpy that ranks by: all queries, all references, all shifts."""
    ground, aerial = unit(5, D, 1), unit(4, D, 2)
    query, reference = (side.numpy().reshape(-1, C, H, W) for side in (ground, aerial))
    expected = azimuth.correlate(query, reference, np.ones(W))
    assert np.allclose(turned_products(ground, aerial, W).numpy(), expected, atol=1e-6)


def test_products_by_hand() -> None:
    """One channel, three columns: ground 1 2 3 on aerial 4 5 6, turned by 0, 1 and 2."""
    ground, aerial = torch.tensor([[1.0, 2.0, 3.0]]), torch.tensor([[4.0, 5.0, 6.0]])
    # ground column x on aerial column x + s: 4 + 10 + 18; 5 + 12 + 12; 6 + 8 + 15
    assert turned_products(ground, aerial, 3).tolist() == [[[32.0, 29.0, 29.0]]]


def test_strangers_are_compared_at_their_best_and_matches_as_they_stand() -> None:
    ground, aerial = unit(4, D, 3), unit(4, D, 4)
    products = torch.stack([roll(ground, shift) @ aerial.T for shift in range(W)])
    best = best_products(ground, aerial, W)
    eye = torch.eye(4, dtype=torch.bool)
    assert torch.allclose(best[eye], products[0][eye])
    assert torch.allclose(best[~eye], products.amax(0)[~eye])
    assert (products.argmax(0)[eye] != 0).any(), "a match's best shift must be another in one case"


def test_turning_a_strangers_tile_changes_nothing() -> None:
    ground, aerial = unit(4, D, 5), unit(4, D, 6)
    d = pairwise_distance(ground, aerial, "squared", columns=W)
    turned = pairwise_distance(ground, torch.cat([aerial[:3], roll(aerial[3:], 3)]), "squared", columns=W)
    eye = torch.eye(4, dtype=torch.bool)
    assert torch.allclose(turned[~eye], d[~eye])
    assert not torch.allclose(turned[3, 3], d[3, 3])


@pytest.mark.parametrize("config", CONFIGS, ids=name)
def test_every_loss_takes_unknown_headings(config: Any) -> None:
    """More to be wrong about never costs less, the order of the places nothing, and the gradient is the derivative."""
    plain, turned = build_loss(config).double(), build_loss(unknown(config), W).double()
    assert turned.columns == W
    ground, aerial = unit(6, W, 7), unit(6, W, 8)
    assert turned(ground, aerial) > plain(ground, aerial)
    order = torch.randperm(6, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(turned(ground[order], aerial[order]), turned(ground, aerial))
    if config.kind != "mhnw":  # its weights are held: tests/nn/test_losses.py
        small = build_loss(unknown(config), 4).double()
        assert torch.autograd.gradcheck(small, (unit(4, 8, 4).requires_grad_(), unit(4, 8, 5).requires_grad_()))


@pytest.mark.parametrize("config", CONFIGS, ids=name)
def test_headings_are_known_unless_the_loss_says_otherwise(config: Any) -> None:
    adapter: TypeAdapter[LossConfig] = TypeAdapter(LossConfig)
    assert adapter.validate_python({"kind": config.kind}).heading == "known"
    ground, aerial = unit(6, D, 9), unit(6, D, 10)
    assert torch.equal(build_loss(config, W).double()(ground, aerial), build_loss(config).double()(ground, aerial))
    assert torch.equal(best_products(ground, aerial, 1), ground @ aerial.T)


def test_descriptors_without_columns_are_refused() -> None:
    with pytest.raises(AenetError, match="nothing to turn: use head"):
        build_loss(unknown(CONFIGS[0]), 1)
    with pytest.raises(AenetError, match="30 dimensions are no maps of 8 columns"):
        turned_products(unit(2, 30, 0), unit(2, 30, 1), 8)


def test_ground_views_are_turned_by_columns_and_what_the_phases_leave() -> None:
    """Of 8 columns 32 wide: multiples of 32, give or take 4, and the number of the column that comes with them."""
    shift, turns = draw_turns(4000, 256, 8, torch.Generator().manual_seed(0))
    rest = (turns - 32 * shift + 128) % 256 - 128
    assert (rest.min(), rest.max()) == (-4, 4)
    assert torch.bincount(shift).tolist() == pytest.approx([500] * 8, rel=0.15)


def test_a_batch_says_how_its_ground_views_were_turned() -> None:
    """And two processes see together what one would have seen."""
    views = make_views(12, 16, 64, 1)

    def first(rank: int, world: int, columns: int) -> Any:
        return next(
            batches(views, np.arange(12), 12, AugmentConfig(), 0, 0, rank=rank, world=world, columns=columns)
        )  # fmt: skip

    whole, plain = first(0, 1, 2), first(0, 1, 1)
    assert plain.shift is None and torch.equal(whole.aerial, plain.aerial)
    for row, shift in enumerate(whole.shift.tolist()):  # columns 32 wide; a rest of up to four
        rests = (plain.ground[row].roll(-32 * shift - rest, 1) for rest in range(-4, 5))
        assert any(torch.equal(rest, whole.ground[row]) for rest in rests)
    halves = [first(rank, 2, 2) for rank in (0, 1)]
    assert torch.equal(torch.cat([half.ground for half in halves]), whole.ground)
    assert torch.equal(torch.cat([half.shift for half in halves]), whole.shift)


def test_maps_are_turned_back_onto_their_tiles() -> None:
    """The search's convention: at shift s, ground column x shows what aerial column x + s shows."""
    aerial, shift = unit(8, D, 11), torch.arange(8)
    ground = torch.cat([roll(row[None], -int(k)) for row, k in zip(aerial, shift, strict=True)])
    found = azimuth.correlate_pairs(*(side.numpy().reshape(-1, C, H, W) for side in (ground, aerial)), np.ones(W))
    assert found.argmax(1).tolist() == shift.tolist()
    assert torch.equal(turned_back(ground, shift, W), aerial)


def test_heads_without_a_map_are_refused_before_anything_is_trained() -> None:
    tree = settings().model_dump()
    tree["loss"]["heading"], tree["model"]["head"] = "unknown", {"kind": "gap"}
    with pytest.raises(ValidationError, match="head gap keeps none"):
        TrainConfig.model_validate(tree)
