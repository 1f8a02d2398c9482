"""Balance of the classes in words: how unequal they are, and what that does to metrics."""

from collections.abc import Mapping

from tune_paddy.data.system.text import counted, shown

UNEQUAL = 5.0
"""Ratio of the largest to the smallest class from which it matters."""

METRIC = "balanced_error"
"""Metric that weighs every class alike."""

METRIC_OF_LABELS = "macro_f1"
"""The same for several labels an image."""


def describe_balance(counts: Mapping[str, int], *, images: int | None = None) -> str:
    """Return a sentence on unequal classes; empty if they are about equal.

    Args:
        counts: Class → number of images.
        images: Number of all images, where one may have any number of labels; None: each has one class.
    """
    present = {name: count for name, count in counts.items() if count}
    if len(present) < 2:  # noqa: PLR2004 nothing to compare
        return ""
    largest, smallest = max(present, key=present.__getitem__), min(present, key=present.__getitem__)
    ratio = present[largest] / present[smallest]
    if ratio < UNEQUAL:
        return ""
    what = (
        f"{shown(largest)} has {counted(present[largest], 'image')}, {ratio:,.0f} times as many as "
        f"{shown(smallest)} ({present[smallest]:,})"
    )
    if images is None:
        return (
            f"unequal classes: {what}; {_by_class(shown(largest), present[largest] / sum(present.values()))}"
        )
    return f"unequal labels: {what}; {_by_label(shown(smallest), present[smallest] / images)}"


def _by_class(largest: str, share: float) -> str:
    return (
        f"answering {largest} for every image is right for {100 * share:.0f} %, so the error rate says "
        f"little about small classes; the metric {METRIC} weighs every class alike"
    )


def _by_label(smallest: str, share: float) -> str:
    return (
        f"never answering {smallest} is wrong about it in {100 * share:.2g} % of the images only, so the "
        f"error rate says little about rare labels; the metric {METRIC_OF_LABELS} weighs every label alike"
    )
