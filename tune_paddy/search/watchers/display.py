"""Choose how a running search is shown: on a terminal, in a notebook, or as lines of a log."""

from rich.console import Console

from tune_paddy.data.system.progress.terminal import is_interactive
from tune_paddy.search.watchers.log import LogDisplay
from tune_paddy.search.watchers.notebook import CellDisplay
from tune_paddy.search.watchers.progress import SearchProgress
from tune_paddy.search.watchers.terminal import TableDisplay


def search_display(console: Console, progress: SearchProgress) -> TableDisplay | CellDisplay | LogDisplay:
    """Return the display of a search that suits its output; a quiet console shows nothing.

    Args:
        console: Output of the search.
        progress: State of the search; it must receive each event before the display.
    """
    if console.quiet:
        return LogDisplay(console, progress)
    if console.is_jupyter:
        return CellDisplay(progress)
    return TableDisplay(console, progress) if is_interactive(console) else LogDisplay(console, progress)
