import io

import pytest
from rich.console import Console

from tune_paddy.data.system.progress.lines import LineProgress
from tune_paddy.data.system.progress.notebook import NotebookProgress
from tune_paddy.data.system.progress.shown import shown_progress
from tune_paddy.data.system.progress.stages import Silent
from tune_paddy.data.system.progress.terminal import TerminalProgress


class Screen(io.StringIO):
    """Output that claims to be a terminal."""

    def isatty(self) -> bool:
        return True


def terminal() -> Console:
    """Return a console on a terminal."""
    return Console(file=Screen(), width=60, height=20, force_terminal=True, color_system=None, _environ={})


def pipe() -> Console:
    """Return a console on a pipe."""
    return Console(file=io.StringIO(), width=60, _environ={})


def test_a_terminal_shows_the_stage_at_once_and_removes_it() -> None:
    console = terminal()
    with shown_progress(console) as progress:
        progress.stage("predicting 4 images", 4)
        progress.advance()
        console.print("a result")
    drawn = console.file.getvalue()  # type: ignore[attr-defined]
    assert "predicting 4 images… 25 %" in drawn
    assert drawn.index("a result") < drawn.rindex("predicting")
    assert drawn.endswith("\x1b[2K")


def test_a_stage_can_follow_a_cleared_one() -> None:
    console = terminal()
    with shown_progress(console) as progress:
        progress.stage("starting Ray")
        progress.clear()
        progress.stage("selecting")
    assert "selecting…" in console.file.getvalue()  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("output", "errors", "log", "kind"),
    [
        (terminal(), pipe(), pipe(), TerminalProgress),
        (pipe(), terminal(), pipe(), TerminalProgress),
        (pipe(), pipe(), pipe(), LineProgress),
        (pipe(), None, None, Silent),
        (Console(quiet=True, force_jupyter=True), None, None, Silent),
        (Console(force_jupyter=True), None, None, NotebookProgress),
        (Console(file=io.StringIO(), force_terminal=True), None, None, Silent),
    ],
    ids=["terminal", "errors on a terminal", "log", "script", "quiet", "notebook", "pipe with colours"],
)
def test_progress_is_shown_where_someone_sees_it(
    output: Console, errors: Console | None, log: Console | None, kind: type
) -> None:
    with shown_progress(output, errors, log=log) as progress:
        assert isinstance(progress, kind)
