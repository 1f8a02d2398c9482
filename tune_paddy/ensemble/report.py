"""What a person sees of an ensemble in the terminal."""

from rich.console import Console
from rich.table import Table

from tune_paddy.core.selection import Selection
from tune_paddy.ensemble.build import Ensemble, member_weights


def print_ensemble(console: Console, ensemble: Ensemble) -> None:
    """Print the members with their weights, then the ensemble beside what it must beat."""
    console.print(_members(ensemble))
    for refusal in ensemble.pool.refused:
        console.print(f"left out: {refusal.member}: {refusal.reason}", style="yellow", markup=False)
    console.print(_comparison(ensemble))


def _members(ensemble: Ensemble) -> Table:
    table = Table(title="Members", title_justify="left")
    table.add_column("member")
    table.add_column("view")
    for column in ("weight", "log loss", "error", "seconds"):
        table.add_column(column, justify="right")
    totals = member_weights(ensemble)
    views = zip(ensemble.pool.views, ensemble.selection.weights, strict=True)
    for view, weight in sorted(views, key=lambda pair: (-totals[pair[0].run_id], pair[0].name)):
        info = view.info
        table.add_row(
            view.member,
            view.kind,
            f"{weight:.3f}" if weight > 0 else "",
            _number(info.get(f"{view.kind}/log_loss"), ".4f"),
            _number(info.get(f"{view.kind}/error_rate"), ".2%"),
            _number(info.get("train_seconds_total"), ".0f"),
            style=None if weight > 0 else "dim",
        )
    return table


def _comparison(ensemble: Ensemble) -> Table:
    n = len(ensemble.pool.labels)
    table = Table(title=f"On the select split ({n} images)", title_justify="left")
    table.add_column("")
    for column in ("views", "log loss", "error"):
        table.add_column(column, justify="right")
    rows: list[tuple[str, Selection]] = [
        (f"ensemble ({ensemble.selection.method})", ensemble.selection),
        ("best single member", ensemble.best_single),
        ("uniform average", ensemble.uniform),
    ]
    for name, selection in rows:
        scores = ensemble.scores(selection)
        used = int((selection.weights > 0).sum())
        table.add_row(name, str(used), f"{scores['log_loss']:.4f}", f"{scores['error_rate']:.2%}")
    return table


def _number(value: float | str | None, form: str) -> str:
    return format(value, form) if isinstance(value, float | int) else ""
