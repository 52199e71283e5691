"""The report on fields of view and headings: recall for each, and how far off the headings found are."""

import numpy as np
import pandas as pd
from jaxtyping import Float

from aenet.data.views import Views
from aenet.evaluation.horizon import known_heading, open_horizon, unknown_heading
from aenet.nn.branches import TwoBranch
from aenet.retrieval.recall import EvaluateConfig, Evaluation, evaluate_ranks
from aenet.view.spec import Paint

_WITHIN_DEG = 10.0
_COPIED = ("recall_at_1", "recall_at_5", "recall_at_10", "recall_at_1_percent", "median_rank")
_FOUND = ("median_heading_error_deg", "heading_within_10_deg", "median_heading_error_at_first_deg")


def heading_table(
    network: TwoBranch,
    views: Views,
    aerial: Float[np.ndarray, "n d"],
    whole: Evaluation,
    config: EvaluateConfig,
    unseen: Paint,
) -> pd.DataFrame:
    """Return one row for each field of view, with known and, if asked for, unknown heading.

    Args:
        aerial: the references' descriptors.
        whole: the plain evaluation, which is that of 360 degrees with known heading.
        unseen: see `horizon.open_horizon`.
    """
    horizon, rows = open_horizon(network, views, aerial, config, unseen), []
    for fov_deg in config.fov_deg:
        values = whole.values if fov_deg == 360 else evaluate_ranks(known_heading(horizon, fov_deg), views).values
        rows.append({"fov_deg": fov_deg, "heading": "known"} | {name: values[name] for name in _COPIED})
        if config.unknown_heading:
            tally, at_own, at_first = unknown_heading(horizon, fov_deg)
            values = evaluate_ranks(tally, views).values
            found = {
                "median_heading_error_deg": float(np.median(at_own)),
                "heading_within_10_deg": 100 * float((at_own <= _WITHIN_DEG).mean()),
                "median_heading_error_at_first_deg": float(np.median(at_first)),
            }
            rows.append({"fov_deg": fov_deg, "heading": "unknown"} | {name: values[name] for name in _COPIED} | found)
    return pd.DataFrame(rows)


def heading_figures(frame: pd.DataFrame) -> dict[str, float]:
    """Return the table's figures by names such as `fov_180_recall_at_1`, `unknown_heading_360_recall_at_1`.

    The whole circle with known heading is the plain evaluation, and stands under no second name.
    """
    values: dict[str, float] = {}
    for row in frame.to_dict("records"):
        fov_deg, heading = row.pop("fov_deg"), row.pop("heading")
        if heading == "unknown" or fov_deg != 360:
            prefix = f"unknown_heading_{fov_deg:g}" if heading == "unknown" else f"fov_{fov_deg:g}"
            values |= {f"{prefix}_{name}": float(value) for name, value in row.items() if pd.notna(value)}
    return values
