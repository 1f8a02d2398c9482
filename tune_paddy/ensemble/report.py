"""What a person sees of an ensemble in the terminal."""

from rich.console import Console
from rich.table import Table

from tune_paddy.core.estimate import Assessment
from tune_paddy.core.predictions import View
from tune_paddy.ensemble.build import Ensemble, member_weights
from tune_paddy.ensemble.choose import member_groups

_NAMES = {"best_single": "best single member", "uniform": "uniform average", "fixed": "weights by hand"}


def print_ensemble(console: Console, ensemble: Ensemble) -> None:
    """Print the members with their weights, why the rest were left out, and what the ensemble is worth."""
    console.print(_members(ensemble))
    for refusal in ensemble.pool.refused:
        console.print(f"refused: {refusal.member}: {refusal.reason}", style="yellow", markup=False)
    if ensemble.selection.candidates:
        console.print(_candidates(ensemble))
    if ensemble.assessment is not None:
        console.print(_worth(ensemble, ensemble.assessment))
    else:
        console.print("No estimate of its quality: a class has a single image in the select split.")


def _members(ensemble: Ensemble) -> Table:
    table = Table(title="Members", title_justify="left")
    table.add_column("member", overflow="fold")
    table.add_column("view")
    for column in ("weight", "log loss", "error", "without it"):
        table.add_column(column, justify="right")
    table.add_column("why not", overflow="fold")
    groups, totals = member_groups(ensemble.pool), member_weights(ensemble)
    rows = list(enumerate(zip(ensemble.pool.views, ensemble.selection.weights, strict=True)))
    for number, (view, weight) in sorted(rows, key=lambda row: (-totals[row[1][0].run_id], row[1][0].name)):
        contribution = ensemble.contributions.get(int(groups[number])) if weight > 0 else None
        table.add_row(
            view.member,
            view.kind,
            f"{weight:.3f}" if weight > 0 else "",
            _number(view, f"{view.kind}/log_loss", ".4f"),
            _number(view, f"{view.kind}/error_rate", ".2%"),
            "" if contribution is None else f"{contribution:+.4f}",
            _why_not(ensemble, number),
            style=None if weight > 0 else "dim",
        )
    return table


def _why_not(ensemble: Ensemble, number: int) -> str:
    redundancy = ensemble.redundancies.get(number)
    if redundancy is None:
        return ""
    like = ensemble.pool.views[redundancy.view].name
    return f"errs like {like} ({redundancy.correlation:.2f})"


def _candidates(ensemble: Ensemble) -> Table:
    table = Table(
        title="Selection methods, cross-fitted; the simplest near the best is used", title_justify="left"
    )
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
    table = Table(title=title, title_justify="left")
    table.add_column("")
    for column in (metric, "interval", "the ensemble beats it by"):
        table.add_column(column, justify="right")
    own = assessment.estimate
    name = f"ensemble ({ensemble.selection.method})"
    table.add_row(name, f"{own.score:.4f}", f"{own.low:.4f} to {own.high:.4f}", "")
    for rival in assessment.comparisons:
        gain = f"{-rival.difference:+.4f} ({-rival.high:+.4f} to {-rival.low:+.4f})"
        table.add_row(_NAMES[rival.rival], f"{rival.rival_score:.4f}", "", gain)
    return table


def _number(view: View, name: str, form: str) -> str:
    value = view.info.get(name)
    return format(value, form) if isinstance(value, float | int) else ""
