"""Progress at a terminal: a spinner with the running stage, and a bar where the amount of work is known."""

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.text import Text

from tune_paddy.data.system.progress.stages import Stage

_BAR = 30
"""Width of the bar, in columns."""


def is_interactive(console: Console) -> bool:
    """Return whether a console is a terminal that can redraw lines; a pipe with forced colours is none."""
    isatty = getattr(console.file, "isatty", None)
    return bool(console.is_interactive and isatty is not None and isatty())


class TerminalProgress:
    """Shows the running stage on the last line of a terminal, and removes it afterwards.

    Args:
        console: Interactive console.
        proxies: Whether what others write to standard output is placed above the line.
    """

    def __init__(self, console: Console, *, proxies: bool = True) -> None:
        self._console, self._proxies = console, proxies
        self._live: Live | None = None
        self._stage: Stage | None = None
        self._spinner = Spinner("dots")

    def stage(self, what: str, total: int | None = None) -> None:
        """Show a stage."""
        self._stage = Stage(what, total)
        if self._live is None:
            self._live = Live(
                self,
                console=self._console,
                transient=True,
                refresh_per_second=8,
                redirect_stdout=self._proxies,
            )
            self._live.start()
        self._live.refresh()

    def advance(self, count: int = 1) -> None:
        """Count finished units."""
        if self._stage is not None:
            self._stage.done += count

    def clear(self) -> None:
        """Remove the line."""
        live, self._live, self._stage = self._live, None, None
        if live is not None:
            live.stop()

    def __rich__(self) -> RenderableType:
        """Return the spinner with the stage, and its bar; Rich calls this eight times a second."""
        stage = self._stage
        if stage is None:
            return Text()
        self._spinner.update(text=Text(stage.words(), no_wrap=True, overflow="ellipsis"))
        if stage.total is None:
            return self._spinner
        return Group(self._spinner, ProgressBar(total=stage.total, completed=stage.done, width=_BAR))
