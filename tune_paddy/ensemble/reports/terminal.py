"""What a person sees of an ensemble in the terminal when asking for everything."""

from collections.abc import Iterator, Sequence

import numpy as np
from rich.console import Console
from rich.table import Table
from rich.text import Text

from tune_paddy.core.estimate import Assessment, Comparison
from tune_paddy.core.metrics import metric_label
from tune_paddy.core.predictions import PLAIN, TTA, View
from tune_paddy.ensemble.ensemble import Ensemble, member_weights
from tune_paddy.ensemble.fit import member_groups
from tune_paddy.ensemble.frontier import Frontier
from tune_paddy.ensemble.reports.tables import make_table

RIVALS = {"best_single": "best single member", "uniform": "uniform average"}
"""What an ensemble is compared with → its name for a person."""
_MINIMISING = frozenset(("greedy", "bagged"))
"""Methods whose plain means are made to have the lowest loss."""
_MOST_ROUNDS = 8
"""Greedy rounds that are printed; the figure shows more."""


def print_details(console: Console, ensemble: Ensemble) -> None:
    """Print how an ensemble came about: all views, the way to the weights, and what else there was."""
    for block in _blocks(ensemble):
        console.print(block, highlight=False)
        console.print()


def _blocks(ensemble: Ensemble) -> Iterator[Table | Text]:
    selection = ensemble.selection
    yield _members(ensemble)
    yield Text("\n".join(_view_kinds(ensemble)))
    if selection.order:
        yield _path(ensemble)
    # Of a mean that was not made to have the lowest log loss, the bound says nothing.
    if selection.gap is not None and selection.metric == "log_loss" and selection.method in _MINIMISING:
        yield Text(f"Optimality gap: other weights of a plain mean gain {selection.gap:.4f} nats at most.")
    if selection.candidates:
        yield _candidates(ensemble)
        yield Text("These were fitted on halves of the images, the scores at the end on four fifths.", "dim")
    if ensemble.frontier is not None:
        yield _frontier(ensemble.frontier, ensemble)
    if ensemble.assessment is not None:
        yield _worth(ensemble, ensemble.assessment)


def _members(ensemble: Ensemble) -> Table:
    """The views, those of the heaviest member first; the last column names a row by its number."""
    table = make_table("Members")
    table.add_column("#", justify="right")
    table.add_column("member", overflow="fold")
    table.add_column("view")
    likes = ["errs like"] if ensemble.redundancies else []  # of views that were left out
    for column in ("weight", "log loss", "error", "without it", *likes):
        table.add_column(column, justify="right")
    groups, totals = member_groups(ensemble.pool), member_weights(ensemble)
    views, weights = ensemble.pool.views, ensemble.selection.weights
    order = sorted(range(len(views)), key=lambda n: (-totals[views[n].run_id], views[n].name))
    for number in order:
        view, chosen = views[number], weights[number] > 0
        contribution = ensemble.contributions.get(int(groups[number])) if chosen else None
        table.add_row(
            str(1 + order.index(number)),
            view.member,
            view.kind,
            f"{weights[number]:.3f}" if chosen else "",
            _number(view, f"{view.kind}/log_loss", ".4f"),
            _number(view, f"{view.kind}/error_rate", ".2%"),
            "" if contribution is None else signed(contribution),
            *([_errs_like(ensemble, number, order)] if likes else []),
            style=None if chosen else "dim",
        )
    return table


def _errs_like(ensemble: Ensemble, number: int, order: Sequence[int]) -> str:
    """Why a view was left out: the row of the chosen one that it resembles, and how much."""
    redundancy = ensemble.redundancies.get(number)
    if redundancy is None:
        return ""
    return f"#{1 + order.index(redundancy.view)} ({redundancy.correlation:.2f})"


def _view_kinds(ensemble: Ensemble) -> Iterator[str]:
    """How often each kind of view was chosen, and with what weight."""
    pairs = list(zip(ensemble.pool.views, ensemble.selection.weights, strict=True))
    for kind in (PLAIN, TTA):
        there = sum(view.kind == kind for view, _ in pairs)
        weights = np.array([weight for view, weight in pairs if view.kind == kind and weight > 0])
        if there:
            yield f"{kind} views: {weights.size} of {there} chosen, weights sum to {weights.sum():.3f}"


def _path(ensemble: Ensemble) -> Table:
    selection, views = ensemble.selection, ensemble.pool.views
    title = f"Greedy rounds: {selection.kept} of {len(selection.order)} kept"
    table = make_table(title)
    table.add_column("round", justify="right")
    table.add_column("adds", overflow="fold")
    table.add_column(metric_label(selection.metric), justify="right")
    rounds = list(range(selection.kept))
    for number in rounds if len(rounds) <= _MOST_ROUNDS else [*rounds[: _MOST_ROUNDS - 2], -1, rounds[-1]]:
        if number < 0:
            table.add_row("…", "…", "…")
        else:
            name = views[selection.order[number]].name
            table.add_row(str(number + 1), name, f"{selection.trajectory[number]:.4f}")
    return table


def _frontier(frontier: Frontier, ensemble: Ensemble) -> Table:
    whatever = "" if ensemble.selection.metric == "log_loss" else " in log loss, whatever the metric"
    title = f"What time buys{whatever}: best means for {len(ensemble.pool.test_ids)} test images"
    table = make_table(title, "choice")
    for column in ("members", "minutes", "MiB", "log loss (optimistic)"):
        table.add_column(column, justify="right")
    rows = [*(("best mean", point) for point in frontier.points), ("the ensemble", frontier.selected)]
    for name, offer in rows:
        table.add_row(
            name, str(offer.members), f"{offer.minutes:.3g}", f"{offer.mib:.3g}", f"{offer.log_loss:.4f}"
        )
    return table


def _candidates(ensemble: Ensemble) -> Table:
    table = make_table("Methods, cross-fitted: the simplest near the best")
    table.add_column("method")
    for column in (metric_label(ensemble.selection.metric), "behind the best"):
        table.add_column(column, justify="right")
    table.add_column("choice")
    for candidate in ensemble.selection.candidates:
        behind = f"{candidate.difference:.4f} ± {candidate.standard_error:.4f}"
        table.add_row(candidate.method, f"{candidate.score:.4f}", behind, "used" if candidate.chosen else "")
    return table


def _worth(ensemble: Ensemble, assessment: Assessment) -> Table:
    metric = metric_label(ensemble.selection.metric)
    title = f"On images it was not selected on ({len(ensemble.pool.labels)}, cross-fitted; 95 % intervals)"
    table = make_table(title, "what")
    for column in (metric, "interval", "the ensemble beats it by"):
        table.add_column(column, justify="right")
    own = assessment.estimate
    name = f"ensemble ({ensemble.selection.method})"
    table.add_row(name, f"{own.score:.4f}", f"{own.low:.4f} to {own.high:.4f}", "")
    table.add_row("its optimistic score", f"{ensemble.selection.score:.4f}", "", "", style="dim")
    for rival in rivals(ensemble):
        table.add_row(RIVALS[rival.rival], f"{rival.rival_score:.4f}", "", gain_of(rival))
    return table


def rivals(ensemble: Ensemble) -> tuple[Comparison, ...]:
    """What an ensemble is compared with, without what it is itself."""
    if ensemble.assessment is None or len(ensemble.pool.views) == 1:
        return ()
    return tuple(r for r in ensemble.assessment.comparisons if r.rival != ensemble.selection.method)


def gain_of(rival: Comparison) -> str:
    """By how much a rival is beaten, with the interval."""
    gain, low, high = (signed(-value) for value in (rival.difference, rival.high, rival.low))
    return f"{gain} ({low} to {high})"


def signed(value: float) -> str:
    """A difference of losses with its sign; what rounds to nothing has no minus.

    >>> [signed(value) for value in (0.01, -0.01, -0.00001, -0.0)]
    ['+0.0100', '-0.0100', '+0.0000', '+0.0000']
    """
    return f"{round(value, 4) + 0:+.4f}"


def _number(view: View, name: str, form: str) -> str:
    value = view.info.get(name)
    return format(value, form) if isinstance(value, float | int) else ""
