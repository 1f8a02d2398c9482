"""Figures for Python and notebooks: members of a pool, an ensemble among them, photographs of a dataset."""

from collections.abc import Mapping
from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image, ImageOps

from tune_paddy.core.metrics import get_metric, metric_label
from tune_paddy.core.predictions import Pool
from tune_paddy.core.scores.decided import hits_of
from tune_paddy.core.views import PLAIN
from tune_paddy.data.system.text import counted, four_digits
from tune_paddy.ensemble.reports.figures import BLUE, GREY, ORANGE, add_title

if TYPE_CHECKING:
    from tune_paddy.core.estimate import Estimate
    from tune_paddy.data.dataset import Dataset

_MOST_MEMBERS = 30
"""Maximum number of members in a figure; the best are drawn."""
_SIDE = 128
"""Longer side of a photograph in a figure, in px."""


class Plot(Figure):
    """A Matplotlib figure that a notebook shows whether or not it has imported pyplot."""

    def _repr_png_(self) -> bytes:
        content = BytesIO()
        self.savefig(content, format="png", dpi=100)
        return content.getvalue()


def draw_members(
    pool: Pool,
    *,
    metric: str = "log_loss",
    weights: Mapping[str, float] | None = None,
    estimate: "Estimate | None" = None,
) -> Plot:
    """Draw the score of each member, plain and with test-time augmentation, the best at the top.

    Args:
        pool: Pool of the members.
        metric: Metric to draw, a key of `METRICS`.
        weights: Name of a member → its ensemble weight, to write beside it; None: no ensemble.
        estimate: Score of the ensemble on new images, as a line with its 95 % interval, or None.
    """
    score = get_metric(metric)
    scores: dict[str, dict[str, float]] = {}
    for view, probs in zip(pool.views, pool.select, strict=True):
        scores.setdefault(view.member, {})[view.kind] = score(probs, pool.labels)
    names = sorted(scores, key=lambda name: min(scores[name].values()))
    shown = names[:_MOST_MEMBERS]
    figure = Plot(figsize=(9, 1.8 + 0.3 * max(len(shown), 4)), layout="constrained")
    axes = figure.subplots()
    _draw_scores(axes, [scores[name] for name in shown])
    labels = [name if weights is None else f"{name}  {weights.get(name, 0):.3f}" for name in shown]
    axes.set_yticks(range(len(shown)), labels, fontsize=9)
    axes.set_xlabel(
        f"{metric_label(metric)} on the select split"
        + ("; beside a name: its ensemble weight" if weights else "")
    )
    if estimate is not None:
        axes.axvspan(estimate.low, estimate.high, color=ORANGE, alpha=0.15)
        axes.axvline(estimate.score, color=ORANGE, label="ensemble, on new images, with its interval")
    figure.legend(loc="outside lower center", ncols=3, fontsize=9)
    best = min(scores[names[0]].values())
    title = f"Best of {counted(len(names), 'member')}: {names[0]}, {metric_label(metric)} {four_digits(best)}"
    if estimate is not None:
        own = four_digits(estimate.score)
        title = f"Ensemble: {own} on new images; best member on the select split: {four_digits(best)}"
    add_title(figure, title)
    return figure


def _draw_scores(axes: Axes, rows: list[dict[str, float]]) -> None:
    kinds = sorted({kind for row in rows for kind in row}, key=lambda kind: (kind != PLAIN, kind))
    for number, kind in enumerate(kinds):
        points = [(row[kind], place) for place, row in enumerate(rows) if kind in row]
        label = "plain" if kind == PLAIN else "with test-time augmentation"
        # A hollow diamond on a dot: equal scores stay visible.
        style = ({"color": BLUE}, {"facecolors": "none", "edgecolors": GREY, "marker": "D", "s": 60})[
            min(number, 1)
        ]
        axes.scatter(*zip(*points, strict=True), label=label, zorder=2 + number, **style)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.grid(alpha=0.3)


def draw_images(dataset: "Dataset", *, per_class: int = 2, classes: int = 10) -> Plot:
    """Draw photographs of a dataset: a column per class, the first images of each.

    Args:
        dataset: Opened dataset.
        per_class: Number of images of each class.
        classes: Maximum number of classes; the first ones in the dataset's order.
    """
    shown = dataset.classes[:classes]
    figure = Plot(figsize=(0.95 * len(shown), 0.3 + 0.95 * per_class), layout="constrained")
    grid = np.atleast_2d(figure.subplots(per_class, len(shown), squeeze=False))
    labels = dataset.task.encode(dataset.labelled["label"].tolist(), dataset.classes)
    members = hits_of(labels, len(dataset.classes))
    for number, (column, name) in enumerate(zip(grid.T, shown, strict=True)):
        paths = dataset.labelled["path"][members[:, number]]
        for axes in column:
            axes.set_axis_off()
        for axes, path in zip(column, paths, strict=False):
            axes.imshow(_thumbnail(path))
        column[0].set_title(name if len(name) <= 16 else f"{name[:15]}…", fontsize=8, parse_math=False)  # noqa: PLR2004 a column's width
    return figure


def _thumbnail(path: str) -> Image.Image:
    with Image.open(path) as image:
        image.draft("RGB", (_SIDE, _SIDE))
        small = ImageOps.exif_transpose(image).convert("RGB")
    small.thumbnail((_SIDE, _SIDE))
    return small
