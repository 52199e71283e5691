"""Train on packed views and keep the model: `python examples/train_ten_minutes.py data/views`.

Needs the extra `pipeline`. These four epochs of the town's network are meant for a first look; give it more.
"""

import sys

import aenet

views, out = sys.argv[1], "models/mine"
run = aenet.train(
    views,
    preset="town",
    out=out,
    changes={"epochs": 4, "validate_every": 1},
    on_epoch=lambda epoch: print(
        f"epoch {epoch.epoch + 1}: loss {epoch.loss:.3f}, validation MRR {epoch.val_mrr:.1f} %"
    ),
)
print(f"best epoch {run.card.best_epoch + 1}, {run.card.choice}")
print(f"kept in {run.folder}: {sorted(file.name for file in run.folder.iterdir())}")
