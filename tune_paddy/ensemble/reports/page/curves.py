"""Learning curves of the members: log loss against epoch."""

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, StrMethodFormatter

from tune_paddy.ensemble.reports.figures import BLUE, GREY, ORANGE, WIDTH, add_title
from tune_paddy.ensemble.reports.trial_figures import shorten_name
from tune_paddy.tracking.runs import RecordedRun, read_curve
from tune_paddy.tracking.store import Store

MOST = 30
"""Maximum number of curves: each is one request to the record."""
_BEST = ((BLUE, "o", "-"), (ORANGE, "s", "-"), (BLUE, "^", "--"), (ORANGE, "D", "--"))
"""Colour, marker and line style of the best members' curves."""
_WIDE = 20
"""Ratio of the largest to the smallest loss above which the axis is logarithmic."""

Curve = Mapping[int, float]


def read_curves(store: Store, members: Sequence[RecordedRun]) -> list[tuple[str, Curve]]:
    """Return name and curve of the finished members with the lowest log loss, the best first.

    Args:
        store: The record.
        members: Members of any outcome.

    Returns:
        Name, and epoch → log loss on the select split; members of a single epoch have no curve.
    """
    done = [member for member in members if member.outcome == "finished" and "log_loss" in member.metrics]
    done.sort(key=lambda member: (member.metrics["log_loss"], member.name))
    curves = [(member.name, read_curve(store, member.run_id, "log_loss")) for member in done[:MOST]]
    by_epoch = [(name, {epoch: loss for epoch, loss in curve.items() if epoch > 0}) for name, curve in curves]
    return [(name, curve) for name, curve in by_epoch if len(curve) > 1]


def draw_learning(curves: Sequence[tuple[str, Curve]], n_members: int, *, folded: bool = False) -> Figure:
    """Draw the log loss of each member against the epoch, the best members highlighted.

    Args:
        curves: Name and curve of members, the best first; each has at least 2 epochs.
        n_members: Number of all finished members.
        folded: Whether members are trained once per fold; epochs are then counted over all folds.
    """
    figure = Figure(figsize=(WIDTH, 6), layout="constrained")
    axes = figure.subplots()
    for number, (_, curve) in enumerate(curves[len(_BEST) :]):
        label = "_" if number else "other members"  # a leading underscore keeps a line out of the legend
        axes.plot(*_points(curve), color=GREY, linewidth=0.8, alpha=0.6, label=label)
    for (color, marker, line), (name, curve) in reversed(list(zip(_BEST, curves, strict=False))):
        epochs, losses = _points(curve)
        label = f"{shorten_name(name)}, {losses[-1]:.4f}"
        axes.plot(epochs, losses, line, marker=marker, color=color, markersize=5, label=label)
    values = [loss for _, curve in curves for loss in curve.values() if loss > 0]
    if values and max(values) > _WIDE * min(values):
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter(StrMethodFormatter("{x:.3g}"))
        axes.yaxis.set_minor_formatter(NullFormatter())
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("epoch, counted over all folds" if folded else "epoch")
    axes.set_ylabel("log loss on the select split")
    axes.grid(alpha=0.3)
    handles, labels = axes.get_legend_handles_labels()
    axes.legend(handles[::-1], labels[::-1], loc="upper right")
    last = sum(min(curve, key=lambda epoch: curve[epoch]) == max(curve) for _, curve in curves)
    shown = "" if len(curves) == n_members else f"{len(curves)} of {n_members} members, the best; "
    add_title(
        figure,
        "Each member starts anew with each fold"
        if folded
        else f"{last} of {len(curves)} members had their lowest log loss in the last epoch",
        f"{shown}without test-time augmentation; those with the lowest last loss are highlighted",
    )
    return figure


def _points(curve: Curve) -> tuple[list[int], list[float]]:
    epochs = sorted(curve)
    return epochs, [curve[epoch] for epoch in epochs]
