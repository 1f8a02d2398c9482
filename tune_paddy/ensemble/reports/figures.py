"""Figures of an ensemble: readable at a width of 1,000 pixels, and by colour-blind readers."""

import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LinearSegmentedColormap, to_rgba
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter, StrMethodFormatter
from numpy.typing import NDArray

from tune_paddy.core.diagnostics import confusion, count_found, disagreement, recalls, reliability
from tune_paddy.core.estimate import Assessment, wilson
from tune_paddy.core.metrics import log_loss, metric_label
from tune_paddy.core.predictions import Pool
from tune_paddy.core.selection.decisions import scored
from tune_paddy.core.selection.plain import greedy_select
from tune_paddy.core.selection.result import Selection
from tune_paddy.core.tasks.arrays import Labels
from tune_paddy.ensemble.frontier import Frontier
from tune_paddy.ensemble.reports.findings import describe_confusion, describe_recall, short

NAMES = (
    "selection_path",
    "disagreement",
    "confusion",
    "recall",
    "reliability",
    "frontier",
)
TRIAL_NAMES = ("live_ensemble", "cost", "footprint")
"""Figures of the trials, which every selection draws again."""

BLUE, ORANGE, GREY = "#0072B2", "#D55E00", "#777777"
"""Two of Okabe and Ito's colours, distinct for every kind of colour vision, and a neutral one."""
_SHADES = LinearSegmentedColormap.from_list("shades", [to_rgba(BLUE, 0), to_rgba(BLUE, 0.75)])
"""Colours of heat maps, from transparent: text of one colour is readable on all of them and on any page."""
WIDTH = 10.0
"""Width of figures in inches; 1,000 pixels at 100 dots per inch."""
_DPI = 100
_MOST_VIEWS = 30
"""Maximum number of views in the disagreement figure; more are not readable."""
_MOST_NUMBERS = 15
"""Maximum number of rows of a heat map with numbers in its cells."""
_MOST_NAMES = 45
"""Maximum number of classes with their names beside a figure."""
_ROUNDS, _LANES = 20, 12
"""Minimum number of rounds and maximum number of views in the figure of the greedy path."""


def draw_figures(
    pool: Pool, selection: Selection, assessment: Assessment | None = None, frontier: Frontier | None = None
) -> dict[str, Figure]:
    """Draw the figures of a pool; a pool with a single view gets no figure that compares views.

    Args:
        pool: Pool that the ensemble was selected from.
        selection: Selection from the pool.
        assessment: Cross-fitted predictions to show; None: show the predictions on the select split.
        frontier: Log loss against minutes, or None.

    Returns:
        Name → figure.
    """
    figures = {}
    if len(pool.views) > 1:
        figures["selection_path"] = draw_path(pool, selection)
        figures["disagreement"] = draw_disagreement(pool, selection)
    if assessment is None:
        predictions, source = selection.blend(pool.select), "the images it was selected on: optimistic"
        decisions = scored(selection, predictions)
    else:
        predictions, source = assessment.predictions, "cross-fitted: by ensembles selected without the image"
        decisions = assessment.decisions
    source = f"{len(pool.labels)} images of the select split, {source}"
    if not pool.task.independent:  # several labels of an image are not taken for each other
        figures["confusion"] = draw_confusion(decisions, pool.labels, pool.classes, source)
    figures["recall"] = draw_recall(decisions, pool.labels, pool.classes, source)
    figures["reliability"] = draw_reliability(predictions, pool.labels, source)
    if frontier is not None and len(frontier.points) > 1:
        figures["frontier"] = draw_frontier(frontier, len(pool.test_ids))
    return figures


def write_figures(figures: Mapping[str, Figure], folder: Path) -> None:
    """Write figures as `NAME.png`, and delete figures of an earlier selection that are not drawn again.

    Args:
        figures: Name, one of `NAMES` and `TRIAL_NAMES` → figure.
        folder: Output folder; created if missing.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name in (*NAMES, *TRIAL_NAMES):
        if name in figures:
            _write_png(figures[name], folder / f"{name}.png")
        else:
            (folder / f"{name}.png").unlink(missing_ok=True)


def _write_png(figure: Figure, path: Path) -> None:
    figure.set_dpi(_DPI)
    # `savefig` would draw the whole figure twice, first only for the layout.
    canvas: Any = FigureCanvasAgg(figure)
    with warnings.catch_warnings():
        # A class name may have characters that the font lacks; they are drawn as boxes.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font", category=UserWarning)
        canvas.print_png(path)
    figure.set_layout_engine(None)  # the layout is found: drawing again for the report keeps it


def draw_path(pool: Pool, selection: Selection) -> Figure:
    """Draw the score after each greedy round and the view it added.

    For an ensemble of another method, draw greedy selection's rounds for comparison.
    """
    greedy = selection
    if not selection.order:
        greedy = greedy_select(pool.select, pool.labels, metric=selection.metric)
    shown = min(len(greedy.order), max(_ROUNDS, greedy.kept + 5))
    rounds = np.arange(1, shown + 1)
    figure = Figure(figsize=(WIDTH, 7), layout="constrained")
    scores, lanes = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
    scores.plot(rounds, greedy.trajectory[:shown], "o-", color=BLUE, label="greedy, after each round")
    scores.axvline(greedy.kept, color=GREY, linestyle="--", label=f"best prefix: {greedy.kept} rounds")
    if greedy is not selection:
        scores.axhline(selection.score, color=ORANGE, label=f"the selected ensemble ({selection.method})")
    metric = metric_label(selection.metric)
    scores.set_ylabel(f"{metric}\non the select split (optimistic)")
    scores.legend(loc="upper right")
    scores.grid(axis="y", alpha=0.3)
    _draw_lanes(lanes, pool, greedy.order[:shown], greedy.kept)
    ends = f"{greedy.trajectory[0]:.4f} to {greedy.trajectory[greedy.kept - 1]:.4f}"
    title = f"Greedy selection takes the {metric} from {ends} in {greedy.kept} rounds"
    add_title(figure, title if greedy is selection else f"For comparison: {title}")
    return figure


def decisions_word(pool: Pool) -> str:
    """Return what a view decides, for a person: predicted classes, or labels of images."""
    return "decisions on labels" if pool.task.independent else "predicted classes"


def _draw_lanes(axes: Axes, pool: Pool, order: Sequence[int], kept: int) -> None:
    """Draw one row per view, with a dot for each round that added it; hollow after the best prefix."""
    views = list(dict.fromkeys(order))
    names = [pool.views[view].name for view in views[:_LANES]]
    if len(views) > _LANES:
        names[-1] = f"{len(views) - _LANES + 1} others"
    rows = [min(views.index(view), len(names) - 1) for view in order]
    faces = [BLUE if number < kept else "white" for number in range(len(order))]
    axes.scatter(range(1, len(order) + 1), rows, c=faces, edgecolors=BLUE, zorder=2)
    axes.set_yticks(range(len(names)), names, fontsize=9)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlim(0, len(order) + 1)
    axes.set_xlabel("round (filled: kept)")
    axes.grid(axis="y", alpha=0.3)


def draw_disagreement(pool: Pool, selection: Selection) -> Figure:
    """Draw a heat map of the share of images for which two views predict different classes.

    Large pools are reduced to the views with the largest weights, then those with the lowest log loss.
    """
    losses = [log_loss(view, pool.labels) for view in pool.select]
    shown = np.lexsort((np.array(losses), -selection.weights))[:_MOST_VIEWS]
    shares = disagreement(pool.select[shown], pool.labels)
    apart = shares[~np.eye(len(shown), dtype=bool)]
    figure = Figure(figsize=(WIDTH, 2.2 + 0.3 * max(len(shown), 12)), layout="constrained")
    axes = figure.subplots()
    numbers = [str(number) for number in range(1, len(shown) + 1)]
    names = [f"{pool.views[view].name}  {n}" for n, view in zip(numbers, shown.tolist(), strict=True)]
    _draw_cells(axes, shares, names, numbers, [f"{100 * share:.0f}" for share in shares.flat])
    figure.colorbar(axes.images[0], ax=axes, aspect=40, format=PercentFormatter(1, decimals=0))
    axes.tick_params(axis="x", labelsize=9 if len(shown) <= _MOST_NUMBERS else 7)
    which = "all views" if len(shown) == len(pool.views) else f"{len(shown)} of {len(pool.views)} views"
    add_title(
        figure,
        f"Two views differ in {apart.min():.1%} to {apart.max():.1%} of their {decisions_word(pool)}",
        f"{which}, by weight; in % of {decisions_word(pool)}, {len(pool.labels)} images of the select split",
    )
    return figure


def draw_confusion(
    predictions: NDArray[np.float64], labels: Labels, classes: Sequence[str], source: str
) -> Figure:
    """Draw the confusion matrix, coloured by the root of each share so that single errors are visible.

    Args:
        predictions: Probabilities, float64 [images, classes].
        labels: Class indices, int [images].
        classes: Class names.
        source: Description of the images and predictions, for the subtitle.
    """
    counts = confusion(predictions, labels)
    totals = np.maximum(counts.sum(axis=1, keepdims=True), 1)
    figure = Figure(figsize=(WIDTH, 8.5), layout="constrained")
    axes = figure.subplots()
    texts = [str(count) if count else "" for count in counts.flat]
    many = len(classes) > _MOST_NUMBERS
    names = [escaped(short(name, 18 if many else 28)) for name in classes[: _MOST_NAMES + 1]]
    names = names if len(names) <= _MOST_NAMES else []
    _draw_cells(axes, np.sqrt(counts / totals), names, names, texts)
    if max(map(len, names), default=0) > 2:  # noqa: PLR2004 one or two digits fit side by side, names do not
        axes.tick_params(axis="x", rotation=90)
    if many:
        axes.tick_params(labelsize=8)
    axes.set_xlabel("predicted class")
    axes.set_ylabel("true class")
    add_title(figure, describe_confusion(counts, classes), source)
    return figure


def _draw_cells(
    axes: Axes, shares: NDArray[np.float64], rows: Sequence[str], columns: Sequence[str], texts: Iterable[str]
) -> None:
    """Draw a heat map, with numbers if there is room."""
    axes.imshow(shares, cmap=_SHADES, vmin=0, vmax=max(float(shares.max()), 1e-9), aspect="auto")
    axes.set_yticks(range(len(rows)), rows)
    axes.set_xticks(range(len(columns)), columns)
    if len(shares) > _MOST_NUMBERS:
        return
    for (row, column), text in zip(np.ndindex(shares.shape), texts, strict=True):
        cell = axes.text(column, row, text, ha="center", va="center", fontsize=9)
        cell.set_in_layout(False)  # it is inside the axes; measuring it would take half of the drawing time


def draw_recall(
    predictions: NDArray[np.float64], labels: Labels, classes: Sequence[str], source: str
) -> Figure:
    """Draw the recall of each class with Wilson's 95 % interval, the worst at the top.

    Args:
        predictions: Probabilities, float64 [images, classes].
        labels: Class indices, int [images], or 0 and 1, [images, labels].
        classes: Class names.
        source: Description of the images and predictions, for the subtitle.
    """
    counted = count_found(predictions, labels)
    found = recalls(counted)
    order = sorted(found, key=lambda label: (found[label].share, found[label].low))
    rows = np.arange(len(order))
    shares = np.array([found[label].share for label in order])
    low, high = (np.array([getattr(found[label], end) for label in order]) for end in ("low", "high"))
    figure = Figure(figsize=(WIDTH, 2 + 0.35 * max(8, min(len(order), _MOST_NAMES))), layout="constrained")
    axes = figure.subplots()
    axes.errorbar(shares, rows, xerr=[shares - low, high - shares], fmt="o", color=BLUE, capsize=4)
    overall = float(counted.hits.sum() / max(1, counted.images.sum()))
    axes.axvline(overall, color=ORANGE, linestyle="--", label=f"all classes together: {overall:.1%}")
    if len(order) <= _MOST_NAMES:
        axes.set_yticks(
            rows, [f"{escaped(short(classes[label]))} ({found[label].images})" for label in order]
        )
    axes.set_ylim(len(order) - 0.5, -0.5)
    axes.xaxis.set_major_formatter(PercentFormatter(1))
    axes.set_xlabel("recall: share of the class's images that are found; bars: 95 % intervals")
    axes.set_ylabel("class (images)")
    axes.grid(axis="x", alpha=0.3)
    axes.legend()
    add_title(figure, describe_recall(counted, classes), source)
    return figure


def draw_reliability(predictions: NDArray[np.float64], labels: Labels, source: str) -> Figure:
    """Draw the reliability diagram: accuracy against confidence, with 95 % intervals.

    Args:
        predictions: Probabilities, float64 [images, classes].
        labels: Class indices, int [images], or 0 and 1, [images, labels].
        source: Description of the images and predictions, for the subtitle.
    """
    bins = reliability(predictions, labels)
    figure = Figure(figsize=(WIDTH, 7), layout="constrained")
    axes, below = figure.subplots(2, 1, sharex=True, height_ratios=(4, 1))
    axes.plot([0, 1], [0, 1], "--", color=GREY, label="perfectly calibrated")
    ends = np.array([wilson(s, n) for s, n in zip(bins.accuracy.tolist(), bins.images.tolist(), strict=True)])
    bars = [bins.accuracy - ends[:, 0], ends[:, 1] - bins.accuracy]
    axes.errorbar(
        bins.confidence, bins.accuracy, yerr=bars, fmt="o", color=BLUE, capsize=4, label="the ensemble"
    )
    what = "decisions" if labels.ndim > 1 else "images"
    axes.set_ylabel(f"share of {what} that are right")
    axes.set_ylim(-0.02, 1.02)
    axes.grid(alpha=0.3)
    axes.legend(loc="upper left")
    _draw_bin_counts(below, bins.confidence, bins.images, what)
    claimed = float(bins.confidence @ bins.images / bins.images.sum())
    right = float(bins.accuracy @ bins.images / bins.images.sum())
    low, high = wilson(right, int(bins.images.sum()))
    truth = f"is right for {right:.1%} ({low:.1%} to {high:.1%})"
    error = f"calibration error (ECE) {bins.calibration_error:.1%}"
    add_title(figure, f"The ensemble claims {claimed:.1%} and {truth}: {error}", source)
    return figure


def _draw_bin_counts(
    axes: Axes, confidence: NDArray[np.float64], images: NDArray[np.intp], what: str
) -> None:
    axes.bar(confidence, images, width=0.03, color=BLUE)
    for x, count in zip(confidence.tolist(), images.tolist(), strict=True):
        axes.annotate(f"{count}", (x, count), ha="center", va="bottom", fontsize=9)
    axes.margins(y=0.3)
    axes.set_ylabel(what)
    axes.set_xlabel("probability given to the decision")


def draw_frontier(frontier: Frontier, n_images: int) -> Figure:
    """Draw log loss against the minutes to predict the test set, with each single view for comparison.

    Args:
        frontier: Frontier with at least 2 points.
        n_images: Number of images of the test set.
    """
    figure = Figure(figsize=(WIDTH, 6), layout="constrained")
    axes = figure.subplots()
    minutes = [point.minutes for point in frontier.points]
    losses = [point.log_loss for point in frontier.points]
    alone = np.array([(single.minutes, single.log_loss) for single in frontier.singles])
    axes.plot(*alone.T, ".", color=GREY, label="one view alone")
    axes.step(
        minutes, losses, "o-", where="post", color=BLUE, label="best weighted means (number of members)"
    )
    for point in frontier.points:
        at = (point.minutes, point.log_loss)
        axes.annotate(str(point.members), at, (6, 6), textcoords="offset points", fontsize=10)
    own = frontier.selected
    axes.plot(own.minutes, own.log_loss, "*", color=ORANGE, markersize=14, label="the selected ensemble")
    _scale_frontier(axes, [*minutes, own.minutes], [*losses, own.log_loss])
    axes.set_xlabel(f"minutes to predict {n_images} test images")
    axes.set_ylabel("log loss on the select split (optimistic)")
    axes.legend(loc="upper right")
    ends = [f"{loss:.4f} in {m:.2g}" for m, loss in ((minutes[0], losses[0]), (minutes[-1], losses[-1]))]
    add_title(figure, f"What time buys: log loss {ends[0]} minutes, {ends[1]}")
    return figure


def _scale_frontier(axes: Axes, minutes: Sequence[float], losses: Sequence[float]) -> None:
    """Scale the axes to the whole frontier; much worse views may lie outside the figure."""
    margin = 0.1 * (max(losses) - min(losses))
    axes.set_ylim(min(losses) - margin, max(losses) + 2 * margin)
    if max(minutes) > 10 * min(minutes):
        axes.set_xscale("log")
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:.3g}"))
    axes.grid(alpha=0.3)


def add_title(figure: Figure, title: str, detail: str = "") -> None:
    """Add a title that states the result, and a smaller subtitle that describes the data."""
    figure.suptitle(escaped(title), fontsize=13, fontweight="bold")
    if detail:
        figure.axes[0].set_title(detail, fontsize=10)


def escaped(text: str) -> str:
    r"""Escape dollar signs: matplotlib would read the text between two of them as a formula.

    >>> print(escaped("5 $ and 7 $"))
    5 \$ and 7 \$
    """
    return text.replace("$", r"\$")
