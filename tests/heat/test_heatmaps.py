"""Heat: where it is for networks made by hand, how much of it falls where, and the pictures."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from aenet.data.masks import Masks
from aenet.data.views import Views
from aenet.heat.heatmaps import attribute, compare_figure, similarity_heat, stretched
from aenet.heat.shares import enlargement, heat_shares, measure_shares, summarize
from aenet.io.errors import AenetError
from aenet.nn.attention import NoAttention, Triplet
from aenet.nn.backbones import BackboneConfig
from aenet.nn.branches import ModelConfig, TwoBranch
from aenet.nn.heads import Flatten, Gap
from aenet.view.spec import ViewSpec

CLASSES = {"other": 0, "sky": 1, "car": 2, "pedestrian": 3}


class Blocks(nn.Module):
    """A backbone for the eye: the three colours, averaged over blocks of 8 x 8 pixels, and their mean."""

    def forward(self, x: Tensor) -> Tensor:
        blocks = nn.functional.avg_pool2d(x, 8)
        return torch.cat([blocks, blocks.mean(1, keepdim=True)], 1)


class Channel(nn.Module):
    """A head that compares one channel and no other."""

    def __init__(self, index: int) -> None:
        super().__init__()
        self.index = index

    def forward(self, x: Tensor) -> Tensor:
        return x[:, self.index].flatten(1)


def network(head: nn.Module | None = None, *, shared: bool = False, gap: bool = False) -> TwoBranch:
    """A network whose attended map is the picture in blocks: red, green, blue, grey, each in 0..1."""
    made = TwoBranch(
        ModelConfig(
            backbone=BackboneConfig(name="test_efficientnet", weights="random"),
            attention=NoAttention(kind="none"),
            head=Gap(kind="gap") if gap else Flatten(kind="flatten"),
            shared=shared,
        )
    )
    for branch in (made.ground, made.aerial):
        branch.backbone, branch.channels = Blocks(), 4
        branch.mean.zero_()
        branch.std.fill_(255)
        branch.head = head or branch.head
        branch.gain = nn.Parameter(torch.ones(1))  # so that the network has a device
    return made


def picture(*boxes: tuple[slice, slice, int]) -> np.ndarray:
    """A black view of 32 x 64 pixels with boxes, in cells of 8 pixels, of full red, green or blue."""
    view = np.zeros((1, 32, 64, 3), np.uint8)
    for rows, cols, channel in boxes:
        view[0, rows.start * 8 : rows.stop * 8, cols.start * 8 : cols.stop * 8, channel] = 255
    return view


ONE = slice(1, 2)
RED, GREEN = (ONE, slice(2, 3), 0), (slice(3, 4), slice(6, 7), 1)


def test_activation_is_the_channel_mean_of_the_map() -> None:
    ground, _ = attribute(network(), picture(RED), picture(), 4)["activation"]
    expected = np.zeros((1, 4, 8))
    expected[0, 1, 2] = (1 + 0 + 0 + 1 / 3) / 4
    np.testing.assert_allclose(ground, expected, atol=1e-6)


@pytest.mark.parametrize("shared", [False, True])
def test_similarity_heat_lies_where_the_compared_channel_agrees(shared: bool) -> None:
    """Both views are red in one block; the ground's second red block and everything green do not help."""
    ground = picture(RED, (slice(0, 1), slice(0, 1), 0), GREEN)
    first, second = attribute(network(Channel(0), shared=shared), ground, picture(RED, GREEN), 4)["similarity"]
    assert second[0, 3, 6] == first[0, 3, 6] == 0, "green, which is not compared"
    # s = 1 / sqrt 2; ds/dg is (1 - 1/2) / sqrt 2 where they agree, -1/2 / sqrt 2 where they do not: mean 0 there.
    assert first.max() == pytest.approx(0, abs=1e-7)
    stronger = picture(RED)
    stronger[0, :8, :8, 0] = 51  # a weak second block: 1 agrees with 0.2 of surplus
    first, _ = attribute(network(Channel(0), shared=shared), stronger, picture(RED), 4)["similarity"]
    norm = np.sqrt(1 + 0.2**2)
    slope = np.array([(1 - 1 / norm**2) / norm, -0.2 / norm**3])  # at the two blocks, by hand
    expected = np.maximum(0, slope.sum() / 32 * np.array([1, 0.2]))
    np.testing.assert_allclose(first[0, [1, 0], [2, 0]], expected, atol=1e-7)


def test_similarity_heat_of_an_average_marks_what_raises_the_cosine() -> None:
    """Ground half red, half green; aerial red. With pooled descriptors red raises the cosine and green lowers it."""
    ground = picture((slice(0, 4), slice(0, 4), 0), (slice(0, 4), slice(4, 8), 1))
    aerial = picture((slice(0, 4), slice(0, 8), 0))
    first, _ = attribute(network(gap=True), ground, aerial, 4)["similarity"]
    assert (first[0, :, :4] > 0).all()
    assert (first[0, :, 4:] == 0).all()
    g, a = np.array([0.5, 0.5, 0, 1 / 3]), np.array([1, 0, 0, 1 / 3])
    unit = a / np.linalg.norm(a)
    slope = (unit - g * (g @ unit) / (g @ g)) / np.linalg.norm(g) / 32  # of the cosine, by each cell of a channel
    np.testing.assert_allclose(first[0, 0, 0], slope @ [1, 0, 0, 1 / 3], rtol=1e-5)


def test_similarity_heat_is_the_same_in_any_batch_and_leaves_the_network_alone() -> None:
    made = TwoBranch(
        ModelConfig(
            backbone=BackboneConfig(name="test_efficientnet", weights="random"),
            attention=Triplet(kind="triplet"),
            head=Flatten(kind="flatten"),
        )
    ).train()
    views = np.random.default_rng(0).integers(0, 256, (2, 5, 32, 128, 3), dtype=np.uint8)
    whole, parts = (attribute(made, views[0], views[1], size) for size in (5, 2))
    assert made.training
    assert all(one.grad is None for one in made.parameters())
    for method, heat in whole.items():
        for one, other in zip(heat, parts[method], strict=True):
            assert one.shape == (5, 1, 4)
            assert (one >= 0).all()
            np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-6)


def test_similarity_heat_does_not_mind_views_of_different_size() -> None:
    made = network(gap=True)
    first, second = similarity_heat(made, torch.rand(2, 4, 3, 5), torch.rand(2, 4, 2, 7))
    assert (first.shape, second.shape) == ((2, 3, 5), (2, 2, 7))


def views_of(ground: np.ndarray, aerial: np.ndarray) -> Views:
    spec = ViewSpec.polar(height=32, width=64, tile_size_m=70.0)
    return Views("test", pd.DataFrame({"pair_id": range(len(ground))}), ground, aerial, spec)


def test_shares_of_heat_by_hand() -> None:
    """A grid of 4 x 8 cells over 32 x 64 pixels; red fills the top row, which is sky."""
    views = views_of(picture((slice(0, 1), slice(0, 8), 0)), picture(RED))
    labels = np.zeros((1, 32, 64), np.uint8)
    labels[0, :8] = CLASSES["sky"]
    labels[0, 24:, :4] = CLASSES["car"]
    visible = np.full((1, 32, 64), 255, np.uint8)
    visible[0, :, 32:] = 0
    values = measure_shares(network(), views, Masks(labels, visible, CLASSES), 4, resamples=10)
    # Bilinear: the top row's heat is 1 in the first 4 pixels, then falls from 15/16 by 1/8: within the sky
    # 4 + (15 + 13 + 11 + 9)/16 = 7 of 8 pixels' worth; in all 12 - 4 = 8.
    assert values["heat_activation_sky_share"] == pytest.approx((4 + (15 + 13 + 11 + 9) / 16) / 8)
    assert values["heat_activation_sky_pixels"] == pytest.approx(1 / 4)
    assert values["heat_activation_sky_ratio"] == pytest.approx(7 / 8 * 4)
    assert values["heat_activation_cars_share"] == 0
    assert values["heat_activation_unseen_share"] == 0, "the red block is in the western, visible half"
    assert values["heat_activation_unseen_pixels"] == pytest.approx(1 / 2)
    assert values["heat_activation_sky_ratio_most"] == pytest.approx(7 / 8 * 4), "no cell is more of the sky's"
    assert values["heat_activation_sky_ratio_least"] == 0
    assert "heat_activation_pedestrians_share" not in values, "there are none"
    assert values["heat_activation_pedestrians_empty"] == 0
    assert values["heat_similarity_sky_empty"] in (0.0, 1.0)


def test_a_floor_under_the_heat_is_heat() -> None:
    """Even heat has a ratio of 1 everywhere; a bump on a high floor hardly moves it."""
    ground = np.full((1, 32, 64, 3), 250, np.uint8)
    ground[0, :8] = 255
    labels = np.zeros((1, 32, 64), np.uint8)
    labels[0, :8] = CLASSES["sky"]
    masks = Masks(labels, np.zeros((1, 32, 64), np.uint8), CLASSES)
    values = measure_shares(network(), views_of(ground, np.full((1, 32, 64, 3), 9, np.uint8)), masks, 4, resamples=5)
    assert values["heat_activation_sky_ratio"] == pytest.approx(1, abs=0.02)
    assert values["heat_activation_unseen_ratio"] == pytest.approx(1)


@pytest.mark.parametrize(("cells", "pixels"), [(2, 64), (8, 256), (4, 4), (1, 16), (5, 13)])
def test_enlargement_is_bilinear_and_keeps_even_heat_even(cells: int, pixels: int) -> None:
    weights = enlargement(cells, pixels)
    np.testing.assert_allclose(weights.sum(1), 1)
    values = np.random.default_rng(1).random(cells)
    centres = (np.arange(cells) + 0.5) * pixels / cells
    np.testing.assert_allclose(weights @ values, np.interp(np.arange(pixels) + 0.5, centres, values))


def table(heat: np.ndarray, pixels: np.ndarray) -> pd.DataFrame:
    columns = {"heat": heat, "pixels": pixels, "least": 0 * pixels, "most": 4 * pixels}
    return pd.DataFrame({"method": "activation", "region": "sky", "place": range(len(heat)), **columns})


def test_intervals_hold_the_truth_about_as_often_as_they_say() -> None:
    """Places whose heat share is the pixel share times a noisy 0.8: 95 % intervals hold 0.8 in about 95 of 100."""
    rng, held = np.random.default_rng(3), 0
    for trial in range(200):
        pixels = rng.uniform(0.2, 0.4, 60)
        values = summarize(table(pixels * rng.normal(0.8, 0.3, 60), pixels), seed=trial, resamples=200)
        held += values["heat_activation_sky_ratio_low"] <= 0.8 <= values["heat_activation_sky_ratio_high"]
    assert 180 <= held <= 198


def test_the_same_seed_gives_the_same_interval_and_places_without_heat_are_left_out() -> None:
    rng = np.random.default_rng(4)
    heat, pixels = rng.uniform(0.1, 0.3, 40), rng.uniform(0.2, 0.4, 40)
    heat[:10] = np.nan
    first, second = (summarize(table(heat, pixels), seed=5, resamples=50) for _ in range(2))
    assert first == second
    assert first["heat_activation_sky_empty"] == 0.25
    assert first["heat_activation_sky_ratio"] == pytest.approx(heat[10:].mean() / pixels[10:].mean())
    assert first["heat_activation_sky_ratio_low"] < first["heat_activation_sky_ratio"]


def test_masks_of_other_views_are_refused() -> None:
    masks = Masks(np.zeros((1, 16, 64), np.uint8), np.zeros((1, 16, 64), np.uint8), CLASSES)
    with pytest.raises(AenetError, match=r"\(1, 16, 64\).*\(1, 32, 64\)"):
        heat_shares(network(), views_of(picture(), picture()), masks, 1)


def test_stretched_heat_is_for_the_eye() -> None:
    maps = np.array([[[1.0, 2.0]], [[3.0, 3.0]]])
    drawn = stretched(maps, (4, 8))
    assert drawn[0].min() == 0
    assert drawn[0].max() == 1
    assert (drawn[1] == 0).all()


def test_comparison_is_one_picture_and_the_same_bytes_each_time(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    views = views_of(*rng.integers(0, 256, (2, 3, 32, 64, 3), dtype=np.uint8))
    models = {"Baseline": network(), "+TA": network(gap=True)}
    for name in ("first.png", "second.png"):
        compare_figure(models, views, [0, 2], tmp_path / name)
    assert (tmp_path / "first.png").read_bytes() == (tmp_path / "second.png").read_bytes()
    with Image.open(tmp_path / "first.png") as drawn:
        assert drawn.width > 3 * 64
    with pytest.raises(AenetError, match="0 networks and 1 places"):
        compare_figure({}, views, [0], tmp_path / "none.png")
    with pytest.raises(AenetError, match=r"\[3\] are not all among the 3"):
        compare_figure(models, views, [3], tmp_path / "none.png")
