"""The short report of an ensemble in the terminal: its members and its score."""

import shlex
from collections.abc import Iterator, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from tune_paddy.core.estimate import Comparison
from tune_paddy.core.metrics import error_rate, log_loss, metric_label
from tune_paddy.core.predictions import PLAIN
from tune_paddy.data.system.text import four_digits
from tune_paddy.ensemble.ensemble import Ensemble, member_weights
from tune_paddy.ensemble.reports.caveats import caveats
from tune_paddy.ensemble.reports.member_rows import MemberRow, ViewRow, ensemble_rows
from tune_paddy.ensemble.reports.tables import make_table
from tune_paddy.ensemble.reports.terminal import RIVALS, rivals

MOST_MEMBERS = 12
"""Maximum number of rows of the table; `show` and the report list the whole pool."""


def print_summary(console: Console, ensemble: Ensemble, searches: Sequence[str]) -> None:
    """Print the members with the ensemble below them, the refused members, and the ensemble's score."""
    rows = ensemble_rows(ensemble)
    console.print(_table([*rows[:MOST_MEMBERS], _ensemble_row(ensemble)]), highlight=False)
    if rows[MOST_MEMBERS:]:
        console.print(Text(_more(rows[MOST_MEMBERS:], searches), style="dim"), soft_wrap=True)
    for refusal in ensemble.pool.refused:
        line = f"refused: {refusal.member}: {refusal.reason}"
        console.print(Text(line, style="yellow"), soft_wrap=True)
    console.print()
    console.print(Text("\n".join(answer(ensemble)), style="bold"))
    for line in caveats(ensemble.pool):
        console.print(Text(line, style="yellow"), soft_wrap=True)


def answer(ensemble: Ensemble) -> tuple[str, ...]:
    """Return sentences about the ensemble's score, each of at most 80 characters."""
    selection, assessment = ensemble.selection, ensemble.assessment
    members = sum(weight > 0 for weight in member_weights(ensemble).values())
    subject = f"Ensemble of {members} member{'s' * (members > 1)} ({selection.method})"
    metric = metric_label(selection.metric)
    if assessment is None:
        return (
            f"{subject}: {metric} {four_digits(selection.score)}, optimistic.",
            "It is scored on the images that it was selected on.",
            "No honest estimate can be made: the select split has a single image.",
        )
    own = assessment.estimate
    return (
        f"{subject}: {metric} {four_digits(own.score)} on new images.",
        f"95 % interval: {four_digits(own.low)} to {four_digits(own.high)}.",
        *(f"It {_verdict(rival)}." for rival in rivals(ensemble)),
    )


def _verdict(rival: Comparison) -> str:
    """Return whether a rival is beaten and by how much, or that the interval contains 0."""
    name = f"the {RIVALS[rival.rival]}"
    if rival.high < 0:
        return f"beats {name} by {four_digits(-rival.difference)}"
    if rival.low > 0:
        return f"is worse than {name} by {four_digits(rival.difference)}"
    return f"does not differ significantly from {name}"


def _ensemble_row(ensemble: Ensemble) -> MemberRow:
    """Return the ensemble's row, scored by cross-fitting if possible; otherwise it is marked optimistic."""
    labels, assessment = ensemble.pool.labels, ensemble.assessment
    known = assessment.predictions if assessment else ensemble.selection.blend(ensemble.pool.select)
    name = "ensemble" if assessment else "ensemble (optimistic)"
    return MemberRow(name, [ViewRow(PLAIN, log_loss(known, labels), error_rate(known, labels))])


def _table(rows: Sequence[MemberRow]) -> Table:
    """Return a table of the rows, without empty columns; the last row is the ensemble."""
    cells = [tuple(_cells(row)) for row in rows]
    heads = ("member", "log loss", "with TTA", "error", "weight")
    shown = [column for column in range(len(heads)) if any(row[column] for row in cells)]
    table = make_table("Members")
    for column in shown:
        table.add_column(heads[column], justify="right" if column else "left", overflow="fold")
    for row, texts in zip(rows, cells, strict=True):
        table.add_row(*(texts[column] for column in shown), style="dim" if row.weight == 0 else None)
    table.rows[-2].end_section = True
    table.rows[-1].style = "bold"
    return table


def _cells(row: MemberRow) -> Iterator[str]:
    yield row.name
    yield from ("" if value is None else four_digits(value) for value in (row.log_loss, row.tta_log_loss))
    yield "" if row.error is None else f"{100 * row.error:.1f} %"
    yield _weight(row.weight or 0)


def _weight(value: float) -> str:
    """Format a weight with three decimals; a weight of 0 is empty.

    >>> [_weight(value) for value in (0.34567, 0.0001, 0)]
    ['0.346', '<0.001', '']
    """
    return "" if value == 0 else f"{value:.3f}" if value >= 0.0005 else "<0.001"  # noqa: PLR2004 rounds to 0.001


def _more(rows: Sequence[MemberRow], searches: Sequence[str]) -> str:
    """Return the number of members without a row, and the command that lists them."""
    kind = "" if any(row.weight for row in rows) else " without weight"
    where = f"tune-paddy show {shlex.quote(searches[0])}" if len(searches) == 1 else "--verbose"
    return f"and {len(rows)} more{kind}; {where} shows them"
