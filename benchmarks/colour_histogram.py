"""Print the colour-histogram baseline of a packed views folder: `python benchmarks/colour_histogram.py data/views`."""

import argparse
from pathlib import Path

from aenet.data.views import open_views
from aenet.retrieval.baseline import colour_baseline


def main() -> None:
    """Read the arguments, print one row for each way of cutting the views."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("views", type=Path, help="folder of packed views (train, val, test inside)")
    parser.add_argument("--split", default="test", choices=("train", "val", "test"))
    arguments = parser.parse_args()
    views = open_views(arguments.views, arguments.split)
    print(f"{len(views)} places, chance R@1 {100 / len(views):.2f} %")
    for sectors in (1, 4, 16):
        values = colour_baseline(views, sectors).values
        print(f"{sectors:2d} sector(s): " + ", ".join(f"{name} {value:.2f}" for name, value in values.items()))


if __name__ == "__main__":
    main()
