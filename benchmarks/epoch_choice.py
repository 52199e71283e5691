"""How often the worse of two epochs is taken, by the rule there was and the rule there is.

    python benchmarks/epoch_choice.py                     # trains once, as params.yaml says, on data/views
    python benchmarks/epoch_choice.py --ranks FILE.csv    # the table alone, of ranks that an earlier call kept

One training of params.yaml; towards its end, where epochs are chosen, the ranks of all validation and test places are
taken several times (one gallery of all of them, heading known and unknown). Two such moments whose recall at 1 with
known heading differs by about 2, 4 or 6 points over all places stand for two epochs whose difference is known. Then
validation splits are drawn from the places, with replacement, and each rule is asked which of the two it keeps, with
the better one trained first and with the better one trained last.

* before: 200 places; recall at 1, then at 5, then at 10, with one heading (the loss's: unknown); equals keep the first;
  ranks are today's, of one turn of each photo where it looked at four.
* after: 500 places; `aenet.training.state.Best`, as a run calls it, with an annealed schedule.

Places are drawn as if independent of each other. Those of a real split share streets, which makes every rule a little
worse than this table says.
"""

import argparse
import tempfile
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from hardware import processor, results_file
from torch import nn

from aenet.data.views import Views, open_views
from aenet.io.params import read_section
from aenet.retrieval import recall
from aenet.training.checkpoints import Keeper
from aenet.training.engine import Engine
from aenet.training.epoch import run_epoch
from aenet.training.loop import TrainConfig
from aenet.training.state import Best, Epoch, Position, Step
from aenet.training.stopping import Stop
from aenet.training.validation import Validation, validate

GAPS, NEAR = (2.0, 4.0, 6.0), 0.8
PLACES = {"before": 200, "after": 500}
DRAWS = 2000
_NETWORK = nn.Linear(1, 1)  # whose weights a rule copies


def take_ranks(views: Path, params: Path, moments: int, share: float) -> pd.DataFrame:
    """Train once; return all places' ranks at evenly spaced moments of the last `share` of the training."""
    config = read_section(params, "train", TrainConfig)
    train, asked = open_views(views, "train"), _pooled(open_views(views, "val"), open_views(views, "test"))
    engine, position, stop, rows = Engine(config, len(train), train.spec), Position(), Stop(), []
    total = config.epochs * engine.steps
    wanted = {int(at): number for number, at in enumerate(np.linspace((1 - share) * total, total, moments))}

    def look(step: Step) -> None:
        at = step.epoch * engine.steps + step.step
        if at in wanted:
            found = validate(engine.plain, asked, config)
            columns = {"known": found.known, "unknown": found.known if found.unknown is None else found.unknown}
            rows.append(pd.DataFrame({"moment": wanted[at], "place": np.arange(len(asked)), **columns}))
            print(f"step {at} of {total}: {found.numbers('val')}", flush=True)
            engine.network.train()

    with tempfile.TemporaryDirectory() as folder:
        keeper = Keeper(Path(folder), engine, position, stop)
        while position.epoch < config.epochs:
            run_epoch(engine, train, position, keeper, stop, look)
            position.finish(Epoch(position.epoch, float(np.mean(position.losses)), 0.0, 0.0))
    return pd.concat(rows)


def _pooled(one: Views, other: Views) -> Views:
    pairs = pd.concat([one.pairs, other.pairs], ignore_index=True)
    ground, aerial = (np.concatenate([getattr(one, side), getattr(other, side)]) for side in ("ground", "aerial"))
    return Views("val", pairs, ground, aerial, one.spec)


def kept_before(epochs: list[Validation]) -> int:
    """Return the epoch that the rule there was keeps: the first of the highest recalls."""
    recalls = [
        [recall.recall(one.known if one.unknown is None else one.unknown, k) for k in (1, 5, 10)] for one in epochs
    ]
    return recalls.index(max(recalls))


def kept_after(epochs: list[Validation]) -> int:
    """Return the epoch that a run keeps."""
    best = Best(annealed=True)
    for number, one in enumerate(epochs):
        best.consider(number, one.criterion, _NETWORK)
    return best.epoch


RULES = {"before": kept_before, "after": kept_after}


def measure(ranks: pd.DataFrame) -> pd.DataFrame:
    """Return, for every gap, rule and order, in what share of the draws the worse of two moments was kept."""
    moments = [Validation(rows["known"].to_numpy(), rows["unknown"].to_numpy()) for _, rows in ranks.groupby("moment")]
    recalls = [100 * recall.recall(moment.known, 1) for moment in moments]
    generator, out = np.random.default_rng(0), []
    for gap in GAPS:
        pairs = [
            (a, b) for a, b in combinations(np.argsort(recalls), 2) if abs(recalls[b] - recalls[a] - gap) <= NEAR
        ]  # the worse first
        for name, rule in RULES.items():
            wrong = {"better first": 0, "better last": 0}
            for _ in range(DRAWS if pairs else 0):
                worse, better = pairs[generator.integers(len(pairs))]
                drawn = generator.integers(0, len(moments[0].known), PLACES[name])
                low, high = (_drawn(moments[one], drawn) for one in (worse, better))
                wrong["better first"] += rule([high, low]) == 1
                wrong["better last"] += rule([low, high]) == 0
            row = {"gap": gap, "pairs": len(pairs), "rule": name}
            out.append(row | {order: 100 * count / DRAWS for order, count in wrong.items()})
    return pd.DataFrame(out)


def _drawn(moment: Validation, places: np.ndarray) -> Validation:
    return Validation(moment.known[places], None if moment.unknown is None else moment.unknown[places])


def table(ranks: pd.DataFrame, found: pd.DataFrame) -> str:
    """Return the result as Markdown."""
    moments = ranks.groupby("moment")
    recalls = ", ".join(f"{100 * (rows['known'] == 0).mean():.1f}" for _, rows in moments)
    unknown = ", ".join(f"{100 * (rows['unknown'] == 0).mean():.1f}" for _, rows in moments)
    places = len(next(iter(moments))[1])
    lines = [
        "# How often the worse of two epochs is taken",
        "",
        f"One training of the town's network, {moments.ngroups} moments towards its end, {places} places in one "
        f"gallery. R@1 with known heading {recalls} %; unknown {unknown} %. Validation splits of {PLACES['before']} "
        f"places (before) and {PLACES['after']} (after), {DRAWS} draws a line; pairs of moments whose R@1 differs by "
        f"the gap, give or take {NEAR} points. `benchmarks/epoch_choice.py` says what each rule is.",
        "",
        "| points apart | pairs | rule | worse taken, better one first | worse taken, better one last |",
        "|---:|---:|---|---:|---:|",
    ]
    for row in found.to_dict("records"):
        first, last = (f"{row[order]:.1f} %" if row["pairs"] else "-" for order in ("better first", "better last"))
        lines.append(f"| {row['gap']:g} | {row['pairs']} | {row['rule']} | {first} | {last} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Write ranks and table to benchmarks/results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ranks", type=Path, help="ranks that an earlier call kept, in place of a run")
    parser.add_argument("--views", type=Path, default=Path("data/views"))
    parser.add_argument("--params", type=Path, default=Path("params.yaml"))
    parser.add_argument("--moments", type=int, default=9)
    parser.add_argument("--share", type=float, default=0.45, help="of the training, its end, in which ranks are taken")
    given = parser.parse_args()
    torch.set_num_threads(1)
    if given.ranks:
        ranks = pd.read_csv(given.ranks)
        print(table(ranks, measure(ranks)))
        return
    file = results_file("epoch-choice-town", processor())
    ranks = take_ranks(given.views, given.params, given.moments, given.share)
    ranks.to_csv(file.with_suffix(".csv"), index=False)
    text = table(ranks, measure(ranks))
    file.write_text(text)
    print(text)


if __name__ == "__main__":
    main()
