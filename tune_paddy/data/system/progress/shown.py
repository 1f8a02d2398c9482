"""Choose how progress is shown: on a terminal, in a notebook, as lines of a log, or not at all."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console

from tune_paddy.data.system.progress.lines import LineProgress, Silence, write_line
from tune_paddy.data.system.progress.notebook import NotebookProgress
from tune_paddy.data.system.progress.stages import SILENT, Progress
from tune_paddy.data.system.progress.terminal import TerminalProgress, is_interactive


@contextmanager
def shown_progress(
    output: Console,
    errors: Console | None = None,
    *,
    log: Console | None = None,
    silence: Silence | None = None,
) -> Iterator[Progress]:
    """Show the stages of the block's work, and remove the display at its end.

    A notebook and a terminal show each stage at once; a log gets a line after ten seconds without any, and
    rarer ones in stages of hours.

    Args:
        output: Console of the results.
        errors: Console of the messages; it is used if it is a terminal and the other is not.
        log: Console for plain lines if neither is a terminal; None: then nothing is shown.
        silence: Time since the program's last line; None: it begins now.

    Yields:
        The argument `progress` of library functions.
    """
    progress = _chosen(output, errors, log, silence)
    try:
        yield progress
    finally:
        progress.clear()


def _chosen(
    output: Console, errors: Console | None, log: Console | None, silence: Silence | None
) -> Progress:
    if output.quiet:
        return SILENT
    if output.is_jupyter:
        return NotebookProgress()
    if is_interactive(output):
        return TerminalProgress(output)
    if errors is not None and is_interactive(errors):
        return TerminalProgress(errors, proxies=False)
    return SILENT if log is None else LineProgress(lambda line: write_line(log, line), silence)
