"""A project of the `train` stage alone: packed views of noise, parameters, and a graph of one stage."""

import os
from pathlib import Path

import numpy as np
import pytest
from ruamel.yaml import YAML

from aenet.data.pairs import write_pairs
from aenet.io.artifacts import atomic_folder
from tests.support.gloo_training import ROOT, make_views


def new_project(folder: Path, patch: pytest.MonkeyPatch, **changes: object) -> Path:
    """Make `folder` a project whose training has two epochs of six steps; stages started in it write journals only."""
    yaml = YAML(typ="safe", pure=True)
    train = yaml.load((ROOT / "params.yaml").read_text())["train"]
    sampling = {"kind": "similarity", "group": 4, "first_epoch": 2}
    train |= {"epochs": 2, "batch_size": 8, "threads": 1, "validate_every": 1, "sampling": sampling, **changes}
    yaml.dump({"train": train}, folder / "params.yaml")
    stage = {"cmd": "python -m stages.train", "deps": ["data/views"], "params": ["train"]}
    yaml.dump({"stages": {"train": stage}}, folder / "dvc.yaml")
    view = {"height": 32, "width": 128, "tile_size_m": 70.0}
    with atomic_folder(folder / "data/views", {"view": view}) as out:
        for split, pairs in (("train", 48), ("val", 16), ("test", 16)):
            views = make_views(pairs, 32, 128, pairs)
            (out / split).mkdir()
            np.save(out / split / "ground.npy", views.ground)
            np.save(out / split / "aerial.npy", views.aerial)
            ground, aerial = ([f"{side}/{row}.jpg" for row in range(pairs)] for side in ("ground", "aerial"))
            table = views.pairs.assign(split=split, ground=ground, aerial=aerial)
            write_pairs(out / split / "pairs.parquet", table)
    for name in ("RANK", "DVC_ROOT", "MLFLOW_TRACKING_URI"):
        patch.delenv(name, raising=False)
    patch.setenv("AENET_TRACKING", "journal")
    patch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]))
    return folder
