"""Balance of the classes in words: how unequal they are, and what that does to metrics."""

from collections.abc import Mapping

from tune_paddy.data.system.text import counted, shown

UNEQUAL = 5.0
"""Ratio of the largest to the smallest class from which it matters."""

METRIC = "balanced_error"
"""Metric that weighs every class alike."""


def describe_balance(counts: Mapping[str, int]) -> str:
    """Return a sentence on unequal classes; empty if they are about equal.

    Args:
        counts: Class → number of images.
    """
    present = {name: count for name, count in counts.items() if count}
    if len(present) < 2:  # noqa: PLR2004 nothing to compare
        return ""
    largest, smallest = max(present, key=present.__getitem__), min(present, key=present.__getitem__)
    ratio = present[largest] / present[smallest]
    if ratio < UNEQUAL:
        return ""
    share = present[largest] / sum(present.values())
    return (
        f"unequal classes: {shown(largest)} has {counted(present[largest], 'image')}, {ratio:,.0f} times as "
        f"many as {shown(smallest)} ({present[smallest]:,}); answering {shown(largest)} for every image is "
        f"right for {100 * share:.0f} %, so the error rate says little about small classes; "
        f"`metric={METRIC}` weighs every class alike"
    )
