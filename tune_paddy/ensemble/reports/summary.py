"""What a person sees of an ensemble first: its members, what it is worth, and no more."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table
from rich.text import Text

from tune_paddy.core.estimate import Comparison
from tune_paddy.core.metrics import error_rate, log_loss, metric_label
from tune_paddy.core.predictions import PLAIN, TTA
from tune_paddy.data.system.text import four_digits
from tune_paddy.ensemble.ensemble import Ensemble, member_weights
from tune_paddy.ensemble.reports.tables import make_table
from tune_paddy.ensemble.reports.terminal import RIVALS, rivals

MOST_MEMBERS = 12
"""Rows of the table; the whole pool stands in `show` and in the report."""


@dataclass(frozen=True)
class _Row:
    """A line of the table; None where there is no such number."""

    name: str
    log_loss: float | None
    tta_log_loss: float | None
    error: float | None
    weight: float | None


def print_summary(console: Console, ensemble: Ensemble, searches: Sequence[str]) -> None:
    """Print the members and the ensemble below them, who was refused, and what the ensemble is worth."""
    rows = _member_rows(ensemble)
    console.print(_table([*rows[:MOST_MEMBERS], _ensemble_row(ensemble)]), highlight=False)
    if rows[MOST_MEMBERS:]:
        console.print(Text(_more(rows[MOST_MEMBERS:], searches), style="dim"), soft_wrap=True)
    for refusal in ensemble.pool.refused:
        line = f"refused: {refusal.member}: {refusal.reason}"
        console.print(Text(line, style="yellow"), soft_wrap=True)
    console.print()
    console.print(Text("\n".join(answer(ensemble)), style="bold"))


def answer(ensemble: Ensemble) -> tuple[str, ...]:
    """The ensemble in a few sentences, none of them longer than a line of 80 columns."""
    selection, assessment = ensemble.selection, ensemble.assessment
    members = sum(weight > 0 for weight in member_weights(ensemble).values())
    subject = f"Ensemble of {members} member{'s' * (members > 1)} ({selection.method})"
    metric = metric_label(selection.metric)
    if assessment is None:
        return (
            f"{subject}: {metric} {four_digits(selection.score)}, optimistic.",
            "It was selected on the images that it is judged on.",
            "No honest estimate can be made: a class has a single image in the select split.",
        )
    own = assessment.estimate
    return (
        f"{subject}: {metric} {four_digits(own.score)} on new images.",
        f"95 % interval: {four_digits(own.low)} to {four_digits(own.high)}.",
        *(f"It {_verdict(rival)}." for rival in rivals(ensemble)),
    )


def _verdict(rival: Comparison) -> str:
    """Whether a rival is beaten, and by how much; not where the interval holds 0."""
    name = f"the {RIVALS[rival.rival]}"
    if rival.high < 0:
        return f"beats {name} by {four_digits(-rival.difference)}"
    if rival.low > 0:
        return f"is worse than {name} by {four_digits(rival.difference)}"
    return f"cannot be told from {name}"


def _member_rows(ensemble: Ensemble) -> list[_Row]:
    """One for each member, its views side by side, the heaviest first."""
    pool, weights = ensemble.pool, member_weights(ensemble)
    views: dict[str, dict[str, int]] = {}
    for number, view in enumerate(pool.views):
        views.setdefault(view.run_id, {})[view.kind] = number
    rows = []
    for run_id, kinds in views.items():
        losses = {kind: log_loss(pool.select[number], pool.labels) for kind, number in kinds.items()}
        error = error_rate(pool.select[kinds[PLAIN]], pool.labels) if PLAIN in kinds else None
        name = pool.views[next(iter(kinds.values()))].member
        rows.append(_Row(name, losses.get(PLAIN), losses.get(TTA), error, weights[run_id]))
    return sorted(rows, key=lambda row: (-(row.weight or 0), row.name))


def _ensemble_row(ensemble: Ensemble) -> _Row:
    """By cross-fitted predictions where there are some; else it says what its numbers are."""
    labels, assessment = ensemble.pool.labels, ensemble.assessment
    known = assessment.predictions if assessment else ensemble.selection.blend(ensemble.pool.select)
    name = "ensemble" if assessment else "ensemble (optimistic)"
    return _Row(name, log_loss(known, labels), None, error_rate(known, labels), None)


def _table(rows: Sequence[_Row]) -> Table:
    """The rows, without columns of which no row has a value; the last row is the ensemble."""
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


def _cells(row: _Row) -> Iterator[str]:
    yield row.name
    yield from ("" if value is None else four_digits(value) for value in (row.log_loss, row.tta_log_loss))
    yield "" if row.error is None else f"{100 * row.error:.1f} %"
    yield _weight(row.weight or 0)


def _weight(value: float) -> str:
    """A weight with three decimals; what is left out has none.

    >>> [_weight(value) for value in (0.34567, 0.0001, 0)]
    ['0.346', '<0.001', '']
    """
    return "" if value == 0 else f"{value:.3f}" if value >= 0.0005 else "<0.001"  # noqa: PLR2004 rounds to 0.001


def _more(rows: Sequence[_Row], searches: Sequence[str]) -> str:
    """How many members have no row, and where they stand."""
    kind = "" if any(row.weight for row in rows) else " without weight"
    where = f"tune-paddy show {searches[0]}" if len(searches) == 1 else "--verbose"
    return f"and {len(rows)} more{kind}; {where} shows them"
