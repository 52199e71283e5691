"""Commands that work on the project's folder: its demo, presets, records, and the rows of the paper's tables."""

import subprocess
import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from aenet.commands.flags import Command, Group
from aenet.io.errors import AenetError
from aenet.io.machine import PIPELINE, need

preset_app = typer.Typer(help="Named settings of the pipeline, kept in presets/.", no_args_is_help=True, cls=Group)
Preset = Annotated[str, typer.Argument(help="Name of a preset; `aenet preset list` has them.")]


def demo() -> None:
    """Train a model on the town and place photos with it: minutes, for a first look."""
    _in_project("demo")


def reproduce(
    preset: Annotated[str, typer.Argument(help="paper-cvusa, paper-cvact, or another preset.")],
    row: Annotated[
        str, typer.Argument(help="Row of the paper's tables 5 and 6: baseline, bam, cbam, ta_wsmr, ta_mhnw.")
    ],
    source: Annotated[str | None, typer.Option(metavar="DIR", help="Folder, archive or URL of the data set.")] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="A value of params.yaml to change first; may be repeated."),
    ] = None,
) -> None:
    """Train one row of the paper's tables, and show its figures beside the paper's. Changes params.yaml."""
    words = [preset, row]
    words += [] if source is None else ["--source", source]
    _in_project("reproduce", *words, *(word for value in set_ or [] for word in ("--set", value)))


def _in_project(flow: str, *arguments: str) -> NoReturn:
    """Run a module of flows/ in the project's folder and exit as it does."""
    if not Path("dvc.yaml").exists():
        raise AenetError(f"no dvc.yaml here: run `aenet {flow}` in the project's folder")
    need(f"`aenet {flow}`", *PIPELINE)
    command = [sys.executable, "-m", f"flows.{flow}", *arguments]
    raise typer.Exit(subprocess.run(command, check=False).returncode)


def ui(port: Annotated[int, typer.Option(min=1, max=65535, help="On which port of this machine.")] = 5000) -> None:
    """Show the project's runs, curves and models in a browser (MLflow). Ctrl-C ends it."""
    need("`aenet ui`", "mlflow", "filelock")
    from aenet.tracking.ui import serve

    serve(port)


def sync() -> None:
    """Send the records of past runs to MLflow where it did not answer at the time; exit status 1 if some are left."""
    need("`aenet sync`", "mlflow", "filelock")
    from aenet.tracking.sync import sync_all

    summary = sync_all(Path())
    typer.echo(str(summary))
    raise typer.Exit(int(bool(summary.failed)))


@preset_app.command("list", cls=Command)
def preset_list() -> None:
    """Name the presets, and say in a line what each is."""
    from aenet.presets import FOLDER, list_presets

    presets = list_presets()
    if not presets:
        raise AenetError(f"no presets in {FOLDER.absolute()}: run `aenet preset list` in the project's folder")
    for name, about in presets.items():
        typer.echo(f"{name:14} {about}")


@preset_app.command("show", cls=Command)
def preset_show(name: Preset) -> None:
    """Print what a preset puts into params.yaml."""
    from aenet.presets import preset_text

    typer.echo(preset_text(name), nl=False)


@preset_app.command("use", cls=Command)
def preset_use(name: Preset) -> None:
    """Put a preset's sections into params.yaml; `git diff` shows what changed."""
    from aenet.presets import use_preset

    typer.echo(f"params.yaml: {', '.join(use_preset(name))} now as in presets/{name}.yaml; run `dvc repro` next")


def doctor() -> None:
    """Say what is installed, where networks would run, what is broken and how to fix it; exit status 1 if broken."""
    from aenet.doctor.doctor import diagnose

    findings = diagnose()
    colours = {"ok": "green", "warn": "yellow", "broken": "red"}
    for finding in findings:
        typer.secho(f"{finding.state:7}", fg=colours[finding.state], nl=False)
        typer.echo(f"{finding.subject}: {finding.detail}" + (f" -> {finding.fix}" if finding.fix else ""))
    raise typer.Exit(int(any(finding.state == "broken" for finding in findings)))
