"""Evaluate descriptors of any model: `python examples/evaluate_two_arrays.py ground.npy tiles.npy truth.npy`.

`ground` [q, d] and `tiles` [r, d] are descriptors, `truth` [q] names for each photo the row of its tile.
"""

import sys

import numpy as np

import aenet

ground, tiles, truth = (np.load(file) for file in sys.argv[1:4])
ground /= np.linalg.norm(ground, axis=1, keepdims=True)
tiles /= np.linalg.norm(tiles, axis=1, keepdims=True)
values = aenet.evaluate(ground, tiles, truth)
print(f"R@1 {values['recall_at_1']:.1f} %, R@5 {values['recall_at_5']:.1f} %, median rank {values['median_rank']:.0f}")
print(f"guessing gives R@1 {values['chance_at_1']:.1f} %; ties count against the model")
