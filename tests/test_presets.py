"""Every preset is valid section by section, and its network takes a training step."""

import re
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pydantic import BaseModel

from aenet.ablation.trials import AblateConfig
from aenet.ablation.variants import VARIANTS
from aenet.data.pairs import COLUMNS
from aenet.data.views import Views
from aenet.export.graphs import ExportConfig
from aenet.io.errors import AenetError
from aenet.io.params import parse, read_section, read_yaml, say_renamed
from aenet.nn.losses import Mhnw, Wsmr
from aenet.presets import read_preset, set_values, use_preset
from aenet.retrieval.recall import EvaluateConfig
from aenet.training.loop import TrainConfig, train
from aenet.view.spec import ViewSpec
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
    assert np.isfinite(_loss_of_a_step(config.model_copy(update=changed), view.ground.height, view.ground.width))


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
    return Views("train", pairs, pixels[0], pixels[1], ViewSpec.polar(height=height, width=width, tile_size_m=70.0))


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_leaves_the_same_whatever_was_used_before(project: Path, name: str) -> None:
    params = project / "params.yaml"
    fresh = params.read_text()
    sections = use_preset(name, project)
    expected = {section: read_yaml(params)[section] for section in sections}
    for before in PRESETS:
        params.write_text(fresh)
        use_preset(before, project)
        use_preset(name, project)
        assert {section: read_yaml(params)[section] for section in sections} == expected, f"after {before}"


def _leaves(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    below = {f"{prefix}{key}": value for key, value in tree.items()}
    mappings = {key: value for key, value in below.items() if isinstance(value, dict)}
    return {key: value for key, value in below.items() if key not in mappings} | {
        key: value for name, mapping in mappings.items() for key, value in _leaves(mapping, f"{name}.").items()
    }


@pytest.mark.parametrize("name", PRESETS)
def test_all_else_as_in_another_preset_is_all_else(name: str) -> None:
    """A preset that says so names that one as its base, and differs from it where it says and nowhere else."""
    written = read_yaml(ROOT / "presets" / f"{name}.yaml")
    said = re.findall(r"all else as (?:in )?`([\w-]+)`", (ROOT / "presets" / f"{name}.yaml").read_text())
    assert set(said) <= {written.get("base")}
    if "base" in written:
        ours, bases = (_leaves(read_preset(one, ROOT)) for one in (name, written.pop("base")))
        changed = {key for key in ours.keys() | bases.keys() if ours.get(key) != bases.get(key)}
        assert {key for key in changed if not any(f"{key}.".startswith(f"{one}.") for one in written)} == set()
        assert changed, "the same as its base"


@pytest.mark.parametrize("name", ["city", "city-study", "large-city", "strong-city"])
def test_a_presets_name_of_the_last_release_is_read_as_the_present_one(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    say_renamed.cache_clear()
    present = name.replace("city", "town")
    assert read_preset(name, ROOT) == read_preset(name, ROOT) == read_preset(present, ROOT)
    assert [record.getMessage() for record in caplog.records if f"preset {name} " in record.getMessage()] == [
        f"preset {name} is called {present} now: write that, the old name goes with the next release"
    ]


def test_the_strong_recipe_is_the_towns_but_for_its_attention() -> None:
    strong, town = (read_preset(name, ROOT)["train"] for name in ("strong-town", "town"))
    assert strong["loss"]["heading"] == "unknown"
    assert strong["model"].pop("attention") == {"kind": "bam", "reduction": 16, "dilation": 4}
    town["model"].pop("attention")
    assert strong == town


def test_a_preset_with_a_base_is_read_or_refused(tmp_path: Path) -> None:
    (tmp_path / "presets").mkdir()
    for name, text in {
        "plain": "train:\n  loss: {kind: mhnw, alpha: 1.0}   # of plain\n  epochs: 3\n",
        "other": "base: plain\ntrain.loss: {kind: infonce}\nablate: {epochs: 1}\n",
        "astray": "base: plain\ntrain.optimiser.lr: 1\n",
        "one": "base: two\n",
        "two": "base: one\n",
        "lost": "base: nowhere\n",
    }.items():
        (tmp_path / "presets" / f"{name}.yaml").write_text(text)
    (tmp_path / "params.yaml").write_text("train: {}\nablate: {}\n")
    assert use_preset("other", tmp_path) == ["train", "ablate"]
    assert read_yaml(tmp_path / "params.yaml") == {
        "train": {"loss": {"kind": "infonce"}, "epochs": 3}, "ablate": {"epochs": 1},
    }  # fmt: skip
    assert "of plain" not in (tmp_path / "params.yaml").read_text(), "a comment on another value"
    for name, sentence in {
        "astray": r"cannot set train.optimiser.lr: .*astray.yaml has no mapping 'optimiser'",
        "one": "each other's base: one -> two -> one",
        "lost": "there is no preset 'nowhere'",
    }.items():
        with pytest.raises(AenetError, match=sentence):
            use_preset(name, tmp_path)


@pytest.mark.parametrize("name", ["paper", "paper-cvusa", "paper-cvact"])
def test_the_papers_presets_say_what_the_paper_says(name: str) -> None:
    """Table 2; the distance and the anchors of equations 3.1 to 3.3; a row for every line of Tables 5 and 6."""
    preset = read_preset(name, ROOT)
    config = parse(preset, "train", TrainConfig, name)
    assert isinstance(config.loss, Mhnw)
    assert (config.loss.distance, config.loss.anchors, config.loss.heading) == ("euclidean", "ground", "known")
    assert (config.batch_size, config.optimizer.lr, config.optimizer.weight_decay) == (24, 1e-5, 5e-5)
    assert config.model.backbone.name == "tf_efficientnetv2_s" and config.model.backbone.weights == "imagenet"
    view = parse(preset, "polar_transform", PolarConfig, name).view
    assert (view.ground.height, view.ground.width) == (128, 512)
    if name == "paper":
        return
    ablate = parse(preset, "ablate", AblateConfig, name)
    assert set(ablate.variants) == set(VARIANTS)
    for row in ablate.variants.values():
        assert isinstance(row.loss, Mhnw | Wsmr)
        assert (row.loss.distance, row.loss.anchors) == ("euclidean", "ground")
    aenet = ablate.variants["ta_mhnw"]
    assert (aenet.attention, aenet.loss) == (config.model.attention, config.loss), "train and its row would differ"


def test_the_default_parameters_are_the_towns_preset() -> None:
    assert read_yaml(ROOT / "presets" / "town.yaml") == read_yaml(ROOT / "params.yaml")


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
