"""The command `aenet`: everything a person types. Thin, and lazy so that `--help` answers at once."""

import sys
from typing import NoReturn

import typer

from aenet.commands.flags import Command, Group, option_names, refuse_old_flags, say, speak_of
from aenet.commands.gallerycommand import gallery_app
from aenet.commands.locatecommand import locate
from aenet.commands.modelcommand import evaluate, model_app
from aenet.commands.projectcommand import demo, doctor, preset_app, reproduce, sync, ui
from aenet.io.errors import AenetError
from aenet.io.terminal import quiet, shortage

app = typer.Typer(help="Where was this photo taken? Cross-view geo-localization.", no_args_is_help=True, cls=Group)
_PHOTOS, _MODELS, _PROJECT = "Photos on maps", "Models", "The project's folder"
app.command(cls=Command, rich_help_panel=_PHOTOS)(locate)
app.add_typer(gallery_app, name="gallery", rich_help_panel=_PHOTOS)
app.command(cls=Command, rich_help_panel=_PHOTOS)(doctor)
app.add_typer(model_app, name="model", rich_help_panel=_MODELS)
app.command(cls=Command, rich_help_panel=_MODELS)(evaluate)
for command in (demo, reproduce, ui, sync):
    app.command(cls=Command, rich_help_panel=_PROJECT)(command)
app.add_typer(preset_app, name="preset", rich_help_panel=_PROJECT)
speak_of(option_names(typer.main.get_command(app)))


def main() -> NoReturn:
    """Run the command line; an AenetError, or a machine too small, becomes one sentence and exit status 2."""
    quiet()
    try:
        refuse_old_flags(sys.argv[1:])
        app()
    except Exception as error:
        # First what this machine lacks: a file that could not be read for that is not damaged.
        said = shortage(error) or (str(error) if isinstance(error, AenetError) else None)
        if said is None:
            raise
        typer.secho("error: ", fg="red", bold=True, err=True, nl=False)
        say([said], err=True)
        sys.exit(2)
    sys.exit(0)
