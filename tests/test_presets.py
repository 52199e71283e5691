"""Every preset is valid section by section, and its network takes a training step."""

from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pydantic import BaseModel

from aenet.card import ViewSpec
from aenet.data.pairs import COLUMNS
from aenet.data.views import Views
from aenet.errors import AenetError
from aenet.export.branches import ExportConfig
from aenet.params import read_section, read_yaml
from aenet.presets import set_values, use_preset
from aenet.retrieval.evaluation import EvaluateConfig
from aenet.study.paper import VARIANTS
from aenet.training import TrainConfig, train
from aenet.trials import AblateConfig
from stages.download import DownloadConfig
from stages.heatmaps import HeatmapsConfig
from stages.polar_transform import PolarConfig

ROOT = Path(__file__).resolve().parents[1]
PRESETS = sorted(path.stem for path in (ROOT / "presets").glob("*.yaml"))
SECTIONS: dict[str, type[BaseModel]] = {
    "download": DownloadConfig,
    "polar_transform": PolarConfig,
    "train": TrainConfig,
    "evaluate": EvaluateConfig,
    "ablate": AblateConfig,
    "heatmaps": HeatmapsConfig,
    "export_onnx": ExportConfig,
}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "presets").symlink_to(ROOT / "presets")
    (tmp_path / "params.yaml").write_text((ROOT / "params.yaml").read_text())
    return tmp_path


@pytest.mark.parametrize("name", PRESETS)
def test_params_are_valid_with_every_preset(project: Path, name: str) -> None:
    changed = use_preset(name, project)
    assert changed
    for section, type_ in SECTIONS.items():
        read_section(project / "params.yaml", section, type_)


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_takes_a_step(project: Path, name: str) -> None:
    """Its own network, loss, optimiser and sampling; random weights, because ImageNet's need a network."""
    use_preset(name, project)
    config = read_section(project / "params.yaml", "train", TrainConfig)
    view = read_section(project / "params.yaml", "polar_transform", PolarConfig).view
    backbone = config.model.backbone.model_copy(update={"weights": "random"})
    changed = {"model": config.model.model_copy(update={"backbone": backbone}), "epochs": 1, "batch_size": 2}
    assert np.isfinite(_loss_of_a_step(config.model_copy(update=changed), view.height, view.width))


@cache
def _loss_of_a_step(config: TrainConfig, height: int, width: int) -> float:
    """Presets that train alike share the step: the paper's takes seconds."""
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        return train(config, _views(2, height, width), _views(2, height, width), Path(folder)).history[0].loss


def _views(n: int, height: int, width: int) -> Views:
    generator = np.random.default_rng(0)
    pixels = generator.integers(0, 256, (2, n, height, width, 3), dtype=np.uint8)
    pairs = pd.DataFrame({name: [f"{row}" for row in range(n)] for name in COLUMNS})
    pairs = pairs.assign(latitude=1e-4 * np.arange(n), longitude=0.0)
    return Views("train", pairs, pixels[0], pixels[1], ViewSpec(height=height, width=width, tile_size_m=70.0))


@pytest.mark.parametrize("name", ["paper-cvusa", "paper-cvact"])
def test_the_papers_presets_say_what_the_paper_says(name: str) -> None:
    """Table 2, and a row for every line of Tables 5 and 6."""
    file = ROOT / "presets" / f"{name}.yaml"
    config = read_section(file, "train", TrainConfig)
    assert (config.batch_size, config.optimizer.lr, config.optimizer.weight_decay) == (24, 1e-5, 5e-5)
    assert config.model.backbone.name == "tf_efficientnetv2_s" and config.model.backbone.weights == "imagenet"
    view = read_section(file, "polar_transform", PolarConfig).view
    assert (view.height, view.width) == (128, 512)
    ablate = read_section(file, "ablate", AblateConfig)
    assert set(ablate.variants) == set(VARIANTS)
    aenet = ablate.variants["ta_mhnw"]
    assert (aenet.attention, aenet.loss) == (config.model.attention, config.loss), "train and its row would differ"


def test_the_default_parameters_are_the_towns_preset() -> None:
    assert read_yaml(ROOT / "presets" / "city.yaml") == read_yaml(ROOT / "params.yaml")


def test_single_values_are_set_and_everything_else_kept(project: Path) -> None:
    before = (project / "params.yaml").read_text()
    set_values({"train.epochs": 2, "train.model.backbone.weights": "random"}, project)
    assert read_section(project / "params.yaml", "train", TrainConfig).epochs == 2
    after = (project / "params.yaml").read_text()
    assert after.splitlines()[0] == before.splitlines()[0]
    assert sum(a != b for a, b in zip(after.splitlines(), before.splitlines(), strict=True)) <= 2


def test_a_value_below_an_unknown_key_is_refused(project: Path) -> None:
    before = (project / "params.yaml").read_bytes()
    with pytest.raises(AenetError, match="did you mean 'train'"):
        set_values({"trian.epochs": 2}, project)
    assert (project / "params.yaml").read_bytes() == before
