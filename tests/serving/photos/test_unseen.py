"""What a photo does not show is painted in service as in evaluation, by the rule of the model's card: same answers."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from torch import Tensor, nn
from torch.nn import functional

from aenet.data.views import Views, aerial_view, ground_view
from aenet.evaluation.embed import embed
from aenet.evaluation.horizon import known_heading, open_horizon, unknown_heading
from aenet.nn.branches import Branch, TwoBranch
from aenet.retrieval.recall import EvaluateConfig
from aenet.serving.galleries.build import GalleryOptions, build_gallery
from aenet.serving.localize import LocateOptions, locate
from aenet.view.images import decode, encode_jpeg
from aenet.view.spec import NEUTRAL, Paint, Unseen, ViewSpec
from tests.serving.photos.test_photos_metadata import gpano
from tests.support import world

SPEC = ViewSpec.polar(height=world.HEIGHT, width=world.WIDTH, tile_size_m=world.TILE_M)
PLACES, FINER = 60, 4  # panoramas have four pixels for each of the view's
MEANS = {"0.5": (0.5, 0.5, 0.5), "ImageNet's": (0.485, 0.456, 0.406)}


class Layout(Branch):
    """`world.make_model`'s network in torch, so that the evaluation can run on it."""

    def __init__(self, mean: tuple[float, float, float]) -> None:
        nn.Module.__init__(self)
        self.register_buffer("mean", 255 * torch.tensor(mean).view(3, 1, 1))
        self.head = nn.Flatten()
        self.bias = nn.Parameter(torch.tensor(1e-6))

    def features(self, pixels: Tensor) -> Tensor:
        blocks = functional.avg_pool2d(pixels.permute(0, 3, 1, 2).float(), world.BLOCK)
        return blocks - blocks.mean((2, 3), keepdim=True) + self.bias

    def forward(self, pixels: Tensor, unit: bool = True) -> Tensor:
        return functional.normalize(self.features(pixels).flatten(1), dim=1)


class Network(TwoBranch):
    """Both branches alike."""

    def __init__(self, mean: tuple[float, float, float]) -> None:
        nn.Module.__init__(self)
        self.ground = self.aerial = Layout(mean)


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, np.ndarray, Views]:
    """A table of tiles, noisy panoramas of their centres, and both as packed views."""
    folder, generator = tmp_path_factory.mktemp("unseen"), np.random.default_rng(4)
    pixels, rows, panoramas, tiles = world.make_pixels(), [], [], []
    for number in range(PLACES):
        left, top = (2 * int(generator.integers(0, (side - 120) // 2)) for side in (800, 640))
        file = folder / f"{number:02d}.jpg"
        file.write_bytes(encode_jpeg(np.ascontiguousarray(pixels[top : top + 120, left : left + 120])))
        x_m, y_m = (left + 60) * world.PIXEL_M, (top + 60) * world.PIXEL_M
        latitude, longitude = world.position(x_m, y_m)
        rows.append({"path": file.name, "latitude": latitude, "longitude": longitude})
        clean = world.panorama(pixels, x_m, y_m, FINER * SPEC.ground.height, FINER * SPEC.ground.width)
        noise = generator.normal(0, 40, (4, 8, 3)).repeat(16, 0).repeat(32, 1)
        panoramas.append(np.clip(clean + noise, 0, 255).astype(np.uint8))
        tiles.append(decode(file))
    table = pd.DataFrame(rows)
    table.to_csv(folder / "tiles.csv", index=False)
    pairs = table.assign(aerial_latitude=table["latitude"], aerial_longitude=table["longitude"])
    ground = np.stack([ground_view(image, SPEC) for image in panoramas])
    return folder / "tiles.csv", np.stack(panoramas), Views(
        "test", pairs, ground, np.stack([aerial_view(tile, SPEC) for tile in tiles]), SPEC
    )  # fmt: skip


def photograph(folder: Path, panoramas: np.ndarray, turns: np.ndarray, fov_deg: float) -> Path:
    """Cut what cameras see that look `turns` columns of the view right of the north; GPano says which part it is."""
    height, width = panoramas.shape[1:3]
    kept = round(fov_deg / 360 * width)
    left = width // 2 - kept // 2
    folder.mkdir(parents=True)
    for number, (panorama, turn) in enumerate(zip(panoramas, turns.tolist(), strict=True)):
        cut = np.roll(panorama, -FINER * turn, axis=1)[:, left : left + kept]
        said = gpano(
            ProjectionType="equirectangular", FullPanoWidthPixels=width, FullPanoHeightPixels=width // 2,
            CroppedAreaImageWidthPixels=kept, CroppedAreaImageHeightPixels=height, CroppedAreaLeftPixels=left,
            CroppedAreaTopPixels=(width // 2 - height) // 2, PoseHeadingDegrees=turn * 360 / SPEC.ground.width,
        )  # fmt: skip
        chunks = PngInfo()
        chunks.add_itxt("XML:com.adobe.xmp", said.decode())
        Image.fromarray(cut).save(folder / f"{number:02d}.png", pnginfo=chunks)
    return folder


@pytest.fixture(scope="module")
def gallery(places: tuple[Path, np.ndarray, Views]) -> Path:
    """The tiles' gallery; a card's rule does not touch it."""
    folder = places[0].parent
    options = GalleryOptions(provider="cpu", threads=1)
    build_gallery(places[0], folder / "gallery", world.make_model(folder / "model"), options)
    return folder / "gallery"


def answers(gallery: Path, panoramas: np.ndarray, out: Path, unseen: Unseen | None, **asked: Any) -> pd.DataFrame:
    """What `aenet locate` answers to photos of 90 degrees: a real model folder, a real session, files."""
    photos, model = photograph(out / "photos", panoramas, asked["turns"], 90.0), world.make_model(out / "model")
    card = json.loads((model / "model.json").read_text())
    card["unseen"] = unseen and unseen.model_dump(mode="json")
    (model / "model.json").write_text(json.dumps(card))
    options = LocateOptions(provider="cpu", threads=1, heading=asked.get("heading", "auto"), decoders=1)
    locate(str(photos), gallery, model, out / "out", options)
    return pd.read_parquet(out / "out" / "places.parquet")


@pytest.mark.parametrize("known", [True, False], ids=["known heading", "unknown heading"])
@pytest.mark.parametrize("mean", MEANS)
@pytest.mark.parametrize("rule", ["edge", "view_mean", "network_mean"])
def test_serving_answers_as_evaluation_does_at_90_degrees(
    places: tuple[Path, np.ndarray, Views], gallery: Path, tmp_path: Path, rule: Paint, mean: str, known: bool
) -> None:
    """The same queries, tile by tile and score by score, and so the same recall."""
    _, panoramas, views = places
    network, config = Network(MEANS[mean]), EvaluateConfig(batch_size=16, threads=1)
    horizon = open_horizon(network, views, embed(network.aerial, views.aerial, 16), config, rule)
    tally = known_heading(horizon, 90.0) if known else unknown_heading(horizon, 90.0)[0]
    unseen, heading = Unseen(rule=rule, colour=network.ground.zero_colour), "auto" if known else "unknown"
    found = answers(gallery, panoramas, tmp_path, unseen, turns=horizon.turns, heading=heading)
    assert found["tiles"].str[0].tolist() == [f"{row:02d}.jpg" for row in tally.best.top[:, 0]]
    assert np.abs(found["score"] - tally.best.similarity[:, 0]).max() < 1e-5
    assert 0.2 < (tally.rank == 0).mean() < 0.98 and found["notes"].isna().all()


def test_a_card_that_does_not_say_how_gets_the_grey_of_its_time_and_a_note(
    places: tuple[Path, np.ndarray, Views], gallery: Path, tmp_path: Path
) -> None:
    north = np.zeros(3, np.int64)
    unsaid, said = (
        answers(gallery, places[1][:3], tmp_path / name, unseen, turns=north)
        for name, unseen in (("old", None), ("new", NEUTRAL))
    )
    assert unsaid["scores"].map(list).tolist() == said["scores"].map(list).tolist()
    assert (
        unsaid["notes"].str.contains(r"grey \(124, 116, 104\).* card does not say").all() and said["notes"].isna().all()
    )
