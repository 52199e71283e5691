"""The command `aenet`: thin, and lazy so that `--help` answers at once."""

import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from aenet.io.errors import AenetError
from aenet.io.machine import PIPELINE, need
from aenet.io.terminal import quiet, shortage
from aenet.serving.commands.gallerycommand import Provider, Threads, gallery_app
from aenet.serving.commands.locatecommand import locate

app = typer.Typer(help="Where was this photo taken? Cross-view geo-localization.", no_args_is_help=True)
app.add_typer(gallery_app, name="gallery")
app.command()(locate)
preset_app = typer.Typer(help="Named settings of the pipeline.", no_args_is_help=True)
app.add_typer(preset_app, name="preset")


def main() -> NoReturn:
    """Run the command line; an AenetError, or a machine too small, becomes one sentence and exit status 2."""
    quiet()
    try:
        app()
    except Exception as error:
        # First what this machine lacks: a file that could not be read for that is not damaged.
        said = shortage(error) or (str(error) if isinstance(error, AenetError) else None)
        if said is None:
            raise
        typer.secho("error: ", fg="red", bold=True, err=True, nl=False)
        typer.echo(said, err=True)
        sys.exit(2)
    sys.exit(0)


@app.command()
def demo() -> None:
    """Train and export a model of the town, then place its test photos on the map (needs the project's folder)."""
    _in_project("demo")


def _in_project(flow: str, *arguments: str) -> NoReturn:
    """Run a module of flows/ in the project's folder and exit as it does."""
    import subprocess

    if not Path("dvc.yaml").exists():
        raise AenetError(f"no dvc.yaml here: run `aenet {flow}` in the project's folder")
    need(f"`aenet {flow}`", *PIPELINE)
    command = [sys.executable, "-m", f"flows.{flow}", *arguments]
    raise typer.Exit(subprocess.run(command, check=False).returncode)


@app.command(context_settings={"ignore_unknown_options": True, "allow_extra_args": True, "help_option_names": []})
def reproduce(context: typer.Context) -> None:
    """Reproduce one row of the paper's tables: PRESET ROW --source DIR (needs the project's folder)."""
    _in_project("reproduce", *context.args)


@app.command()
def evaluate(
    model: Annotated[Path, typer.Argument(help="folder of an exported model")] = Path("models/onnx"),
    views: Annotated[Path, typer.Option(help="folder of packed views")] = Path("data/views"),
    split: Annotated[str, typer.Option(help="train, val or test")] = "test",
    provider: Provider = "auto",
    threads: Threads = 0,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON only")] = False,
) -> None:
    """Evaluate an exported model on packed views: recall, median rank, metres."""
    import json

    from aenet.data.views import open_views, unknown_metres
    from aenet.retrieval.recall import score
    from aenet.serving.sessions.session import Branch
    from aenet.view.spec import check_view

    opened = open_views(views, split)
    ground = Branch(model, "ground", provider, threads)
    check_view(ground.card.view, opened.spec, str(views))
    aerial = Branch(model, "aerial", provider, threads)
    values = score(ground.embed(opened.ground), aerial.embed(opened.aerial), opened).values
    if note := unknown_metres(views):
        typer.echo(f"note: {note}", err=True)
    if as_json:
        typer.echo(json.dumps(values, indent=2))
        return
    typer.echo(f"{model} on {views}/{split}, running on {ground.runs_on}")
    for name, value in values.items():
        typer.echo(f"  {name:22} {value:10.2f}")


@app.command()
def doctor() -> None:
    """Say what is installed, which provider would run, what is broken and how to mend it; exit status 1 if broken."""
    from aenet.doctor.doctor import diagnose

    findings = diagnose()
    colours = {"ok": "green", "warn": "yellow", "broken": "red"}
    for finding in findings:
        typer.secho(f"{finding.state:7}", fg=colours[finding.state], nl=False)
        typer.echo(f"{finding.subject}: {finding.detail}" + (f" -> {finding.mend}" if finding.mend else ""))
    raise typer.Exit(int(any(finding.state == "broken" for finding in findings)))


@preset_app.command("use")
def preset_use(name: Annotated[str, typer.Argument(help="a file of presets/, without .yaml")]) -> None:
    """Put a preset's sections into params.yaml; `git diff` shows what changed."""
    from aenet.presets import use_preset

    typer.echo(f"params.yaml: {', '.join(use_preset(name))} now as in presets/{name}.yaml; run `dvc repro` next")


@app.command()
def sync() -> None:
    """Send to MLflow what earlier runs could not; exit status 1 if something still could not be sent."""
    need("`aenet sync`", "mlflow", "filelock")
    from aenet.tracking.sync import sync_all

    summary = sync_all(Path())
    typer.echo(str(summary))
    raise typer.Exit(int(bool(summary.failed)))
