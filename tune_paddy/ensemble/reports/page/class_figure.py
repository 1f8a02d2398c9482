"""Figure of the ensemble's gain over the best single member, per class."""

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from tune_paddy.ensemble.reports.figures import BLUE, ORANGE, WIDTH, add_title, escaped
from tune_paddy.ensemble.reports.findings import short
from tune_paddy.ensemble.reports.page.gains import ClassGains, changed_classes

_MOST = 40
"""Maximum number of classes."""


def draw_gains(gains: ClassGains) -> Figure:
    """Draw the images of each class that the ensemble corrects and breaks, the largest gain at the top.

    Args:
        gains: Gains of all classes; at least one class has a difference.
    """
    shown = changed_classes(gains, _MOST)
    rows = np.arange(len(shown))
    corrected, broken = gains.corrected[shown], gains.broken[shown]
    figure = Figure(figsize=(WIDTH, 1.6 + 0.32 * max(len(shown), 4)), layout="constrained")
    axes = figure.subplots()
    right = axes.barh(rows, corrected, color=BLUE, label="only the ensemble is right")
    left = axes.barh(rows, -broken, color=ORANGE, label="only the best single member is right")
    for bars, counts in ((right, corrected), (left, broken)):
        axes.bar_label(bars, [str(count) if count else "" for count in counts], padding=3, fontsize=9)
    names = [f"{escaped(short(gains.classes[code]))} ({gains.images[code]})" for code in shown]
    axes.set_yticks(rows, names)
    axes.set_ylim(len(shown) - 0.4, -0.6)
    axes.margins(x=0.1)
    axes.axvline(0, color="black", linewidth=0.8)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.xaxis.set_major_formatter(lambda value, _: f"{abs(value):g}")
    axes.set_xlabel(f"{gains.what}, of the select split")
    axes.set_ylabel("class (images)")
    axes.grid(axis="x", alpha=0.3)
    axes.set_axisbelow(True)
    axes.legend(loc="lower right")
    add_title(figure, gains.finding, _detail(gains, len(shown)))
    return figure


def _detail(gains: ClassGains, shown: int) -> str:
    parts = ["both cross-fitted: chosen without the images that they are compared on"]
    moved = int(((gains.corrected + gains.broken) > 0).sum())
    if shown < moved:
        parts.append(f"the {shown} classes with most differences")
    if moved < len(gains.classes):
        parts.append(f"no difference in {len(gains.classes) - moved} of {len(gains.classes)} classes")
    return "; ".join(parts)
