"""One view a branch: the polar view and the tile as it is, in files, in training, on maps and in jobs."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from aenet.data.card import ModelCard, read_card
from aenet.data.pairs import COLUMNS
from aenet.data.views import Views, aerial_view
from aenet.evaluation import headings
from aenet.evaluation.embed import embed_pairs, map_shape
from aenet.export.graphs import export_branch
from aenet.io.artifacts import sha256_file
from aenet.io.atomic import write_json
from aenet.io.errors import AenetError
from aenet.io.params import read_section
from aenet.nn.branches import ModelConfig, TwoBranch
from aenet.retrieval.recall import EvaluateConfig, score
from aenet.serving.galleries.build import GalleryOptions, build_gallery
from aenet.serving.jobs.job import LocateOptions
from aenet.serving.jobs.outputs import read_places
from aenet.serving.localize import locate
from aenet.serving.maps.polarcut import cut_view
from aenet.serving.sessions.runtime import SessionOptions
from aenet.serving.sessions.session import OnnxBranch
from aenet.training.augment import AugmentConfig, augment
from aenet.training.loop import TrainConfig, train
from aenet.view.polar import polar_transform
from aenet.view.spec import GroundView, PolarView, TileView, ViewSpec
from tests.support import world

ROOT = Path(__file__).resolve().parents[2]
SIDE = 32
SPEC = ViewSpec(
    ground=GroundView(height=16, width=64), aerial=TileView(transform="tile", height=SIDE, width=SIDE, tile_size_m=60.0)
)


def test_views_of_one_size_are_read_as_earlier_versions_wrote_them() -> None:
    old = {"height": 16, "width": 64, "ground_rows": [1, 3], "ground_size": [8, 16], "tile_size_m": 70.0}
    ground = GroundView(height=16, width=64, rows=(1, 3), panorama_size=(8, 16))
    spec = ViewSpec(ground=ground, aerial=PolarView(height=16, width=64, tile_size_m=70.0))
    assert ViewSpec.model_validate_json(json.dumps(old)) == spec
    assert spec.identity() == old, "a gallery of an earlier version is still its model's"
    assert ViewSpec.model_validate_json(spec.model_dump_json()) == spec


@pytest.mark.parametrize(
    ("aerial", "sentence"),
    [
        ({"transform": "tile", "height": 8, "width": 16, "tile_size_m": 70.0}, "height 8 and width 16 must be equal"),
        ({"transform": "cube", "height": 8, "width": 8, "tile_size_m": 70.0}, "polar.*tile"),
        ({"height": 8, "width": 8, "tile_size_m": 70.0}, "transform"),
    ],
)
def test_a_view_that_is_none_is_refused(aerial: dict[str, object], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        ViewSpec.model_validate({"ground": {"height": 8, "width": 32}, "aerial": aerial})


def test_the_tile_is_averaged_or_interpolated_by_hand() -> None:
    tile = np.arange(16, dtype=np.uint8).reshape(4, 4, 1).repeat(3, axis=2) * 10
    sizes = [TileView(transform="tile", height=n, width=n, tile_size_m=9) for n in (2, 4, 8)]
    small, same, large = (aerial_view(tile, SPEC.model_copy(update={"aerial": size})) for size in sizes)
    assert small[..., 0].tolist() == [[25, 45], [105, 125]], "means of four"
    assert np.array_equal(same, tile)
    # Pixel 1 of 8 is a quarter of a pixel off the middle of the first of 4; one to the right is 10 more, one below 40.
    assert large[0, :3, 0].tolist() == [0, 2, 8] and large[1, 1, 0] == 12


def test_a_tile_cut_from_a_map_is_the_tile_of_its_file() -> None:
    pixels = world.make_pixels(200, 200)
    tile = np.ascontiguousarray(pixels[40:160, 30:150])
    matrix = np.array([[2.0, 0.0], [0.0, -2.0]])
    cut = cut_view(np.ascontiguousarray(pixels[30:170, 20:160]), (70.0, 70.0), matrix, SPEC, 60.0, (120, 120))
    assert cut.shape == (SIDE, SIDE, 3)
    assert np.abs(cut.astype(int) - aerial_view(tile, SPEC)).max() <= 1


def test_turning_and_mirroring_is_the_worlds() -> None:
    """What is done to a panorama is done to its square tile: the polar view of the one is still the other."""
    tile = world.make_pixels(120, 120)[:96, :96]
    ground = polar_transform(np.ascontiguousarray(tile), 16, 64)
    many = 40
    views = [np.stack([view] * many) for view in (ground, np.ascontiguousarray(tile))]
    config, generator = AugmentConfig(roll=True, flip=True), torch.Generator().manual_seed(0)
    turned, tiles = augment(*views, np.arange(many), config, generator, around_horizon=False)
    away = [
        np.abs(np.asarray(one).astype(int) - polar_transform(np.ascontiguousarray(other.numpy()), 16, 64)).mean()
        for one, other in zip(turned.numpy(), tiles, strict=True)
    ]
    assert max(away) < 6, "a turned or mirrored tile of even side lies one pixel aside; a wrong turn gives 50"
    assert len({one.numpy().tobytes() for one in tiles}) == 8, "four quarters, mirrored or not"


MODEL = ModelConfig.model_validate(
    {
        "backbone": {"name": "test_efficientnet", "weights": "random"},
        "attention": {"kind": "none"},
        "head": {"kind": "gap"},
        "shared": False,
    }
)


def _network(head: str = "gap") -> TwoBranch:
    torch.manual_seed(0)
    return TwoBranch(ModelConfig.model_validate(MODEL.model_dump() | {"head": {"kind": head}})).eval()


def _views(n: int, seed: int) -> Views:
    generator = np.random.default_rng(seed)
    ground = generator.integers(0, 256, (n, 16, 64, 3), dtype=np.uint8)
    tiles = generator.integers(0, 256, (n, SIDE, SIDE, 3), dtype=np.uint8)
    table = pd.DataFrame({column: np.arange(n, dtype=float) for column in COLUMNS})
    return Views("train", table, ground, tiles, SPEC)


def test_a_map_of_a_tile_is_no_map_of_the_horizon() -> None:
    network = _network("flatten")
    polar = ViewSpec.polar(height=32, width=64, tile_size_m=60.0)
    assert map_shape(network.ground, polar)[2] == 2
    assert map_shape(network.ground, SPEC.model_copy(update={"ground": polar.ground}))[1:] == (1, 1)


def test_tiles_are_trained_on_and_a_heading_is_sought_by_turning_the_panorama(tmp_path: Path) -> None:
    town = read_section(ROOT / "params.yaml", "train", TrainConfig)
    config = town.model_copy(update={"epochs": 1, "batch_size": 8, "model": MODEL})
    known = config.model_copy(update={"loss": config.loss.model_copy(update={"heading": "known"})})
    trained = train(known, _views(16, 1), _views(8, 2), tmp_path / "known")
    assert np.isfinite(trained.history[0].loss)
    if config.loss.heading != "known":
        with pytest.raises(AenetError, match="transform tile no column is an azimuth"):
            train(config, _views(16, 1), _views(8, 2), tmp_path / "unknown")
    network, views = _network(), _views(8, 3)
    ground, aerial = embed_pairs(network, views, 4)
    asked = EvaluateConfig(batch_size=4, threads=1, fov_deg=(360.0,), unknown_heading=True)
    table = headings.heading_table(network, views, aerial, score(ground, aerial, views), asked, "edge")
    assert table["heading"].tolist() == ["known", "unknown"]
    assert table["median_heading_error_deg"].notna().tolist() == [False, True]


def test_a_model_of_tiles_serves(tmp_path: Path) -> None:
    """Exported with one view a branch, its gallery cut from a map, and photos of unknown heading placed with it."""
    folder, network = tmp_path / "model", _network()
    folder.mkdir()
    for view in ("ground", "aerial"):
        export_branch(network.branch(view), SPEC.of(view), folder / f"{view}.onnx")
    digests = {path.name: sha256_file(path) for path in sorted(folder.glob("*.onnx"))}
    dim = network.ground(torch.zeros(1, 16, 64, 3, dtype=torch.uint8)).shape[1]
    card = ModelCard(
        view=SPEC, descriptor_dim=dim, backbone="b", attention="none", head="gap", trained_on="nothing",
        fingerprint="0", sha256=digests,
    )  # fmt: skip
    write_json(folder / "model.json", card.model_dump(mode="json"))
    assert read_card(folder).view == SPEC
    with pytest.raises(AenetError, match="takes views of 32 x 32 px, got 16 x 64"):
        branch = OnnxBranch(folder, "aerial", SessionOptions(provider="cpu", threads=1))
        branch.embed(np.zeros((1, 16, 64, 3), np.uint8))
    pixels = world.make_pixels(400, 400)
    town = world.write_map(tmp_path / "town.tif", pixels)
    options = GalleryOptions(spacing_m=40.0, provider="cpu", threads=1)
    build_gallery(town, tmp_path / "gallery", folder, options)
    world.take_photos(tmp_path / "photos", pixels, 3)
    asked = LocateOptions(provider="cpu", threads=1, heading="unknown")
    locate(tmp_path / "photos", tmp_path / "gallery", folder, tmp_path / "out", asked)
    places = read_places(tmp_path / "out" / "places.parquet")
    assert (places["status"] == "ok").all() and places["heading_deg"].between(0, 360).all()
