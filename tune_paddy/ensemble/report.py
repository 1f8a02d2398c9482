"""What a person sees of an ensemble in the terminal."""

from collections.abc import Iterator, Sequence

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from tune_paddy.core.estimate import Assessment, Comparison
from tune_paddy.core.predictions import PLAIN, TTA, View
from tune_paddy.ensemble.choose import member_groups
from tune_paddy.ensemble.chosen import Ensemble, member_weights
from tune_paddy.ensemble.frontier import Frontier

RIVALS = {"best_single": "best single member", "uniform": "uniform average", "fixed": "weights by hand"}
"""What an ensemble is compared with → its name for a person."""
_MOST_ROUNDS = 8
"""Greedy rounds that are printed; the figure shows more."""


def print_ensemble(console: Console, ensemble: Ensemble) -> None:
    """Print how the ensemble came about, then what it is worth, which so stands last on the screen."""
    for block in _blocks(ensemble):
        console.print(block, highlight=False)
        console.print()
    console.print(Text(answer(ensemble), style="bold"))


def _blocks(ensemble: Ensemble) -> Iterator[Table | Text]:
    selection = ensemble.selection
    yield _members(ensemble)
    yield Text("\n".join(_view_kinds(ensemble)))
    if ensemble.pool.refused:
        refused = (f"refused: {refusal.member}: {refusal.reason}" for refusal in ensemble.pool.refused)
        yield Text("\n".join(refused), style="yellow")
    if selection.order:
        yield _path(ensemble)
    if selection.gap is not None:
        yield Text(f"Optimality gap: other weights of a plain mean gain {selection.gap:.4f} nats at most.")
    if selection.candidates:
        yield _candidates(ensemble)
    if ensemble.frontier is not None:
        yield _frontier(ensemble.frontier, len(ensemble.pool.test_ids))
    if ensemble.assessment is not None:
        yield _worth(ensemble, ensemble.assessment)


def _members(ensemble: Ensemble) -> Table:
    """The views, those of the heaviest member first; the last column names a row by its number."""
    table = _table("Members")
    table.add_column("#", justify="right")
    table.add_column("member", overflow="fold")
    table.add_column("view")
    for column in ("weight", "log loss", "error", "without it", "errs like"):
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
            "" if contribution is None else f"{contribution:+.4f}",
            _errs_like(ensemble, number, order),
            style=None if chosen else "dim",
        )
    return table


def _table(title: str) -> Table:
    """A table without vertical lines, which leaves room for names on narrow screens."""
    return Table(
        title=title,
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        padding=(0, 1, 0, 0),
    )


def _errs_like(ensemble: Ensemble, number: int, order: Sequence[int]) -> str:
    """Why a view was left out: the row of the chosen one that it resembles, and how much."""
    redundancy = ensemble.redundancies.get(number)
    if redundancy is None:
        return ""
    return f"#{1 + order.index(redundancy.view)} ({redundancy.correlation:.2f})"


def _view_kinds(ensemble: Ensemble) -> Iterator[str]:
    """How often each kind of view was chosen, with what weight, and how often it outweighs the other."""
    views, groups = ensemble.pool.views, member_groups(ensemble.pool)
    by_kind = {kind: np.zeros(groups.max() + 1) for kind in (PLAIN, TTA)}
    for view, member, weight in zip(views, groups, ensemble.selection.weights, strict=True):
        by_kind[view.kind][member] += weight
    for kind, other in ((PLAIN, TTA), (TTA, PLAIN)):
        there = sum(view.kind == kind for view in views)
        if there:
            chosen = np.count_nonzero(by_kind[kind])
            ahead = int((by_kind[kind] > by_kind[other]).sum())
            yield (
                f"{kind} views: {chosen} of {there} chosen, weights sum to {by_kind[kind].sum():.3f}, "
                f"ahead of {other} in {ahead} of {groups.max() + 1} members"
            )


def _path(ensemble: Ensemble) -> Table:
    selection, views = ensemble.selection, ensemble.pool.views
    title = f"Greedy rounds: {selection.kept} of {len(selection.order)} kept"
    table = _table(title)
    table.add_column("round", justify="right")
    table.add_column("adds", overflow="fold")
    table.add_column(selection.metric.replace("_", " "), justify="right")
    rounds = list(range(selection.kept))
    for number in rounds if len(rounds) <= _MOST_ROUNDS else [*rounds[: _MOST_ROUNDS - 2], -1, rounds[-1]]:
        if number < 0:
            table.add_row("…", "…", "…")
        else:
            name = views[selection.order[number]].name
            table.add_row(str(number + 1), name, f"{selection.trajectory[number]:.4f}")
    return table


def _frontier(frontier: Frontier, n_images: int) -> Table:
    title = f"What time buys: best means for {n_images} test images"
    table = _table(title)
    table.add_column("")
    for column in ("members", "minutes", "MiB", "log loss (optimistic)"):
        table.add_column(column, justify="right")
    rows = [*(("", point) for point in frontier.points), ("the ensemble", frontier.selected)]
    for name, offer in rows:
        table.add_row(
            name, str(offer.members), f"{offer.minutes:.3g}", f"{offer.mib:.3g}", f"{offer.log_loss:.4f}"
        )
    return table


def _candidates(ensemble: Ensemble) -> Table:
    table = _table("Methods, cross-fitted: the simplest near the best")
    table.add_column("method")
    for column in (ensemble.selection.metric.replace("_", " "), "behind the best"):
        table.add_column(column, justify="right")
    table.add_column("")
    for candidate in ensemble.selection.candidates:
        behind = f"{candidate.difference:.4f} ± {candidate.standard_error:.4f}"
        table.add_row(candidate.method, f"{candidate.score:.4f}", behind, "used" if candidate.chosen else "")
    return table


def _worth(ensemble: Ensemble, assessment: Assessment) -> Table:
    metric = ensemble.selection.metric.replace("_", " ")
    title = f"On images it was not selected on ({len(ensemble.pool.labels)}, cross-fitted; 95 % intervals)"
    table = _table(title)
    table.add_column("")
    for column in (metric, "interval", "the ensemble beats it by"):
        table.add_column(column, justify="right")
    own = assessment.estimate
    name = f"ensemble ({ensemble.selection.method})"
    table.add_row(name, f"{own.score:.4f}", f"{own.low:.4f} to {own.high:.4f}", "")
    table.add_row("its optimistic score", f"{ensemble.selection.score:.4f}", "", "", style="dim")
    for rival in assessment.comparisons:
        gain = f"{-rival.difference:+.4f} ({-rival.high:+.4f} to {-rival.low:+.4f})"
        table.add_row(RIVALS[rival.rival], f"{rival.rival_score:.4f}", "", gain)
    return table


def answer(ensemble: Ensemble) -> str:
    """The ensemble in one or two sentences."""
    selection, assessment = ensemble.selection, ensemble.assessment
    members = len({v.member for v, w in zip(ensemble.pool.views, selection.weights, strict=True) if w > 0})
    subject = f"Ensemble of {members} member{'s' * (members > 1)} ({selection.method})"
    metric = selection.metric.replace("_", " ")
    if assessment is None:
        return (
            f"{subject}: {metric} {selection.score:.4f} on the images it was selected on: optimistic.\n"
            "No honest estimate can be made: a class has a single image in the select split."
        )
    own = assessment.estimate
    score = f"{metric} {own.score:.4f} on new images (95 %: {own.low:.4f} to {own.high:.4f})"
    return f"{subject}: {score}.\nIt {' and '.join(map(_verdict, assessment.comparisons))}."


def _verdict(rival: Comparison) -> str:
    """Whether a rival is beaten, and by how much; not where the interval holds 0."""
    name = f"the {RIVALS[rival.rival]}"
    if rival.high < 0:
        return f"beats {name} by {-rival.difference:.4f}"
    if rival.low > 0:
        return f"is worse than {name} by {rival.difference:.4f}"
    return f"cannot be told from {name}"


def _number(view: View, name: str, form: str) -> str:
    value = view.info.get(name)
    return format(value, form) if isinstance(value, float | int) else ""
