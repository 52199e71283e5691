"""Heads: from a map to one descriptor, by hand and at their limits."""

from typing import Any

import pytest
import torch
from pydantic import TypeAdapter, ValidationError

from aenet.io.errors import AenetError
from aenet.nn.branches import Branch, ModelConfig
from aenet.nn.heads import Flatten, Gap, Gem, GeneralizedMeanPool, HeadConfig, Projection, build_head

MAP = torch.arange(2 * 3 * 2 * 4, dtype=torch.float32).view(2, 3, 2, 4)


def parameters(module: torch.nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def test_flatten_and_gap() -> None:
    flat, pooled = build_head(Flatten(kind="flatten"), 3)(MAP), build_head(Gap(kind="gap"), 3)(MAP)
    assert torch.equal(flat, MAP.reshape(2, 24))
    assert pooled[0].tolist() == [3.5, 11.5, 19.5]
    turned = MAP.roll(1, dims=3)  # the same place, another heading
    assert torch.equal(build_head(Gap(kind="gap"), 3)(turned), pooled)
    assert not torch.equal(build_head(Flatten(kind="flatten"), 3)(turned), flat)


def test_gem_by_hand_and_at_its_ends() -> None:
    x = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]])
    # (1 + 8 + 27 + 64) / 4 = 25; the cube root of 25.
    assert GeneralizedMeanPool(3.0)(x).item() == pytest.approx(25 ** (1 / 3))
    assert GeneralizedMeanPool(1.0)(x).item() == pytest.approx(2.5)  # the average
    assert GeneralizedMeanPool(50.0)(x).item() == pytest.approx(4.0, rel=0.03)  # nearly the maximum: 4 (1/4)^(1/50)
    assert parameters(build_head(Gem(kind="gem"), 1280)) == 1


def test_gem_learns_its_power_and_stands_what_is_not_positive() -> None:
    pool = build_head(Gem(kind="gem", p=2.0), 2).double()
    x = torch.rand(2, 2, 3, 4, dtype=torch.float64).add(0.1).requires_grad_()
    for values in (x, -x, 0 * x):
        pool.zero_grad()
        pool(values).sum().backward()
        for parameter in pool.parameters():
            assert parameter.grad is not None and torch.isfinite(parameter.grad).all()
        assert x.grad is not None and torch.isfinite(x.grad).all()
    power = torch.tensor(2.0, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda p, y: torch.func.functional_call(pool, {"p": p}, y), (power, x))
    assert not [p for p in build_head(Gem(kind="gem", learn=False), 2).parameters() if p.requires_grad]


def test_projection_is_a_linear_layer_of_the_pooled_map() -> None:
    head = build_head(Projection(kind="projection", of="gap", dim=5), 3)
    weight, bias = list(head.parameters())
    expected = MAP.mean((2, 3)) @ weight.T + bias
    assert torch.allclose(head(MAP), expected) and head(MAP).shape == (2, 5)
    flat = build_head(Projection(kind="projection", of="flatten", map_size=(2, 4), dim=5), 3)
    weight, bias = list(flat.parameters())
    assert torch.allclose(flat(MAP), MAP.reshape(2, 24) @ weight.T + bias, atol=1e-5)


def test_parameters_of_the_papers_projections() -> None:
    with torch.device("meta"):  # no memory for 41.9 M weights
        flat = build_head(Projection(kind="projection", of="flatten", map_size=(4, 16), dim=512), 1280)
        gem = build_head(Projection(kind="projection", of="gem", dim=512), 1280)
    assert parameters(flat) == 81_920 * 512 + 512 == 41_943_552
    assert parameters(gem) == 1280 * 512 + 512 + 1


def test_a_map_of_another_size_is_a_sentence() -> None:
    model = ModelConfig.model_validate(
        {
            "backbone": {"name": "test_efficientnet", "weights": "random"},
            "attention": {"kind": "none"},
            "head": {"kind": "projection", "of": "flatten", "map_size": (2, 8), "dim": 16},
        }
    )
    branch = Branch(model).eval()
    assert branch(torch.zeros(1, 64, 256, 3, dtype=torch.uint8)).shape == (1, 16)
    with pytest.raises(AenetError, match=r"map_size is 2 x 8, the feature map 1 x 4: set it to \[1, 4\]"):
        branch(torch.zeros(1, 32, 128, 3, dtype=torch.uint8))


@pytest.mark.parametrize(
    "bad",
    [
        {"kind": "projection", "of": "flatten", "dim": 8},
        {"kind": "projection", "of": "gap", "dim": 8, "map_size": (2, 4)},
        {"kind": "projection", "of": "flatten", "dim": 8, "map_size": (0, 4)},
        {"kind": "projection", "dim": 0},
        {"kind": "gem", "p": 0.0},
        {"kind": "gap", "dim": 8},
        {"kind": "max"},
    ],
)
def test_what_makes_no_head_is_refused(bad: dict[str, Any]) -> None:
    adapter: TypeAdapter[Any] = TypeAdapter(HeadConfig)
    with pytest.raises(ValidationError):
        adapter.validate_python(bad)
