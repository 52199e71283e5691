"""A stage's edges: what it says is what was meant, and its exit status tells bad input from bad luck."""

import contextlib
import io

import pytest

from aenet import progress as module
from aenet.io.errors import AenetError
from aenet.progress import progress
from stages.running import as_program, console

ODD = "/data/[old]/photos[/x] :key: [bold]"  # to rich, unescaped: a tag, an error, a picture, a tag


def test_an_error_is_said_word_for_word_and_is_bad_input(capsys: pytest.CaptureFixture[str]) -> None:
    def stage() -> None:
        raise AenetError(f"{ODD} does not exist")

    with pytest.raises(SystemExit) as ended:
        as_program(stage)
    assert ended.value.code == 2, "1 would be tried again"
    assert capsys.readouterr().err == f"error: {ODD} does not exist\n"


def test_what_a_stage_prints_is_printed_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    console.print(ODD)
    assert capsys.readouterr().out == f"{ODD}\n"


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("stream", [_Terminal(), io.StringIO()], ids=["terminal", "file"])
def test_progress_shows_names_as_they_are(stream: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_EVERY_S", 0.0)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("TERM", "xterm")
    with contextlib.redirect_stdout(stream), progress(f"fetch {ODD}") as report:
        report(1, 2, ODD)
        report(2, 2, ODD)
    assert stream.getvalue().count(ODD) >= 2
