"""What `benchmarks/serving.py` runs on: a model, a gallery and photo files, made where none are given."""

import shutil
from pathlib import Path

import torch

from aenet.data.card import CARD, HALF, ModelCard
from aenet.export.graphs import VIEWS, descriptor_dim, export_branch
from aenet.export.halfprecision import write_half
from aenet.io.artifacts import sha256_file
from aenet.io.atomic import write_json
from aenet.io.machine import usable_cores
from aenet.nn.attention import Triplet
from aenet.nn.backbones import BackboneConfig
from aenet.nn.branches import ModelConfig, TwoBranch
from aenet.nn.heads import Flatten
from aenet.serving.galleries.build import GalleryOptions, build_gallery
from aenet.town.config import Panorama, Places, TownConfig
from aenet.town.dataset import generate
from aenet.view.spec import ViewSpec


def make_network(backbone: str) -> TwoBranch:
    """Return an untrained network: as fast as a trained one."""
    torch.manual_seed(0)
    parts = BackboneConfig(name=backbone, weights="random"), Triplet(kind="triplet"), Flatten(kind="flatten")
    return TwoBranch(ModelConfig(backbone=parts[0], attention=parts[1], head=parts[2])).eval()


def export(network: TwoBranch, backbone: str, height: int, folder: Path, half: bool) -> None:
    """Write both branches with a card; with `half` in both precisions."""
    folder.mkdir(parents=True)
    spec = ViewSpec.polar(height=height, width=4 * height, tile_size_m=70.0)
    for view in VIEWS:
        export_branch(network.branch(view), spec.of(view), folder / f"{view}.onnx")
        if half:
            write_half(folder / f"{view}.onnx", folder / f"{view}{HALF}")
    card = ModelCard(
        name="benchmark",
        view=spec,
        descriptor_dim=descriptor_dim(folder / "ground.onnx"),
        backbone=backbone,
        attention="triplet",
        head="flatten",
        trained_on="nothing",
        fingerprint="0",
        sha256={file.name: sha256_file(file) for file in sorted(folder.glob("*.onnx"))},
    )
    write_json(folder / CARD, card.model_dump(mode="json"))


def make_town(folder: Path, panorama: tuple[int, int], places: int = 48) -> None:
    """Generate a small town with `places` photos of `panorama` (height, width) pixels."""
    size = Panorama(height=panorama[0], width=panorama[1])
    split = Places(train=places - 2, val=1, test=1)
    generate(TownConfig(width_m=300, height_m=300, spacing_m=5.0, places=split, panorama=size), folder)


def multiply(source: Path, folder: Path, count: int) -> int:
    """Fill `folder` with `count` files copied from the photos in `source`; return their mean size in bytes."""
    folder.mkdir(parents=True)
    files = sorted(path for path in source.iterdir() if path.suffix.lower() in (".jpg", ".jpeg", ".png"))
    for number in range(count):
        photo = files[number % len(files)]
        shutil.copyfile(photo, folder / f"{number:06d}{photo.suffix}")
    return sum(path.stat().st_size for path in folder.iterdir()) // count


def make_gallery(source: Path, folder: Path, model: Path, provider: str, spacing_m: float) -> None:
    """Build a gallery of the town's map."""
    options = GalleryOptions.model_validate({"spacing_m": spacing_m, "provider": provider, "threads": usable_cores()})
    build_gallery(source / "town.tif", folder, model, options)
