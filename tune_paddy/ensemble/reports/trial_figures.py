"""Figures of the trials of a search: cost, growth of the ensemble, GPU memory."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter, StrMethodFormatter

from tune_paddy.core.timing.gains import Expected
from tune_paddy.ensemble.reports.figures import BLUE, GREY, ORANGE, TRIAL_NAMES, WIDTH, add_title
from tune_paddy.ensemble.reports.outlook import expected_of
from tune_paddy.tracking.context.costs import trial_cost
from tune_paddy.tracking.ensembles import read_live_points
from tune_paddy.tracking.runs import RecordedRun, read_timed_curve
from tune_paddy.tracking.store import Store
from tune_paddy.tracking.ui.layout import GPU_SECONDS, LIVE

LIVE_CURVE, COST, FOOTPRINT = TRIAL_NAMES

_HOURS = 2
"""Number of hours from which a time axis is in hours; below it is in minutes."""
_MOST_COUNTS = 20
"""Maximum number of points with the number of members beside them."""
_MANY_DECADES = 10
"""Ratio of the largest to the smallest cost above which the axis is logarithmic."""


def draw_trials(
    store: Store,
    searches: Sequence[RecordedRun],
    members: Sequence[RecordedRun],
    weights: Mapping[str, float],
) -> dict[str, Figure]:
    """Draw the figures of the trials for which the record has values.

    Args:
        store: The record.
        searches: Searches that the ensemble was selected from; the live curve is that of the first.
        members: Members of all these searches, of any outcome.
        weights: Run id of a member → its ensemble weight.

    Returns:
        Name → figure.
    """
    figures = {}
    owners = {search.name: search for search in searches}
    scored = [member for member in members if _error(member) is not None]
    if scored:
        figures[COST] = draw_costs([(m, *trial_cost(owners[m.search], m)) for m in scored], weights)
    first = searches[0]
    points = {n: read_timed_curve(store, first.run_id, LIVE + n) for n in ("log_loss", "error_rate")}
    if len(points["log_loss"]) > 1:
        curves = {n: {step: value for step, (_, value) in curve.items()} for n, curve in points.items()}
        timed = read_live_points(store, first.run_id)
        if timed.keys() == curves["log_loss"].keys():
            hours = {step: seconds / 3600 for step, (seconds, _) in timed.items()}
            figures[LIVE_CURVE] = draw_live(curves, hours, expected=expected_of(first, list(timed.values())))
        else:  # an earlier version recorded some of the points
            times = {step: (when - first.started) / 3600 for step, (when, _) in points["log_loss"].items()}
            figures[LIVE_CURVE] = draw_live(curves, times, pauses=True)
    measured = [member for member in members if "memory/forecast_mib" in member.metrics]
    if measured:
        figures[FOOTPRINT] = draw_footprint(measured)
    return figures


def draw_costs(trials: Sequence[tuple[RecordedRun, str, float]], weights: Mapping[str, float]) -> Figure:
    """Draw the error of each trial against its cost, and the lowest error up to each cost.

    Args:
        trials: Run, name of the cost metric and cost of each trial; each has an error.
        weights: Run id of a member → its ensemble weight.
    """
    costs = np.array([cost for _, _, cost in trials])
    errors = np.array([_error(member) for member, _, _ in trials], np.float64)
    selected = np.array([weights.get(member.run_id, 0) > 0 for member, _, _ in trials])
    finished = np.array([member.outcome == "finished" for member, _, _ in trials])
    unit = "GPU-seconds" if any(name == GPU_SECONDS for _, name, _ in trials) else "CPU-seconds"
    figure = Figure(figsize=(WIDTH, 6), layout="constrained")
    axes = figure.subplots()
    order = np.lexsort((errors, costs))
    best = np.minimum.accumulate(errors[order])
    axes.step(costs[order], best, where="post", color=GREY, label="lowest error up to this cost")
    for rows, marker, color, label in (
        (selected, "o", BLUE, "in the ensemble"),
        (finished & ~selected, "o", "white", "finished, left out"),
        (~finished, "x", ORANGE, "not finished, last error"),
    ):
        if rows.any():
            style: dict[str, Any] = {"marker": marker, "s": 60, "zorder": 2, "label": label}
            if marker == "x":
                axes.scatter(costs[rows], errors[rows], color=color, **style)
            else:
                axes.scatter(costs[rows], errors[rows], color=color, edgecolors=BLUE, **style)
    for row in order[np.append(True, np.diff(best) < 0)][-4:]:
        axes.annotate(
            shorten_name(trials[row][0].name),
            (costs[row], errors[row]),
            (8, 6),
            textcoords="offset points",
            fontsize=9,
        )
    if costs.min() > 0 and costs.max() > _MANY_DECADES * costs.min():
        axes.set_xscale("log")
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.6g}"))
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    axes.set_ylim(bottom=0)
    axes.margins(x=0.15)
    axes.set_xlabel(f"{unit} of the trial")
    axes.set_ylabel("error rate on the select split")
    axes.grid(alpha=0.3)
    axes.legend(loc="upper right")
    cheapest = int(order[best.argmin()])
    price = f"{costs[cheapest]:,.0f} of {costs.sum():,.0f} {unit}"
    add_title(figure, f"The lowest error, {errors.min():.2%}, took {price}")
    return figure


def draw_live(
    curves: Mapping[str, Mapping[int, float]],
    hours: Mapping[int, float],
    *,
    pauses: bool = False,
    expected: Expected | None = None,
) -> Figure:
    """Draw the greedy ensemble's log loss and error rate against the time of the search.

    Args:
        curves: `log_loss` and `error_rate` → number of finished members → value.
        hours: Number of finished members → time since the start of the search, in hours.
        pauses: Whether the times include pauses between sessions.
        expected: Log loss that further time is expected to bring, drawn with its 80 % interval; None: none.
    """
    unit, factor = ("hours", 1.0) if max(hours.values()) >= _HOURS else ("minutes", 60.0)
    figure = Figure(figsize=(WIDTH, 6), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True)
    for axes, name, form in ((upper, "log_loss", None), (lower, "error_rate", PercentFormatter(1))):
        steps = sorted(curves[name])
        times = [factor * hours[step] for step in steps]
        values = [curves[name][step] for step in steps]
        axes.step(times, values, "o-", where="post", color=BLUE)
        if axes is upper and len(steps) <= _MOST_COUNTS:
            for step, *at in zip(steps, times, values, strict=True):
                axes.annotate(str(step), at, (5, 5), textcoords="offset points", fontsize=9)
        axes.set_ylabel(name.replace("_", " "))
        axes.grid(alpha=0.3)
        if form is not None:
            axes.yaxis.set_major_formatter(form)
    if expected is not None:
        _draw_expected(upper, expected, factor / 3600, max(hours.values()) * factor)
    counted = "since the search started, pauses included" if pauses else "of search"
    numbers = " (numbers: finished members)" if len(curves["log_loss"]) <= _MOST_COUNTS else ""
    lower.set_xlabel(f"{unit} {counted}{numbers}")
    losses = [curves["log_loss"][step] for step in sorted(curves["log_loss"])]
    detail = "greedy ensemble of the members so far, on the images it was chosen on: optimistic"
    add_title(
        figure,
        f"As members finished, a greedy ensemble's log loss went from {losses[0]:.4f} to {losses[-1]:.4f}",
        detail,
    )
    return figure


def _draw_expected(axes: Axes, expected: Expected, factor: float, last: float) -> None:
    """Draw an expected loss, its interval and a line from the last point, `last` on the time axis."""
    at = expected.seconds * factor
    ends = [[expected.loss - expected.low], [expected.high - expected.loss]]
    axes.plot([last, at], [expected.now, expected.loss], ":", color=ORANGE)
    label = f"expected: {expected.loss:.4f} ({expected.low:.4f} to {expected.high:.4f}, 80 %)"
    axes.errorbar([at], [expected.loss], yerr=ends, fmt="s", color=ORANGE, capsize=4, label=label)
    axes.legend(loc="upper right")


def draw_footprint(members: Sequence[RecordedRun]) -> Figure:
    """Draw measured against forecast memory.

    Args:
        members: Members with the metrics `memory/forecast_mib` and `memory/measured_mib`.
    """
    forecast, measured = (
        np.array([member.metrics[f"memory/{name}_mib"] for member in members])
        for name in ("forecast", "measured")
    )
    figure = Figure(figsize=(WIDTH, 6), layout="constrained")
    axes = figure.subplots()
    ends = np.array([0.0, 1.1 * max(forecast.max(), measured.max())])
    axes.plot(ends, ends, color=GREY, label="as forecast")
    axes.fill_between(ends, 0.9 * ends, 1.1 * ends, color=GREY, alpha=0.15, label="within 10 %")
    axes.plot(forecast, measured, "o", color=BLUE, label="a member")
    axes.set_xlabel("forecast of the process, MiB")
    axes.set_ylabel("measured, MiB")
    _thousands(axes)
    axes.set_xlim(0, ends[1])
    axes.set_ylim(0, ends[1])
    axes.grid(alpha=0.3)
    axes.legend(loc="upper left")
    ratios = measured / forecast
    span = f"{ratios.min():.2f} to {ratios.max():.2f} times their forecast"
    add_title(figure, f"Members took {span} of memory; the median is {np.median(ratios):.2f}")
    return figure


def _thousands(axes: Axes) -> None:
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))


def _error(member: RecordedRun) -> float | None:
    """Return a member's error rate without test-time augmentation, or that of its last epoch, or None."""
    error = member.metrics.get("plain/error_rate", member.metrics.get("error_rate", np.nan))
    return None if np.isnan(error) else error


def shorten_name(name: str) -> str:
    """Return a member's name without the long tag of its pretrained weights.

    >>> shorten_name("0003-convnext_large.fb_in22k-320x224")
    '0003-convnext_large-320x224'
    """
    head, dot, tail = name.partition(".")
    return head + "".join(tail.partition("-")[1:]) if dot else name
