"""The detailed report of an ensemble in the terminal, for `select --verbose`; `summary` is the usual one."""

from collections.abc import Iterator, Mapping

import numpy as np
from rich.console import Console
from rich.table import Table
from rich.text import Text

from tune_paddy.core.estimate import Assessment
from tune_paddy.core.metrics import metric_label
from tune_paddy.core.views import in_order
from tune_paddy.data.system.text import percent
from tune_paddy.ensemble.ensemble import Ensemble
from tune_paddy.ensemble.frontier import Frontier
from tune_paddy.ensemble.reports.member_rows import MemberRow, ViewRow, ensemble_rows
from tune_paddy.ensemble.reports.rivals import RIVALS, gain_of, rivals
from tune_paddy.ensemble.reports.tables import make_table
from tune_paddy.ensemble.reports.wording import OPTIMISTIC, formatted, score, signed

_MINIMISING = frozenset(("greedy", "bagged"))
"""Methods that minimise the loss of a plain mean."""
_MOST_ROUNDS = 8
"""Maximum number of greedy rounds to print; the figure shows more."""


def print_details(console: Console, ensemble: Ensemble) -> None:
    """Print all views, the selection's steps, the compared methods, the frontier and the assessment."""
    for block in _blocks(ensemble):
        console.print(block, highlight=False)
        console.print()


def _blocks(ensemble: Ensemble) -> Iterator[Table | Text]:
    selection = ensemble.selection
    yield _members(ensemble)
    yield Text("\n".join(_view_kinds(ensemble)))
    if selection.order:
        yield _path(ensemble)
    # The bound is meaningful only if the selection minimised the log loss of a plain mean.
    if selection.gap is not None and selection.metric == "log_loss" and selection.method in _MINIMISING:
        yield Text(f"Optimality gap: other weights of a plain mean gain at most {selection.gap:.4f} nats.")
    if selection.candidates:
        yield _candidates(ensemble)
        yield Text("These are fitted on halves of the images, the final scores on four fifths.", "dim")
    if ensemble.frontier is not None:
        yield _frontier(ensemble.frontier, ensemble)
    if ensemble.assessment is not None:
        yield _worth(ensemble, ensemble.assessment)


def _members(ensemble: Ensemble) -> Table:
    """Return the table of views, the member with the largest weight first; `errs like` refers to a row."""
    table = make_table("Members")
    table.add_column("#", justify="right")
    table.add_column("member", overflow="fold")
    table.add_column("view")
    likes = ["errs like"] if ensemble.redundancies else []  # for views that were left out
    for column in ("weight", "log loss", "error", "without it", *likes):
        table.add_column(column, justify="right")
    rows = [(member, view) for member in ensemble_rows(ensemble) for view in member.views]
    places = {view.number: place for place, (_, view) in enumerate(rows, start=1)}
    for member, view in rows:
        table.add_row(
            str(places[view.number]),
            *_cells(member, view),
            *([_errs_like(ensemble, view, places)] if likes else []),
            style=None if view.weight else "dim",
        )
    return table


def _cells(member: MemberRow, view: ViewRow) -> Iterator[str]:
    yield from (member.name, view.kind)
    yield formatted(view.weight or None, ".3f")
    yield formatted(view.log_loss, ".4f")
    yield "" if view.error is None else percent(view.error)
    yield signed(member.contribution) if view.weight else ""


def _errs_like(ensemble: Ensemble, view: ViewRow, places: Mapping[int | None, int]) -> str:
    """Return the row of the selected view with the most similar errors, and the correlation of the errors."""
    redundancy = None if view.number is None else ensemble.redundancies.get(view.number)
    return "" if redundancy is None else f"#{places[redundancy.view]} ({redundancy.correlation:.2f})"


def _view_kinds(ensemble: Ensemble) -> Iterator[str]:
    """Yield the number of selected views and the sum of their weights, for each kind of view."""
    pairs = list(zip(ensemble.pool.views, ensemble.selection.weights, strict=True))
    for kind in in_order({view.kind for view, _ in pairs}):
        there = sum(view.kind == kind for view, _ in pairs)
        weights = np.array([weight for view, weight in pairs if view.kind == kind and weight > 0])
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
            table.add_row(str(number + 1), name, score(selection.metric, selection.trajectory[number]))
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
    table = make_table("Methods, cross-fitted")
    metric = ensemble.selection.metric
    table.add_column("method")
    for column in (metric_label(metric), "behind the best"):
        table.add_column(column, justify="right")
    table.add_column("choice")
    for candidate in ensemble.selection.candidates:
        behind = f"{candidate.difference:.4f} ± {candidate.standard_error:.4f}"
        table.add_row(
            candidate.method, score(metric, candidate.score), behind, "used" if candidate.chosen else ""
        )
    return table


def _worth(ensemble: Ensemble, assessment: Assessment) -> Table:
    metric = ensemble.selection.metric
    title = f"On images it was not selected on ({len(ensemble.pool.labels)}, cross-fitted; 95 % intervals)"
    table = make_table(title, "what")
    for column in (metric_label(metric), "interval", "the ensemble beats it by"):
        table.add_column(column, justify="right")
    own = assessment.estimate
    name = f"ensemble ({ensemble.selection.method})"
    interval = f"{score(metric, own.low)} to {score(metric, own.high)}"
    table.add_row(name, score(metric, own.score), interval, "")
    table.add_row(OPTIMISTIC, score(metric, ensemble.selection.score), "", "", style="dim")
    for rival in rivals(ensemble):
        table.add_row(RIVALS[rival.rival], score(metric, rival.rival_score), "", gain_of(rival, metric))
    return table
