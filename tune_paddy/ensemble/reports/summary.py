"""The usual report of an ensemble in the terminal, members and score; `details` is that of `--verbose`."""

import shlex
from collections.abc import Iterator, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from tune_paddy.core.estimate import Comparison
from tune_paddy.core.metrics import error_rate, log_loss, metric_label
from tune_paddy.core.predictions import Refusal
from tune_paddy.core.selection.decisions import scored
from tune_paddy.core.views import PLAIN
from tune_paddy.data.system.text import counted, four_digits, percent
from tune_paddy.ensemble.ensemble import Ensemble, member_weights
from tune_paddy.ensemble.reports.caveats import caveats
from tune_paddy.ensemble.reports.member_rows import MemberRow, ViewRow, best_other_view, ensemble_rows
from tune_paddy.ensemble.reports.rivals import RIVALS, rivals
from tune_paddy.ensemble.reports.tables import make_table
from tune_paddy.ensemble.reports.wording import NEW_IMAGES, score, score_difference

MOST_MEMBERS = 8
"""Maximum number of rows of the table; `show` and the report list the whole pool."""
_MOST_REFUSED = 3
"""Maximum number of refused members that are listed."""
_LINE = 80
"""Maximum number of characters of a sentence about scores."""


def print_summary(console: Console, ensemble: Ensemble, searches: Sequence[str]) -> None:
    """Print the ensemble's score, then its members with the ensemble below them, and the refused members."""
    rows = ensemble_rows(ensemble)
    console.print(Text("\n".join(headline(ensemble)), style="bold"), soft_wrap=True)
    console.print()
    images = counted(len(ensemble.pool.labels), "image")
    title = f"Members, scored on the select split ({images})"
    console.print(_table(title, [*rows[:MOST_MEMBERS], _ensemble_row(ensemble)]), highlight=False)
    if rows[MOST_MEMBERS:]:
        console.print(Text(_more(rows[MOST_MEMBERS:], searches), style="dim"), soft_wrap=True)
    for line in harmful_weight(ensemble, rows):
        console.print(Text(line, style="dim"))
    for line in (*caveats(ensemble.pool), *_refused(ensemble.pool.refused)):
        console.print(Text(line, style="yellow"))


def harmful_weight(ensemble: Ensemble, rows: Sequence[MemberRow]) -> tuple[str, ...]:
    """Return a sentence on the member that the ensemble would do best without, although it keeps its weight.

    Args:
        ensemble: Selected ensemble.
        rows: Rows of its members.
    """
    harmful = [row for row in rows if row.contribution is not None and round(row.contribution, 4) < 0]
    if not harmful:
        return ()
    worst = min(harmful, key=lambda row: row.contribution or 0.0)
    metric = ensemble.selection.metric
    gain = score_difference(metric, -(worst.contribution or 0.0))
    return (f"{worst.name} has weight; without it, the {metric_label(metric)} is {gain} lower.",)


def _refused(refused: Sequence[Refusal]) -> Iterator[str]:
    for refusal in refused[:_MOST_REFUSED]:
        yield f"refused: {refusal.member}: {refusal.reason}"
    if refused[_MOST_REFUSED:]:
        yield f"and {len(refused) - _MOST_REFUSED} more refused"


def _in_one_line(subject: str, method: str, verdict: str) -> str:
    """Return a verdict with the method of the ensemble, which is left out where the line is too long."""
    line = f"{subject} ({method}): {verdict}"
    return line if len(line) <= _LINE else f"{subject}: {verdict}"


def headline(ensemble: Ensemble) -> tuple[str, ...]:
    """Return sentences about the ensemble's score, each of at most 80 characters."""
    selection, assessment = ensemble.selection, ensemble.assessment
    members = sum(weight > 0 for weight in member_weights(ensemble).values())
    subject = f"Ensemble of {members} member{'s' * (members > 1)}"
    metric = metric_label(selection.metric)
    if assessment is None:
        optimistic = f"{metric} {score(selection.metric, selection.score)}, optimistic."
        return (
            _in_one_line(subject, selection.method, optimistic),
            "It is scored on the images that it was selected on.",
            f"No honest estimate can be made: the select split has a single {_unit(ensemble)}.",
        )
    own = assessment.estimate
    return (
        _in_one_line(
            subject, selection.method, f"{metric} {score(selection.metric, own.score)} {NEW_IMAGES}."
        ),
        f"95 % interval: {score(selection.metric, own.low)} to {score(selection.metric, own.high)}.",
        *(f"It {_verdict(rival, selection.metric)}." for rival in rivals(ensemble)),
    )


def _unit(ensemble: Ensemble) -> str:
    """Return what the select split has one of, if it cannot be divided: an image, or a group of several."""
    return "image" if len(ensemble.pool.labels) == 1 else "group of images"


def _verdict(rival: Comparison, metric: str) -> str:
    """Return whether a rival is beaten and by how much, or that the interval contains 0."""
    name = f"the {RIVALS[rival.rival]}"
    if rival.high < 0:
        return f"beats {name} by {score_difference(metric, -rival.difference)}"
    if rival.low > 0:
        return f"is worse than {name} by {score_difference(metric, rival.difference)}"
    return f"does not differ significantly from {name}"


def _ensemble_row(ensemble: Ensemble) -> MemberRow:
    """Return the ensemble's row, scored by cross-fitting if possible; otherwise it is marked optimistic."""
    labels, assessment = ensemble.pool.labels, ensemble.assessment
    known = assessment.predictions if assessment else ensemble.selection.blend(ensemble.pool.select)
    decided = assessment.decisions if assessment else scored(ensemble.selection, known)
    name = f"ensemble {NEW_IMAGES}" if assessment else "ensemble (optimistic)"
    return MemberRow(name, [ViewRow(PLAIN, log_loss(known, labels), error_rate(decided, labels))])


def _table(title: str, rows: Sequence[MemberRow]) -> Table:
    """Return a table of the rows, without empty columns; the last row is the ensemble."""
    cells = [tuple(_cells(row)) for row in rows]
    heads = ("member", "log loss", "with TTA", "best other view", "error", "weight")
    shown = [column for column in range(len(heads)) if any(row[column] for row in cells)]
    table = make_table(title)
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
    yield best_other_view(row)
    yield "" if row.error is None else percent(row.error)
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
    where = shlex.join(["tune-paddy", "show", *searches]) if len(searches) == 1 else "--verbose"
    return f"and {len(rows)} more{kind}; {where} shows them"
