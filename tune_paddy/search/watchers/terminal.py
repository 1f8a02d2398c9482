"""Live table of a running search on a terminal."""

from collections.abc import Iterator
from typing import Any

from rich.columns import Columns
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from tune_paddy.search.trial import Trial
from tune_paddy.search.watchers.progress import SearchProgress
from tune_paddy.search.watchers.rows import SHOWN, cells, heads, reasons, shortened, shown_members

_AROUND = 11
"""Number of the screen's lines that rows cannot have: the head of the table, and lines above and below."""
_GAP = 2
"""Columns between two columns of the table."""


class TableDisplay:
    """Draws the state of a search twice a second while the block runs, and removes it afterwards.

    Args:
        console: Interactive console.
        progress: State of the search.
    """

    def __init__(self, console: Console, progress: SearchProgress) -> None:
        self._console, self._progress = console, progress
        self._spinner = Spinner("dots")
        self._live = Live(self, console=console, refresh_per_second=2, transient=True)

    def __enter__(self) -> "TableDisplay":
        self._live.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._live.stop()

    def trial_changed(self, trial: Trial, state: str, result: dict[str, Any]) -> None:  # noqa: ARG002
        """Draw the new state at once."""
        self._live.refresh()

    def tick(self) -> None:
        """Do nothing: Rich draws from a thread of its own."""

    def __rich__(self) -> Group:
        """Return the lines and the table; none is wrapped, whatever the width."""
        return Group(*self._blocks())

    def _blocks(self) -> Iterator[RenderableType]:
        progress = self._progress
        yield _line(progress.headline())
        for part in progress.preparing():
            words = f"Preparing images, {part.resizing}: {part.done:,} of {part.total:,}"
            yield Columns([ProgressBar(total=part.total, completed=part.done, width=20), _line(words)])
        waiting = progress.waiting_for()
        if waiting:
            self._spinner.update(text=_line(waiting))
            yield self._spinner
            return
        yield self._table()
        for reason in reasons(progress):
            yield _line(reason, "yellow")
        if progress.ensemble:
            yield _line(progress.ensemble, "bold")
        for words in progress.outlook():
            yield _line(words)

    def _table(self) -> Table:
        progress, console = self._progress, self._console
        names = heads(progress)
        rows = [cells(progress, member) for member in shown_members(progress, self._most_rows())]
        widths = [max(len(row[column]) for row in [names, *rows]) for column in range(1, len(names))]
        room = max(console.width - sum(widths) - _GAP * len(widths), 12)
        table = Table(box=None, pad_edge=False, padding=(0, _GAP, 0, 0), header_style="bold")
        for column, name in enumerate(names):
            table.add_column(name, no_wrap=True, justify="left" if column <= 1 else "right")
        for row in rows:
            table.add_row(shortened(row[0], room), *row[1:])
        return table

    def _most_rows(self) -> int:
        return max(1, min(SHOWN, self._console.height - _AROUND))


def _line(words: str, style: str = "") -> Text:
    return Text(words, style=style, no_wrap=True, overflow="ellipsis")
