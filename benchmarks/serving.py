"""Serving speed: `python benchmarks/serving.py [--write]`, from the project's folder, on a CPU or a CUDA device.

Images a second of one session alone, of reading alone (file, digest, account, decode, view), of placing real photo
files (both, search and the shard's file: `run_shard`, as `aenet locate` does), and of torch; each beside what the
device could do at most. Model, town, photos and gallery are made in a temporary folder unless `--model`, `--photos`
and `--gallery` name others. Without options a CPU gets the town's model at 64 x 256, then EfficientNetV2-S at
128 x 512; a GPU the latter.

Session, reading and pipeline take turns, and ratios are medians over the turns: other work on the machine, or its
clock, then falls on all three.
"""

import argparse
import tempfile
from pathlib import Path
from typing import Any

import servinginputs as inputs
import torch
from hardware import RESULTS, device_name, write_results
from roofline import Peak, bound, layers, peak
from servingreport import report
from servingtimes import sessions, torch_rows

from aenet.data.card import HALF, read_card
from aenet.io.machine import usable_cores
from aenet.serving.galleries.gallery import Gallery

SMALL, LARGE = "test_efficientnet", "tf_efficientnetv2_s"
_TOWN = {"height": 64, "batch_sizes": (8, 32), "count": 512, "spacing_m": 15.0}
_SLOW = {"height": 128, "batch_sizes": (8,), "count": 256, "spacing_m": 30.0}  # a shard of the default size
_CUDA = {"height": 128, "batch_sizes": (32, 128, 256), "count": 8192, "spacing_m": 15.0}


def main() -> None:
    """Read the arguments, measure, print, and with --write keep a Markdown and a JSON file."""
    options = _options()
    result: dict[str, Any] = {"hardware": device_name(options.device), "torch_version": torch.__version__}
    with tempfile.TemporaryDirectory() as scratch:
        town = Path(scratch) / "town"
        if options.photos is None or options.gallery is None:
            inputs.make_town(town, tuple(options.panorama))
        for case in _cases(options):
            found = _measure(case, town, Path(scratch) / str(case.backbone))
            result.setdefault("cases", []).append(found)
    _add_bounds(result)
    text = report(result)
    print(text)
    if options.write:
        write_results("serving", result, text)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    there = torch.cuda.is_available()
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cuda" if there else "cpu")
    cuda = parser.parse_known_args()[0].device == "cuda"
    parser.add_argument("--model", type=Path, help="an exported model; torch is then not timed")
    parser.add_argument("--photos", type=Path, help="a folder of panoramas")
    parser.add_argument("--gallery", type=Path, help="a gallery of the model")
    parser.add_argument("--backbone", help=f"one network only; of itself a CPU gets {SMALL} and {LARGE}")
    parser.add_argument("--height", type=int, help="of the views; they are 4 times as wide")
    parser.add_argument("--batch-sizes", type=int, nargs="+")
    parser.add_argument("--count", type=int, help="photos placed in each round")
    parser.add_argument("--panorama", type=int, nargs=2, default=(224, 1232), help="height and width of the photos")
    parser.add_argument("--spacing-m", type=float, help="of the gallery's tiles")
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


def _cases(options: argparse.Namespace) -> list[argparse.Namespace]:
    """Return the options of each network to be measured, what nobody chose filled in."""
    if options.backbone or options.model or options.device == "cuda":
        backbones = [options.backbone or (LARGE if options.device == "cuda" else SMALL)]
    else:
        backbones = [SMALL, LARGE]
    given = {name: value for name, value in vars(options).items() if value is not None}
    optional = {"model": options.model, "photos": options.photos, "gallery": options.gallery}
    defaults = [_CUDA if options.device == "cuda" else _TOWN if name == SMALL else _SLOW for name in backbones]
    return [
        argparse.Namespace(**{**optional, **chosen, **given, "backbone": name})
        for name, chosen in zip(backbones, defaults, strict=True)
    ]


def _measure(options: argparse.Namespace, town: Path, scratch: Path) -> dict[str, Any]:
    network, model = None, options.model
    if model is None:
        network, model = inputs.make_network(options.backbone), scratch / "model"
        inputs.export(network, options.backbone, options.height, model, options.half or options.device == "cuda")
    photos, gallery = scratch / "photos", options.gallery or scratch / "gallery"
    size = inputs.multiply(options.photos or town / "ground", photos, options.count)
    if options.gallery is None:
        inputs.make_gallery(town, gallery, model, options.device, options.spacing_m)
    result: dict[str, Any] = {key: str(value) for key, value in vars(options).items() if isinstance(value, Path)}
    result |= {key: value for key, value in vars(options).items() if key not in result and key != "write"}
    result |= {"photo_bytes": size, "sessions": [], "torch": []}
    result["tiles"] = len(Gallery.open(gallery, read_card(model), full=False).tiles)
    for batch_size in options.batch_sizes:
        result["sessions"] += sessions(options, model, photos, gallery, scratch, batch_size)
        if network is not None:
            result["torch"] += torch_rows(options, network, batch_size)
    return result | _counted(model)


def _counted(model: Path) -> dict[str, Any]:
    """Return what one image asks of the device in each precision: operations, bytes, and layer by layer."""
    counted = {"fp32": layers(model / "ground.onnx")}
    if (model / f"ground{HALF}").exists():
        counted["fp16"] = layers(model / f"ground{HALF}")
    return {
        "operations": sum(layer.operations for layer in counted["fp32"]),
        "bytes": {name: sum(layer.activations for layer in found) for name, found in counted.items()},
        "weights": {name: sum(layer.weights for layer in found) for name, found in counted.items()},
        "layers": counted,
    }


def _add_bounds(result: dict[str, Any]) -> None:
    """Add the device's peaks, and to each row the images a second that it cannot exceed."""
    peaks: dict[str, Peak | None] = {}
    for case in result["cases"]:
        counted = case.pop("layers")
        cuda = case["device"] == "cuda"
        for row in (*case["sessions"], *case["torch"]):
            # torch's convolutions multiply in TF32 unless told otherwise.
            loose = row["precision"] == "fp32" and cuda and (case["tf32"] or "way" in row)
            name = "tf32" if loose else row["precision"] if cuda else "fp32"
            if name not in peaks:
                peaks[name] = peak(case["device"], result["hardware"], name, case["threads"])
            if (found := peaks[name]) is not None:
                row["bound"] = bound(counted[row["precision"]], found, row["batch_size"])
    result["peaks"] = {name: vars(found) for name, found in peaks.items() if found is not None}


if __name__ == "__main__":
    main()
