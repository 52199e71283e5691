"""Fields of view and headings of a real network, whole: torch, views, blocks, table, picture."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from aenet.data.views import Views
from aenet.evaluation import embed as embedding
from aenet.evaluation import figures, headings, horizon
from aenet.evaluation.embed import embed, embed_pairs, map_shape
from aenet.io.errors import AenetError
from aenet.nn.branches import ModelConfig, TwoBranch
from aenet.retrieval import recall
from aenet.retrieval.products import is_mapped
from aenet.retrieval.recall import EvaluateConfig, score
from aenet.view.spec import Paint, ViewSpec

PLACES, WIDTH = 12, 256


def network(head: str = "flatten") -> TwoBranch:
    torch.manual_seed(0)
    parts: dict[str, Any] = {
        "backbone": {"name": "test_efficientnet", "weights": "random"},
        "attention": {"kind": "none"},
        "head": {"kind": head},
        "shared": True,
    }
    return TwoBranch(ModelConfig.model_validate(parts)).eval()


@pytest.fixture(scope="module")
def views() -> Views:
    """Smooth panoramas, and, as aerial views, the same: a matching task that a random network can do."""
    generator = np.random.default_rng(0)
    angle, height = np.arange(WIDTH) / WIDTH * 2 * np.pi, np.linspace(0, 1, 64)[:, None, None]
    pixels = np.zeros((PLACES, 64, WIDTH, 3))
    for wave in range(1, 12):
        phase = generator.uniform(0, 6.28, (PLACES, 1, 1, 3))
        pixels += np.cos(wave * angle[:, None] + phase + 3 * height * generator.normal(size=(PLACES, 1, 1, 3)))
    uint8 = np.clip(128 + 30 * pixels, 0, 255).astype(np.uint8)
    place = np.arange(PLACES) * 1e-3
    names = ("latitude", "longitude", "aerial_latitude", "aerial_longitude")
    pairs = pd.DataFrame(dict.fromkeys(names, place))
    return Views("test", pairs, uint8, uint8, ViewSpec.polar(height=64, width=WIDTH, tile_size_m=70.0))


def config(**changes: Any) -> EvaluateConfig:
    base = {"batch_size": 4, "threads": 1, "fov_deg": (360.0, 180.0), "unknown_heading": True}
    return EvaluateConfig(**(base | changes))


def test_headings_and_places_are_found(views: Views) -> None:
    model = network()
    ground, aerial = embed_pairs(model, views, 4)
    frame = headings.heading_table(model, views, aerial, score(ground, aerial, views), config(), "edge")
    assert frame["fov_deg"].tolist() == [360, 360, 180, 180]
    assert frame["heading"].tolist() == ["known", "unknown"] * 2
    known, unknown = frame["heading"] == "known", frame["heading"] == "unknown"
    assert frame.loc[known, "recall_at_1"].min() >= 75
    assert frame.loc[unknown, "recall_at_1"].iloc[0] >= 75
    assert frame.loc[unknown, "median_heading_error_deg"].iloc[0] < 10  # of features 45 degrees wide
    assert frame.loc[known, "median_heading_error_deg"].isna().all()


def test_phases_sharpen_the_heading(views: Views) -> None:
    model = network()
    aerial = embed(model.aerial, views.aerial, 4)
    errors = {
        phases: horizon.unknown_heading(horizon.open_horizon(model, views, aerial, config(phases=phases)), 360.0)[1]
        for phases in (1, 8)
    }
    assert np.median(errors[8]) < np.median(errors[1])


@pytest.mark.parametrize("unseen", ["network_mean", "view_mean", "edge"])
def test_the_whole_circle_with_known_heading_is_plain_evaluation(views: Views, unseen: Paint) -> None:
    model = network()
    ground, aerial = embed_pairs(model, views, 4)
    wide = horizon.open_horizon(model, views, aerial, config(), unseen)
    plain = score(ground, aerial, views)
    tally = horizon.known_heading(wide, 360.0)
    assert tally.rank.tolist() == plain.rank.tolist()
    assert tally.best.top[:, 0].tolist() == plain.top[:, 0].tolist()
    assert np.allclose(tally.best.similarity[:, 0], plain.similarity[:, 0], atol=1e-5)


def test_blocks_change_nothing(views: Views, monkeypatch: pytest.MonkeyPatch) -> None:
    model = network()
    aerial = embed(model.aerial, views.aerial, 4)
    setting = horizon.open_horizon(model, views, aerial, config(positives_within_m=200.0, phases=2))
    assert len(setting.positives.rows) > PLACES  # neighbours are 157 m apart

    def everything() -> list[np.ndarray]:
        tally, own, first = horizon.unknown_heading(setting, 180.0)
        return [horizon.known_heading(setting, 90.0).rank, tally.rank, tally.best.top, own.round(2), first.round(2)]

    whole = everything()
    monkeypatch.setattr(horizon, "_QUERIES", 5)
    monkeypatch.setattr(horizon, "_REFERENCES", 7)
    assert all(np.array_equal(a, b) for a, b in zip(whole, everything(), strict=True))


@pytest.mark.parametrize("known", [True, False])
def test_a_collapsed_network_finds_nothing(views: Views, known: bool) -> None:
    model = network()
    same = np.repeat(embed(model.aerial, views.aerial[:1], 1), PLACES, axis=0)
    setting = horizon.open_horizon(model, views, same, config())
    tally = horizon.known_heading(setting, 180.0) if known else horizon.unknown_heading(setting, 180.0)[0]
    assert set(tally.rank) == {PLACES - 1}


@pytest.mark.parametrize("known", [True, False])
def test_descriptors_that_are_not_finite_are_refused(views: Views, known: bool) -> None:
    model = network()
    aerial = embed(model.aerial, views.aerial, 4)
    aerial[3, 5] = np.nan
    setting = horizon.open_horizon(model, views, aerial, config())
    with pytest.raises(AenetError, match=f"1 of {PLACES} reference descriptors hold NaN"):
        horizon.known_heading(setting, 180.0) if known else horizon.unknown_heading(setting, 180.0)


def test_the_same_seed_looks_the_same_way(views: Views) -> None:
    model = network()
    aerial = embed(model.aerial, views.aerial, 4)
    turns = [horizon.open_horizon(model, views, aerial, config(seed=seed)).turns.tolist() for seed in (1, 1, 2)]
    assert turns[0] == turns[1] != turns[2]


def test_a_head_without_a_map_tries_turns_of_the_whole_view(views: Views) -> None:
    model = network("gap")
    ground, aerial = embed_pairs(model, views, 4)
    assert map_shape(model.ground, views.spec) == (aerial.shape[1], 1, 1)
    setting = horizon.open_horizon(model, views, aerial, config(phases=2))
    assert setting.phases == 8
    tally, _, _ = horizon.unknown_heading(setting, 360.0)
    turned = np.max([_turned(model, views, setting, step * WIDTH // 8) @ aerial.T for step in range(8)], axis=0)
    assert tally.best.similarity[:, 0] == pytest.approx(turned.max(1), abs=1e-5)
    del ground


def _turned(model: TwoBranch, views: Views, setting: horizon.Horizon, step: int) -> np.ndarray:
    rolled = [np.roll(view, -(turn + step), axis=1) for view, turn in zip(views.ground, setting.turns, strict=True)]
    return np.asarray(embed(model.ground, np.stack(rolled), 4))


def test_descriptors_beyond_memory_go_to_a_file_without_a_name(
    views: Views, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = network()
    small = embed_pairs(model, views, 5, tmp_path)
    assert not is_mapped(small[0])
    monkeypatch.setattr(embedding, "_IN_MEMORY_BYTES", 1000)
    large = embed_pairs(model, views, 5, tmp_path / "new")
    assert is_mapped(large[0])
    assert all(np.array_equal(a, b) for a, b in zip(small, large, strict=True))
    assert list((tmp_path / "new").iterdir()) == []
    assert score(*large, views).values == score(*small, views).values
    assert not is_mapped(embed(model.ground, views.ground, 5))  # nowhere to put it: in memory


def test_names_are_plain(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {
            "fov_deg": [360.0, 360.0, 67.5],
            "heading": ["known", "unknown", "known"],
            "recall_at_1": [90.0, 50.0, 20.0],
            "median_heading_error_deg": [np.nan, 3.5, np.nan],
        }
    )
    assert headings.heading_figures(frame) == {
        "unknown_heading_360_recall_at_1": 50.0,
        "unknown_heading_360_median_heading_error_deg": 3.5,
        "fov_67.5_recall_at_1": 20.0,
    }
    for number, rows in enumerate((frame, frame[frame["heading"] == "known"])):
        figures.headings(rows, 1.0, tmp_path / f"{number}.png")
        assert (tmp_path / f"{number}.png").stat().st_size > 5000


def test_defaults_evaluate_as_before() -> None:
    plain = EvaluateConfig(batch_size=1, threads=1)
    assert (plain.fov_deg, plain.unknown_heading, plain.positives_within_m) == ((360.0,), False, None)
    assert recall.one_percent(8884) == 88
