"""Columns of a table whose equal values give the label away, such as a patient or a plant.

If images of one patient are on both sides of a split, a model can recognise the patient instead of the
disease, and its score is too good. A column is pointed out if the other images with its value predict the
label of an image much better than the most frequent label does.
"""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from tune_paddy.data.system.text import counted, shown

_LEAST_GAIN = 0.5
"""Least share of the mistakes of the most frequent label that the column's values avoid."""
_LEAST_REPEATED = 0.5
"""Least share of images whose value other images have, too."""
_OURS = ("id", "path", "label")


def group_hints(labelled: pd.DataFrame, *, used: tuple[str | None, ...] = ()) -> Iterator[str]:
    """Yield a sentence for each column that may be one of groups.

    Args:
        labelled: Labelled images with the columns id, path, label and further ones of a table.
        used: Columns that are groups or parts already.
    """
    for column in labelled.columns:
        if column not in (*_OURS, *used):
            values = labelled[column].astype(str)
            right, usual = _predicted(values, labelled["label"]), _most_frequent(labelled["label"])
            if _repeats(values, labelled["label"]) and right - usual >= _LEAST_GAIN * (1 - usual):
                yield (
                    f"column {shown(str(column))}: {counted(values.nunique(), 'value')} for "
                    f"{counted(len(values), 'image')}, and images with an equal value have the same label in "
                    f"{100 * right:.0f} % ({100 * usual:.0f} % by the largest class); if it names what was "
                    f"photographed, such as a patient, keep its images together with `group={column}`"
                )


def _repeats(values: "pd.Series[str]", labels: "pd.Series[str]") -> bool:
    """Return whether values repeat, but are more than another name of the labels."""
    repeated = values.map(values.value_counts()) > 1
    several_values = values.groupby(labels).nunique()
    return bool(repeated.mean() >= _LEAST_REPEATED and (several_values > 1).mean() > 0.5)  # noqa: PLR2004 most


def _predicted(values: "pd.Series[str]", labels: "pd.Series[str]") -> float:
    """Return the share of images whose label is the most frequent one among the others with their value."""
    table = pd.crosstab(values, labels)
    counts = table.to_numpy()
    rows, columns = table.index.get_indexer(pd.Index(values)), table.columns.get_indexer(pd.Index(labels))
    others = counts[rows].copy()
    own = np.arange(len(rows))
    others[own, columns] -= 1
    best = others.max(axis=1)
    hit = (others[own, columns] == best) & (best > 0)
    ties = np.maximum((others == best[:, None]).sum(axis=1), 1)
    return float((hit / ties).mean())


def _most_frequent(labels: "pd.Series[str]") -> float:
    return float(labels.value_counts(normalize=True).iloc[0])
