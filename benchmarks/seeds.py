"""What training gives, seed by seed: `python benchmarks/seeds.py --name demo`.

Trains params.yaml's model once for every seed, number of epochs and number of training places asked for, evaluates and
exports it with the pipeline's own stages, and places the test photos as `aenet demo` does. Writes
benchmarks/results/seeds-NAME-<hardware>-<date>.json and .md: every run, and mean and sample standard deviation over
seeds; a file that is there already stays unless `--overwrite` is given.

    python benchmarks/seeds.py --name demo
    python benchmarks/seeds.py --name curve --epochs 7 18 36 72 --seeds 0
    ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2 OPENBLAS_CORETYPE=Haswell python benchmarks/seeds.py --seeds 0

The runs happen in a copy of this project under `--work`, one for each set of the variables that choose a processor's
instructions. Run the command again after an interruption: what DVC finds done is not done again, and a training run
goes on from its checkpoint.
"""

import argparse
import itertools
import json
import os
import shlex
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT)]

from hardware import processor, results_file  # noqa: E402  after the path above
from seedtables import markdown  # noqa: E402

from aenet.io.atomic import write_json  # noqa: E402
from aenet.io.errors import AenetError  # noqa: E402
from aenet.io.params import read_yaml  # noqa: E402
from aenet.presets import set_values  # noqa: E402
from aenet.serving.galleries.build import build_gallery  # noqa: E402
from aenet.serving.jobs.summary import SUMMARY  # noqa: E402
from flows.commandline import from_words  # noqa: E402
from flows.demo import Placement, list_test_photos, placements  # noqa: E402
from stages.project import Paths  # noqa: E402
from tests.support.project import commit, copy_project  # noqa: E402

INSTRUCTIONS = ("ATEN_CPU_CAPABILITY", "ONEDNN_MAX_CPU_ISA", "OPENBLAS_CORETYPE", "MALLOC_ARENA_MAX")
STAGES = ("download", "polar_transform", "train", "evaluate", "export_onnx")


def main() -> None:
    """Run what is missing, then write what came of everything."""
    parser = argparse.ArgumentParser(description="Train, evaluate and place once a seed; say mean and spread.")
    parser.add_argument("--name", default="demo", help="of the result's file")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--epochs", type=int, nargs="+", help="default: train.epochs")
    parser.add_argument("--places-train", type=int, nargs="+", help="default: download.places.train")
    parser.add_argument("--threads", type=int, help="of the training; default: train.threads")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a value of params.yaml")
    parser.add_argument("--no-placing", action="store_true", help="leave out galleries and photos: minutes a run")
    parser.add_argument("--work", type=Path, default=ROOT / ".aenet" / "seeds", help="folder of the runs, kept")
    parser.add_argument("--overwrite", action="store_true", help="replace an earlier result of this name and day")
    given = parser.parse_args()
    try:
        _run_all(given)
    except AenetError as error:
        sys.stderr.write(f"error: {error}\n")
        raise SystemExit(2) from None


def _run_all(given: argparse.Namespace) -> None:
    chosen = {name: os.environ[name] for name in INSTRUCTIONS if os.environ.get(name)}
    kind = "-".join(["seeds", given.name, *(value.lower() for value in chosen.values())])
    file = results_file(kind, processor()).with_suffix(".json")
    if file.exists() and not given.overwrite:
        raise AenetError(f"{file} exists already: give another --name, or --overwrite to replace it")
    project = _project(given.work / ("-".join(chosen.values()).lower() or "as-it-is"))
    params = read_yaml(project / "params.yaml")
    axes = (
        given.places_train or [params["download"]["places"]["train"]],
        given.epochs or [params["train"]["epochs"]],
        given.seeds,
    )
    runs = [_run(project, given, *point) for point in itertools.product(*axes)]
    result = {
        "command": _said(),
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "hardware": processor(),
        "instructions": _capability() | chosen,
        "params": {key: params[key] for key in ("download", "polar_transform", "train", "evaluate")},
        "runs": runs,
    }
    write_json(file, result)
    text = markdown(result)
    file.with_suffix(".md").write_text(text, encoding="utf-8")
    sys.stdout.write(text)


def _said() -> str:
    """Return this command as another machine repeats it: without the folder that the runs are kept in."""
    words = iter(sys.argv[1:])
    kept = [word for word in words if not (word.startswith("--work=") or (word == "--work" and next(words)))]
    return shlex.join(["python", "benchmarks/seeds.py", *kept])


def _project(folder: Path) -> Path:
    """Bring the copy of the project up to date; what earlier runs left there stays."""
    folder.mkdir(parents=True, exist_ok=True)
    copy_project(folder)
    if not (folder / ".git").exists():
        commit(folder)
    return folder


def _run(project: Path, given: argparse.Namespace, places: int, epochs: int, seed: int) -> dict[str, Any]:
    """Return one run's numbers, from its record if DVC says that nothing has changed since."""
    values = {"download.places.train": places, "train.epochs": epochs, "train.seed": seed}
    values |= {"train.threads": given.threads} if given.threads else {}
    set_values({**from_words(given.set), **values}, project)
    sys.stderr.write(f"seed {seed}, {epochs} epochs, {places} training places\n")
    _dvc(project, "polar_transform")
    minutes = _train(project)
    _dvc(project, "evaluate", "export_onnx")
    lock = read_yaml(project / "dvc.lock")["stages"]
    key = f"{places}-{epochs}-{seed}" + ("-unplaced" if given.no_placing else "")
    record = project / ".aenet" / "records" / f"{key}.json"
    stages = json.loads(json.dumps({stage: lock[stage] for stage in STAGES}, default=str))
    kept = json.loads(record.read_bytes()) if record.exists() else {}
    if kept.get("stages") == stages:
        return dict(kept["run"])
    run = {"seed": seed, "epochs": epochs, "places_train": places, "train_minutes": minutes, **_numbers(project)}
    run |= {} if given.no_placing else {"placed": _placed(Paths(project))}
    write_json(record, {"stages": stages, "run": run})
    return run


def _train(project: Path) -> float | None:
    """Train; return the minutes, or None if it was done or begun before."""
    checkpoints = project / ".aenet" / "checkpoints"
    before = set(checkpoints.glob("*"))
    began = time.monotonic()
    _dvc(project, "train")
    return round((time.monotonic() - began) / 60, 2) if set(checkpoints.glob("*")) - before else None


def _numbers(project: Path) -> dict[str, Any]:
    trained = json.loads((project / "reports/train/metrics.json").read_bytes())
    measured = json.loads((project / "reports/evaluate/metrics.json").read_bytes())
    models = {model: row for model, row in measured.items() if isinstance(row, dict)}
    return {"best_epoch": trained["best"]["epoch"], "metrics": models}


def _placed(paths: Paths) -> dict[str, Any]:
    photos = list_test_photos(paths)
    return {name: _place(paths, photos, placement) for name, placement in placements(paths).items()}


def _place(paths: Paths, photos: Path, placement: Placement) -> dict[str, Any]:
    gallery, out = (paths.root / "demo" / name for name in (f"gallery-{placement.area}", "places"))
    build_gallery(paths.raw / "town.tif", gallery, paths.onnx, placement.options)
    words = ["locate", photos, "--gallery", gallery, "-m", paths.onnx, "-o", out, "--heading", placement.heading]
    _command(paths.root, "-m", "aenet", *map(str, words), "--overwrite")
    summary = dict(json.loads((out / SUMMARY).read_bytes()))
    return {name: value for name, value in summary.items() if name != "out"}  # a folder of this machine


def _dvc(project: Path, *stages: str) -> None:
    _command(project, "-m", "dvc", "repro", "--quiet", *stages)


def _command(project: Path, *words: str) -> None:
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    environment = {**os.environ, "PYTHONPATH": str(project), "PATH": path}
    environment["AENET_TRACKING"] = "journal"  # a benchmark's runs are nobody's experiments
    done = subprocess.run([sys.executable, *words], cwd=project, env=environment, check=False, stdout=sys.stderr)
    if done.returncode:
        raise AenetError(f"`{' '.join(words[:4])}` in {project} ended with status {done.returncode}")


def _capability() -> dict[str, str]:
    import torch  # not before it is needed

    return {"torch": f"{torch.__version__} {torch.backends.cpu.get_cpu_capability()}"}


if __name__ == "__main__":
    main()
