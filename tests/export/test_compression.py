"""Smaller descriptors: the right directions, cosines kept where all are, maps that still turn, and what it costs."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from pydantic import TypeAdapter, ValidationError

from aenet.data.card import HALF, Compression
from aenet.data.pairs import COLUMNS
from aenet.data.views import Views
from aenet.evaluation.embed import embed, map_shape
from aenet.export.compression import (
    CompressConfig,
    GapCompression,
    Pca,
    Uncompressed,
    compress,
    compress_network,
    directions,
    plan_compression,
    second_moment,
)
from aenet.export.graphs import VIEWS, ExportConfig, descriptor_dim, export_branch, parity, run_onnx
from aenet.export.halfprecision import half_parity, write_half
from aenet.export.ladder import Sample, draw_sample, ladder, ladder_lines
from aenet.io.errors import AenetError
from aenet.io.params import read_section
from aenet.nn.branches import ModelConfig, TwoBranch
from aenet.nn.heads import Projection
from aenet.retrieval import azimuth
from aenet.retrieval.positives import identity
from aenet.training.loop import TrainConfig
from aenet.view.spec import ViewSpec

ROOT = Path(__file__).resolve().parents[2]
SPEC = ViewSpec.polar(height=32, width=128, tile_size_m=70.0)
SHAPE = (256, 1, 4)  # of the town's network at that size
CONFIG = ExportConfig(threads=1, compression_pairs=24, batches=(1, 3))


def _unit(rows: np.ndarray) -> np.ndarray:
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


def _maps(count: int, shape: tuple[int, int, int], seed: int = 0) -> np.ndarray:
    """Unit descriptors whose channels go together, and are positive on the average, as a network's do."""
    generator = np.random.default_rng(seed)
    mixed = generator.normal(size=(shape[0], shape[0])) * np.geomspace(1, 0.05, shape[0])[:, None]
    maps = np.einsum("oc,nohw->nchw", mixed, generator.normal(size=(count, *shape))) + 0.5
    return _unit(maps.reshape(count, -1))


def _views(split: str, count: int, seed: int) -> Views:
    generator = np.random.default_rng(seed)
    coarse = generator.integers(0, 256, (count, 4, 16, 3)).repeat(8, axis=1).repeat(8, axis=2)
    ground = np.clip(coarse + 20 * generator.standard_normal(coarse.shape), 0, 255).astype(np.uint8)
    table = pd.DataFrame({column: np.zeros(count) for column in COLUMNS})
    table["ground"] = table["aerial"] = [f"{split}-{row}.jpg" for row in range(count)]
    return Views(split, table, ground, coarse.astype(np.uint8), SPEC)


@pytest.fixture(scope="module")
def model() -> ModelConfig:
    return read_section(ROOT / "params.yaml", "train", TrainConfig).model


@pytest.fixture(scope="module")
def network(model: ModelConfig) -> TwoBranch:
    torch.manual_seed(0)
    return TwoBranch(model).eval()


@pytest.fixture(scope="module")
def sample(network: TwoBranch) -> Sample:
    return draw_sample(network, SHAPE, _views("val", 30, 1), _views("train", 40, 2), CONFIG)


# --- The directions


@pytest.mark.parametrize("whiten", [False, True])
def test_directions_are_the_singular_vectors_of_all_cells(whiten: bool) -> None:
    shape = (6, 2, 5)
    descriptors = _maps(50, shape)
    cells = descriptors.reshape(50, 6, 10).transpose(0, 2, 1).reshape(500, 6).astype(np.float64)
    _, singular, rows = np.linalg.svd(cells, full_matrices=False)
    halves = second_moment(descriptors[:20], shape) + second_moment(descriptors[20:], shape)
    matrix = directions(halves, 3, whiten)
    length = np.linalg.norm(matrix, axis=1)
    np.testing.assert_allclose(np.abs((matrix / length[:, None]) @ rows[:3].T), np.eye(3), atol=1e-5)
    np.testing.assert_allclose(length, singular[2] / singular[:3] if whiten else np.ones(3), rtol=1e-5)
    assert (np.take_along_axis(matrix, np.abs(matrix).argmax(1)[:, None], 1) > 0).all()


def test_two_channels_by_hand() -> None:
    """Cells (1, 1), (1, 1), (1, -1): moment [[3, 1], [1, 3]], directions (1, 1) and (1, -1) / sqrt 2."""
    descriptors = np.array([[1.0, 1.0, 1.0, 1.0, 1.0, -1.0]])  # channel 0 of three cells, then channel 1
    moment = second_moment(descriptors, (2, 1, 3))
    np.testing.assert_array_equal(moment, [[3, 1], [1, 3]])
    np.testing.assert_allclose(directions(moment, 1), [[0.70710678, 0.70710678]], rtol=1e-6)
    card = Compression(kind="pca", channels=1, full_shape=(2, 1, 3))
    small = compress(descriptors, card, directions(moment, 1))
    np.testing.assert_allclose(small, [[0.70710678, 0.70710678, 0.0]], atol=1e-7)


def test_all_channels_keep_every_cosine() -> None:
    shape = (24, 2, 5)
    left, right = _maps(40, shape, 1), _maps(30, shape, 2)
    card = Compression(kind="pca", channels=24, full_shape=shape)
    matrix = directions(second_moment(left, shape) + second_moment(right, shape), 24)
    np.testing.assert_allclose(
        compress(left, card, matrix) @ compress(right, card, matrix).T, left @ right.T, atol=1e-5
    )


def test_whitened_directions_have_equal_energy() -> None:
    shape = (12, 2, 5)
    descriptors = _maps(60, shape)
    moment = second_moment(descriptors, shape)
    matrix = directions(moment, 5, whiten=True).astype(np.float64)
    energy = matrix @ moment @ matrix.T
    np.testing.assert_allclose(energy / energy[0, 0], np.eye(5), atol=1e-5)


def test_a_shifted_map_is_shifted_once_compressed() -> None:
    """Compression knows nothing of azimuth, so headings are found as before."""
    shape = (16, 2, 8)
    descriptors = _maps(20, shape)
    card = Compression(kind="pca", channels=6, full_shape=shape)
    matrix = directions(second_moment(descriptors, shape), 6)
    turned = np.roll(descriptors.reshape(20, *shape), -3, axis=3).reshape(20, -1)
    small, small_turned = (azimuth.as_maps(compress(each, card, matrix), card.shape) for each in (descriptors, turned))
    np.testing.assert_allclose(np.roll(small_turned, 3, axis=3), small, atol=1e-6)
    scores = azimuth.correlate(small_turned, small, np.ones(8, np.float32))
    assert (scores.max(axis=2).argmax(axis=1) == np.arange(20)).all()
    np.testing.assert_allclose(np.diagonal(scores[:, :, 3]), 1.0, atol=1e-5)


# --- What cannot be


def test_more_channels_than_there_are() -> None:
    with pytest.raises(AenetError, match=r"channels is 300, and the descriptor has 256 channels: give 256 or fewer"):
        plan_compression(Pca(kind="pca", channels=300), SHAPE)


def test_no_map_to_average() -> None:
    with pytest.raises(AenetError, match="descriptor of 512 numbers is no map"):
        plan_compression(GapCompression(kind="gap"), (512, 1, 1))


def test_directions_without_energy_are_not_whitened() -> None:
    """A dead channel would be divided by nothing."""
    moment = np.diag([4.0, 1.0, 0.0])
    np.testing.assert_allclose(directions(moment, 2, whiten=True), [[0.5, 0.0, 0.0], [0.0, 1.0, 0.0]])
    with pytest.raises(AenetError, match="whitens 3 channels, and only 2 directions of 3"):
        directions(moment, 3, whiten=True)


@pytest.mark.parametrize("wrong", [{"kind": "pca"}, {"kind": "gap", "channels": 3}, {"kind": "pca", "channels": 0}])
def test_settings_that_are_none(wrong: dict[str, object]) -> None:
    adapter: TypeAdapter[CompressConfig] = TypeAdapter(CompressConfig)
    with pytest.raises(ValidationError):
        adapter.validate_python(wrong)


# --- The network and its graphs


@pytest.mark.parametrize(
    "config",
    [Pca(kind="pca", channels=12), Pca(kind="pca", channels=12, whiten=True), GapCompression(kind="gap")],
    ids=str,
)
def test_torch_numpy_and_onnx_agree(network: TwoBranch, sample: Sample, config: CompressConfig, tmp_path: Path) -> None:
    views = _views("test", 7, 3)
    card = plan_compression(config, map_shape(network.ground, views.spec))
    assert card is not None and card.full_shape == SHAPE
    smaller = compress_network(network, card, sample.matrix(card))
    full = embed(network.ground, views.ground, 8)
    torchs = embed(smaller.ground, views.ground, 8)
    np.testing.assert_allclose(torchs, compress(full, card, sample.matrix(card)), atol=1e-5)
    for view in VIEWS:
        export_branch(smaller.branch(view), SPEC.ground, tmp_path / f"{view}.onnx")
    report = parity(smaller, tmp_path, views, CONFIG)
    assert report["passed"] and report["max_abs_difference"] < 1e-5
    assert descriptor_dim(tmp_path / "aerial.onnx") == np.prod(card.shape) == (256 if config.kind == "gap" else 48)
    assert embed(network.ground, views.ground, 8).shape[1] == 1024  # the one given stays as it is


def test_a_vector_is_projected_as_a_whole(model: ModelConfig) -> None:
    """A learned projection can be made smaller, too; shared branches stay one."""
    torch.manual_seed(1)
    head = Projection(kind="projection", of="gap", dim=24)
    network = TwoBranch(model.model_copy(update={"head": head, "shared": True})).eval()
    sample = draw_sample(network, (24, 1, 1), _views("val", 8, 1), _views("train", 40, 2), CONFIG)
    card = plan_compression(Pca(kind="pca", channels=6), (24, 1, 1))
    smaller, views = compress_network(network, card, sample.matrix(card)), _views("test", 5, 3)
    assert smaller.aerial is smaller.ground and card is not None
    full, less = embed(network.aerial, views.aerial, 8), embed(smaller.aerial, views.aerial, 8)
    np.testing.assert_allclose(less, compress(full, card, sample.matrix(card)), atol=1e-5)
    assert "gap float32" not in ladder(sample, card)["choices"]


def test_half_precision_networks_take_compression(network: TwoBranch, sample: Sample, tmp_path: Path) -> None:
    card = plan_compression(Pca(kind="pca", channels=32), SHAPE)
    smaller = compress_network(network, card, sample.matrix(card))
    for view in VIEWS:
        export_branch(smaller.branch(view), SPEC.ground, tmp_path / f"{view}.onnx")
        write_half(tmp_path / f"{view}.onnx", tmp_path / f"{view}{HALF}")
    report = half_parity(tmp_path, _views("test", 9, 3), CONFIG)
    assert report["passed"] and report["top1_changed"] == 0
    half = run_onnx(tmp_path / f"ground{HALF}", _views("test", 9, 3).ground, 9, 1)
    assert half.dtype == np.float32 and half.shape == (9, 32 * 4)


def test_no_compression_is_the_network_itself(network: TwoBranch) -> None:
    assert plan_compression(Uncompressed(), SHAPE) is None and compress_network(network, None) is network


# --- What it costs


def test_the_ladder_counts_bytes_and_finds_what_search_would(sample: Sample) -> None:
    chosen = Compression(kind="pca", channels=5, full_shape=SHAPE)
    report = ladder(sample, chosen)
    assert (report["chosen"], report["photos"], report["tiles"], report["pairs"]) == ("pca 5", 24, 48, 24)
    sizes = {name: row["bytes_per_tile"] for name, row in report["choices"].items()}
    assert sizes == {
        "full float32": 4096,
        "full float16": 2048,
        "pca 128 float32": 2048,
        "pca 64 float32": 1024,
        "pca 32 float32": 512,
        "pca 16 float32": 256,
        "gap float32": 1024,
        "pca 5 float32": 80,
        "pca 5 float16": 40,
    }
    assert report["choices"]["full float32"]["gb_per_km2"] == pytest.approx(4096 * 2500 / 1e9)
    matrix = sample.matrix(chosen)
    queries, tiles = (compress(each, chosen, matrix) for each in (sample.queries, sample.references))
    hits = (queries @ tiles.T).argmax(axis=1) == np.arange(24)
    assert report["choices"]["pca 5 float32"]["recall_at_1"] == pytest.approx(100 * hits.mean())
    lines = ladder_lines(report)
    assert "24 validation photos among 48 tiles" in lines[0] and len(lines) == 2 + 9
    assert [line.split()[1:3] for line in lines if line.startswith("*")] == [["pca", "5"], ["pca", "5"]]


def test_the_ladder_shows_what_a_bad_choice_costs() -> None:
    """Every place has the same two things, elsewhere: averaging over the map loses them, directions do not."""
    shape, generator = (16, 2, 16), np.random.default_rng(0)
    things, maps = generator.normal(size=(2, 16)), np.full((60, *shape), 0.1)
    for number, place in enumerate(maps):
        place[:, 0, number % 16] += things[0]
        place[:, 1, (number + number // 16) % 16] += things[1]
    photos = _unit((maps + 0.05 * generator.normal(size=maps.shape)).reshape(60, -1))
    tiles = _unit(maps.reshape(60, -1))
    choices = ladder(
        Sample(shape, second_moment(tiles, shape), 60, photos, identity(np.arange(len(photos))), tiles), None
    )["choices"]
    assert choices["full float32"]["recall_at_1"] == choices["pca 4 float32"]["recall_at_1"] == 100
    assert choices["gap float32"]["recall_at_1"] < 20
