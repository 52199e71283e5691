"""Compare exported models on the same places: `python examples/compare_two_models.py pairs.csv models/a models/b`.

The table has a row a place: `ground` and `aerial` are paths of a panorama and of its tile, relative to the table.
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd

import aenet

table = Path(sys.argv[1])
pairs = pd.read_csv(table)
photos, tiles = ([table.parent / name for name in pairs[view]] for view in ("ground", "aerial"))
for folder in sys.argv[2:]:
    model = aenet.load_model(folder)
    values = aenet.evaluate(model.ground.embed(photos), model.aerial.embed(tiles), np.arange(len(pairs)))
    print(f"{folder}: R@1 {values['recall_at_1']:.1f} %, median rank {values['median_rank']:.0f} of {len(pairs)}")
