"""The commands `aenet model ...` and `aenet evaluate`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aenet.commands.flags import BatchSize, Command, Group, PrecisionOption, ProviderOption, Threads
from aenet.io.errors import AenetError
from aenet.io.machine import need

if TYPE_CHECKING:
    import numpy as np

    from aenet.data.card import ModelCard

_ARRAYS = "Or two arrays, of any model's descriptors"
model_app = typer.Typer(help="Exported models: what they are, and where to get them.", no_args_is_help=True, cls=Group)


@model_app.command("info", cls=Command)
def model_info(
    model: Annotated[Path, typer.Argument(help="Folder of an exported model.")] = Path("models/onnx"),
) -> None:
    """Say what a model is: its input, its descriptor, its training, what it was measured at. Checks its files."""
    from aenet.data.card import read_card

    for name, value in card_rows(read_card(model)).items():
        typer.echo(f"{name:12} {value}")


def card_rows(card: "ModelCard") -> dict[str, str]:
    """Return what `aenet model info` prints."""
    from aenet.data.card import model_digest

    view, shape, recall = card.view, card.map_shape, card.recall_at_1
    calibration = card.calibration
    return {
        "model": f"{card.name} {model_digest(card)[:12]}",
        "network": f"{card.backbone}, attention {card.attention}, head {card.head}",
        "ground view": f"{view.ground.height} x {view.ground.width} px",
        "aerial view": f"{view.aerial.transform}, {view.aerial.height} x {view.aerial.width} px, of tiles of "
        f"{view.tile_size_m:g} m",
        "descriptor": f"{card.descriptor_dim:,} numbers"
        + (f", a map of {shape}" if shape else ", no map of the horizon"),
        "trained on": card.trained_on,
        "R@1": "not measured" if recall is None else f"{recall:.2f} % on the test split of its training's data",
        "confidence": "none: it was not calibrated"
        if calibration is None
        else f"fitted on {calibration.queries:,} validation photos",
        "files": ", ".join(card.sha256),
    }


@model_app.command("fetch", cls=Command)
def model_fetch(
    name: Annotated[str, typer.Argument(help="models:/NAME@ALIAS or models:/NAME/VERSION.")] = "models:/aenet@champion",
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder below which fetched models are kept.")] = Path(
        ".aenet/models"
    ),
) -> None:
    """Fetch a registered model from MLflow, check its files, and print its folder."""
    need("`aenet model fetch`", "mlflow", "filelock")
    from aenet.tracking.fetch import fetch

    fetched = fetch(name, out)
    if fetched.note:
        typer.echo(f"note: {fetched.note}", err=True)
    typer.echo(str(fetched.folder))


def evaluate(
    model: Annotated[Path, typer.Argument(help="Folder of an exported model.")] = Path("models/onnx"),
    views: Annotated[Path, typer.Option(help="Folder of packed views, from the stage polar_transform.")] = Path(
        "data/views"
    ),
    split: Annotated[str, typer.Option(help="Which part of them: train, val or test.")] = "test",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON only.")] = False,
    ground: Annotated[
        Path | None, typer.Option(metavar="NPY", help="Descriptors of photos.", rich_help_panel=_ARRAYS)
    ] = None,
    tiles: Annotated[
        Path | None, typer.Option(metavar="NPY", help="Descriptors of tiles.", rich_help_panel=_ARRAYS)
    ] = None,
    truth: Annotated[
        Path | None,
        typer.Option(
            help="For each photo the row of its tile (.npy), or the table of pairs of both (.parquet).",
            rich_help_panel=_ARRAYS,
        ),
    ] = None,
    provider: ProviderOption = "auto",
    precision: PrecisionOption = "auto",
    threads: Threads = 0,
    batch_size: BatchSize = 32,
) -> None:
    """Say how well photos find their tiles: recall, median rank, metres."""
    import json

    from aenet.doors.evaluatedoor import evaluate as evaluated
    from aenet.doors.evaluatedoor import lines

    arrays = {"ground": ground, "tiles": tiles, "truth": truth}
    missing = [f"`{name}`" for name, path in arrays.items() if path is None]
    if ground is not None and tiles is not None and truth is not None:
        values = evaluated(_descriptors(ground), _descriptors(tiles), _truth(truth))
        about = f"{ground} against {tiles}"
    elif len(missing) < len(arrays):
        raise AenetError(
            f"descriptors are evaluated by `ground`, `tiles` and `truth` together: {', '.join(missing)} missing"
        )
    else:
        session = {"provider": provider, "precision": precision, "threads": threads, "batch_size": batch_size}
        values, about = _of_views(model, views, split, session)
    if as_json:
        typer.echo(json.dumps(values, indent=2))
        return
    for line in [about, *lines(values)]:
        typer.echo(line)


def _of_views(model: Path, views: Path, split: str, session: dict[str, Any]) -> tuple[dict[str, float], str]:
    from aenet.data.views import open_views, unknown_metres
    from aenet.doors.evaluatedoor import evaluate as evaluated
    from aenet.doors.modeldoor import load_model
    from aenet.view.spec import check_view

    opened, loaded = open_views(views, split), load_model(model, **session)
    check_view(loaded.card.view, opened.spec, str(views))
    ground, aerial = loaded.ground.network.embed(opened.ground), loaded.aerial.network.embed(opened.aerial)
    if note := unknown_metres(views):
        typer.echo(f"note: {note}", err=True)
    about = f"{model} on {views}/{split}, running on {loaded.ground.runs_on}"
    return evaluated(ground, aerial, opened.pairs), about


def _descriptors(path: Path) -> "np.ndarray":
    from aenet.io.plainfiles import open_array

    return open_array(path, ("float16", "float32", "float64"), (None, None))


def _truth(path: Path) -> "np.ndarray | Path":
    from aenet.io.plainfiles import open_array

    return open_array(path, ("int32", "int64"), (None,)) if path.suffix == ".npy" else path
