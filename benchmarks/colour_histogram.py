"""Print the colour-histogram baseline of a packed views folder: `python benchmarks/colour_histogram.py data/views`."""

import argparse
from pathlib import Path

import numpy as np

from aenet.retrieval.baseline import colour_histograms
from aenet.retrieval.recall import ranks, summary


def main() -> None:
    """Read the arguments, print one row for each way of cutting the views."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("views", type=Path, help="folder of packed views (train, val, test inside)")
    parser.add_argument("--split", default="test", choices=("train", "val", "test"))
    arguments = parser.parse_args()
    folder = arguments.views / arguments.split
    ground, aerial = (np.load(folder / f"{view}.npy", mmap_mode="r") for view in ("ground", "aerial"))
    print(f"{len(ground)} places, chance R@1 {100 / len(ground):.2f} %")
    for sectors in (1, 4, 16):
        rank = ranks(colour_histograms(ground, sectors), colour_histograms(aerial, sectors), np.arange(len(ground)))
        row = summary(rank, len(aerial))
        print(f"{sectors:2d} sector(s): " + ", ".join(f"{name} {value:.2f}" for name, value in row.items()))


if __name__ == "__main__":
    main()
