"""Output of a notebook's cell that is replaced while the cell runs; needs no widgets."""

import time
from collections.abc import Callable
from html import escape
from typing import Any
from uuid import uuid4

from tune_paddy.data.system.progress.stages import Stage

_SPACING, _LONGEST_SPACING, _UPDATES = 0.5, 10.0, 200
"""Minimum time between two updates in seconds, its limit for long work, and updates per time passed."""


class CellOutput:
    """A place in the output of the running cell whose content can be replaced.

    Args:
        clock: Monotonic clock, in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._id = ""
        self._began, self._shown_at = clock(), float("-inf")

    def show(self, html: str, text: str, *, now: bool = False) -> None:
        """Replace the content, unless it has just been replaced; the longer the work, the rarer.

        Args:
            html: Content for the browser.
            text: The same content for readers without HTML.
            now: Whether to replace it in any case.
        """
        time_now = self._clock()
        spacing = min(max(_SPACING, (time_now - self._began) / _UPDATES), _LONGEST_SPACING)
        if not now and time_now - self._shown_at < spacing:
            return
        from IPython.display import display  # noqa: PLC0415 only notebooks have it

        self._shown_at = time_now
        known, self._id = bool(self._id), self._id or f"tune_paddy-{uuid4().hex}"
        show: Any = display  # IPython has no types
        show({"text/html": html, "text/plain": text}, raw=True, display_id=self._id, update=known)


def bar_html(done: float, total: float) -> str:
    """Return a progress bar of the browser's own."""
    return f'<progress value="{done:g}" max="{total:g}" style="width:12em"></progress>'


class NotebookProgress:
    """Shows the running stage in the output of a notebook's cell, and removes it afterwards."""

    def __init__(self) -> None:
        self._output = CellOutput()
        self._stage: Stage | None = None

    def stage(self, what: str, total: int | None = None) -> None:
        """Show a stage."""
        self._stage = Stage(what, total)
        self._show(now=True)

    def advance(self, count: int = 1) -> None:
        """Count finished units."""
        if self._stage is not None:
            self._stage.done += count
            self._show()

    def clear(self) -> None:
        """Empty the output."""
        if self._stage is not None:
            self._output.show("", "", now=True)
        self._stage = None

    def _show(self, **options: Any) -> None:
        stage = self._stage
        if stage is not None:
            bar = bar_html(stage.done, stage.total) if stage.total else ""
            self._output.show(f"<div>{bar} {escape(stage.words())}</div>", stage.words(), **options)
