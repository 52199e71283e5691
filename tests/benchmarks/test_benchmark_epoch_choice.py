"""`benchmarks/epoch_choice.py`: each rule keeps what it would have kept, and the share of wrong choices is counted."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from aenet.training.validation import Validation

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def choices(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    import epoch_choice

    monkeypatch.setattr(epoch_choice, "DRAWS", 100)
    return epoch_choice


def test_the_rules_by_hand(choices: Any) -> None:
    """The later epoch finds one place less at first sight, and all others better."""
    first = Validation(np.array([9] * 10), np.array([0] * 5 + [9] * 5))
    last = Validation(np.array([0] * 10), np.array([0] * 4 + [1] * 6))
    assert choices.kept_before([first, last]) == 0
    assert choices.kept_after([first, last]) == 1
    assert choices.kept_before([first, first]) == 0
    assert choices.kept_after([first, first]) == 1


def test_wrong_choices_are_counted(choices: Any) -> None:
    """Of two moments four points apart the worse is found worse by whoever looks at all, except in its first ranks."""
    places = 1000
    worse, better = (np.where(np.arange(places) < found, 0, 1) for found in (500, 540))
    ranks = pd.DataFrame({
        "moment": np.repeat([0, 1], places), "place": np.tile(np.arange(places), 2),
        "known": np.concatenate([worse, better]), "unknown": np.concatenate([worse, better]),
    })  # fmt: skip
    found = choices.measure(ranks).set_index(["gap", "rule"])
    assert found.loc[(4.0, "before"), "pairs"] == 1 and found.loc[(2.0, "after"), "pairs"] == 0
    # No place is found worse by the better moment: the worse cannot win, and a draw without any of the 40 places that
    # tell is one in e^8 or rarer.
    assert found.loc[(4.0, "after"), "better last"] == 0 and found.loc[(4.0, "before"), "better first"] == 0
    assert found.loc[(4.0, "after"), "better first"] == 0
    said = choices.table(ranks, choices.measure(ranks))
    assert "R@1 with known heading 50.0, 54.0 %" in said and "| 2 | 0 | before | - | - |" in said
