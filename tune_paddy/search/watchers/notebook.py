"""Table of a running search in the output of a notebook's cell."""

from html import escape
from typing import Any

from tune_paddy.data.system.progress.notebook import CellOutput, bar_html
from tune_paddy.search.trial import Trial
from tune_paddy.search.watchers.progress import SearchProgress
from tune_paddy.search.watchers.rows import cells, heads, reasons, shown_members


class CellDisplay:
    """Replaces the output of a cell after each event, and leaves the last state in the notebook.

    Args:
        progress: State of the search.
        output: Place in the cell's output; None: a new one.
    """

    def __init__(self, progress: SearchProgress, output: CellOutput | None = None) -> None:
        self._progress, self._output = progress, output or CellOutput()

    def __enter__(self) -> "CellDisplay":
        self._show(now=True)
        return self

    def __exit__(self, *error: object) -> None:
        """Show the last state."""
        self._show(now=True)

    def trial_changed(self, trial: Trial, state: str, result: dict[str, Any]) -> None:  # noqa: ARG002
        """Show the new state."""
        self._show()

    def tick(self) -> None:
        """Show the time that has passed."""
        self._show()

    def _show(self, **options: bool) -> None:
        self._output.show(page(self._progress), text(self._progress), **options)


def page(progress: SearchProgress) -> str:
    """Return the state of a search as HTML: a bar, a line, and the table of its members."""
    bar = bar_html(*progress.bar())
    parts = [f"<div>{bar} {escape(progress.headline())}</div>"]
    lines = [*progress.preparations(), progress.waiting_for()]
    parts += [f"<div>{escape(line)}</div>" for line in lines if line]
    if progress.members:
        parts.append(_table(progress))
    lines = [*reasons(progress), progress.ensemble, *progress.outlook()]
    parts += [f"<div>{escape(line)}</div>" for line in lines if line]
    return "".join(parts)


def _table(progress: SearchProgress) -> str:
    rows = [_row("th", heads(progress))]
    rows += [_row("td", cells(progress, member)) for member in shown_members(progress)]
    return f"<table>{''.join(rows)}</table>"


def _row(tag: str, texts: tuple[str, ...]) -> str:
    sides = ("left", "left", *["right"] * len(texts))
    return "<tr>{}</tr>".format(
        "".join(
            f'<{tag} style="text-align: {side}; white-space: nowrap; padding: 1px 8px">{escape(text)}</{tag}>'
            for side, text in zip(sides, texts, strict=False)
        )
    )


def text(progress: SearchProgress) -> str:
    """Return the state of a search as plain text, for readers of a notebook without HTML."""
    lines = (progress.headline(), progress.waiting_for(), progress.ensemble, *progress.outlook())
    return "\n".join(line for line in lines if line)
