"""Serving speed: `python benchmarks/serving.py [--write]`, from the project's folder, on a CPU or a CUDA device.

Images a second of one session alone, of placing real photo files (read, decode, make the view, embed, search, write
the shard: `run_shard`, as `aenet locate` does), and of torch; each beside what the device could do at most. Model,
town, photos and gallery are made in a temporary folder unless `--model`, `--photos` and `--gallery` name others;
without options a CPU gets the town's model at 64 x 256 and a GPU the paper's at 128 x 512.

Session and pipeline take turns, and their ratio is the median over the turns: other work on the machine, or its
clock, then falls on both.
"""

import argparse
import json
import platform
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import servinginputs as inputs
import torch
from roofline import bound, layers, peak
from servingreport import report
from servingtimes import reading, sessions, torch_rows

from aenet.card import HALF
from aenet.cores import usable_cores

RESULTS = Path(__file__).parent / "results"


def main() -> None:
    """Read the arguments, measure, print, and with --write keep a Markdown and a JSON file."""
    options = _options()
    with tempfile.TemporaryDirectory() as scratch:
        result = _measure(options, Path(scratch))
    text = report(result)
    print(text)
    if options.write:
        RESULTS.mkdir(exist_ok=True)
        words = "-".join(result["hardware"].lower().replace("(", " ").replace(")", " ").replace("@", " ").split())
        name = f"serving-{words}-{datetime.now(UTC):%Y-%m-%d}"
        (RESULTS / f"{name}.md").write_text(text, encoding="utf-8")
        (RESULTS / f"{name}.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    there = torch.cuda.is_available()
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cuda" if there else "cpu")
    cuda = parser.parse_known_args()[0].device == "cuda"
    parser.add_argument("--model", type=Path, help="an exported model; torch is then not timed")
    parser.add_argument("--photos", type=Path, help="a folder of panoramas")
    parser.add_argument("--gallery", type=Path, help="a gallery of the model")
    parser.add_argument("--backbone", default="tf_efficientnetv2_s" if cuda else "test_efficientnet")
    parser.add_argument(
        "--height", type=int, default=128 if cuda else 64, help="of the views; they are 4 times as wide"
    )
    parser.add_argument("--batch-sizes", type=int, nargs="+", default=(32, 128, 256) if cuda else (8, 32))
    parser.add_argument("--count", type=int, default=8192 if cuda else 512, help="photos placed in each round")
    parser.add_argument("--panorama", type=int, nargs=2, default=(224, 1232), help="height and width of the photos")
    parser.add_argument("--spacing-m", type=float, default=15.0, help="of the gallery's tiles")
    parser.add_argument("--threads", type=int, default=usable_cores(), help="of a session on the CPU")
    parser.add_argument("--decoders", type=int, default=usable_cores())
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--half", action="store_true", default=cuda, help="fp16 on its own, too")
    parser.add_argument("--compile", action="store_true", default=cuda, help="torch.compile, too: minutes on a CPU")
    parser.add_argument("--tf32", action="store_true", help="let float32 sessions multiply in TF32")
    parser.add_argument("--graphs", action="store_true", help="CUDA graphs")
    parser.add_argument("--tensorrt", action="store_true", help="run sessions through TensorRT")
    parser.add_argument("--write", action="store_true", help=f"write to {RESULTS.name}/")
    return parser.parse_args()


def _measure(options: argparse.Namespace, scratch: Path) -> dict[str, Any]:
    network, model = None, options.model
    if model is None:
        network, model = inputs.make_network(options.backbone), scratch / "model"
        inputs.export(network, options.backbone, options.height, model)
    town, photos, gallery = scratch / "town", scratch / "photos", options.gallery or scratch / "gallery"
    if options.photos is None or options.gallery is None:
        inputs.make_town(town, tuple(options.panorama))
    size = inputs.multiply(options.photos or town / "ground", photos, options.count)
    if options.gallery is None:
        inputs.make_gallery(town, gallery, model, options.device, options.spacing_m)
    hardware = torch.cuda.get_device_name() if options.device == "cuda" else _processor()
    result: dict[str, Any] = {key: str(value) for key, value in vars(options).items() if isinstance(value, Path)}
    result |= {key: value for key, value in vars(options).items() if key not in result and key != "write"}
    result |= {"hardware": hardware, "torch_version": torch.__version__, "photo_bytes": size}
    result["reading_ms"] = 1e3 * reading(options, photos, model)
    result["sessions"], result["torch"] = [], []
    for batch_size in options.batch_sizes:
        result["sessions"] += sessions(options, model, photos, gallery, scratch, batch_size)
        if network is not None:
            result["torch"] += torch_rows(options, network, batch_size)
    _add_bounds(result, model)
    return result


def _add_bounds(result: dict[str, Any], model: Path) -> None:
    """Add what network and device come to: operations, bytes, peaks, and the bound of each row."""
    counted = {"fp32": layers(model / "ground.onnx")}
    if (model / f"ground{HALF}").exists():
        counted["fp16"] = layers(model / f"ground{HALF}")
    result["operations"] = sum(layer.operations for layer in counted["fp32"])
    result["bytes"] = {name: sum(layer.activations for layer in found) for name, found in counted.items()}
    result["weights"] = {name: sum(layer.weights for layer in found) for name, found in counted.items()}
    peaks: dict[str, Any] = {}
    for row in (*result["sessions"], *result["torch"]):
        # torch's convolutions multiply in TF32 unless told otherwise.
        loose = row["precision"] == "fp32" and result["device"] == "cuda" and (result["tf32"] or "way" in row)
        name = "tf32" if loose else row["precision"] if result["device"] == "cuda" else "fp32"
        if name not in peaks:
            peaks[name] = peak(result["device"], result["hardware"], name, result["threads"])
        if peaks[name] is not None:
            row["bound"] = bound(counted[row["precision"]], peaks[name], row["batch_size"])
    result["peaks"] = {name: vars(found) for name, found in peaks.items() if found is not None}


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text(encoding="utf-8").splitlines() if cpuinfo.exists() else []
    model = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.machine())
    return f"{model} {usable_cores()} cores"


if __name__ == "__main__":
    main()
