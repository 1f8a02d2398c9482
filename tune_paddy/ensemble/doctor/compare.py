"""Before and after a correction of labels: two searches on the images that a person confirmed."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tune_paddy.core.arguments.suggestions import did_you_mean
from tune_paddy.core.doctor.before_after import LEAST_CONFIRMED, BeforeAfter, compare_searches
from tune_paddy.core.errors import InputError
from tune_paddy.data.labels.relabel import CONFIRMED, Correction, Wording
from tune_paddy.data.system.text import counted, percent, shown
from tune_paddy.ensemble.doctor.examine import Examination


def compare(
    earlier: Examination, later: Examination, corrections: Sequence[Correction], *, table: Path
) -> BeforeAfter:
    """Compare two searches on the images whose labels are marked as confirmed.

    Args:
        earlier: Search with the old labels.
        later: Search with the corrected labels.
        corrections: Rows of the table of corrected labels.
        table: Path of that table, for messages.

    Raises:
        InputError: The searches have other classes, too few confirmed images were judged by both, or a
            confirmed label is no class.
    """
    if set(earlier.pool.classes) != set(later.pool.classes):
        raise InputError(
            f"searches {earlier.search!r} and {later.search!r} have different classes and cannot be compared"
        )
    confirmed = {row.id: row.label for row in corrections if row.confirmed}
    before, after = _rows(earlier), _rows(later)
    names = sorted(name for name in confirmed if name in before and name in after)
    if len(names) < LEAST_CONFIRMED:
        raise InputError(
            f"{shown(table)}: {counted(len(confirmed), 'image')} marked in the column {CONFIRMED}, of which "
            f"{len(names)} were judged by both searches; mark at least {LEAST_CONFIRMED} images whose label "
            "you have checked, and search with `folds`, which judges every image"
        )
    classes, groups, task = later.pool.classes, later.pool.groups, later.pool.task
    wording = Wording.of_labels(task, classes, confirmed.values())
    for name in names:
        _require_classes(name, confirmed[name], wording, table)
    labels = task.encode([wording.text(confirmed[name]) for name in names], classes)
    return compare_searches(
        _predictions(earlier, before, names, classes),
        _predictions(later, after, names, classes),
        labels,
        groups=None if groups is None else groups[[after[name] for name in names]],
    )


def _require_classes(name: str, label: str, wording: Wording, table: Path) -> None:
    odd = wording.odd(label)
    if odd is not None:
        raise InputError(
            f"{shown(table)}: {shown(name)} has the confirmed label {shown(odd) or 'nothing'}, which is no "
            f"class of the searches{did_you_mean(odd, wording.classes)}: correct it"
        )


def describe(result: BeforeAfter, earlier: str, later: str) -> list[str]:
    """Return the comparison, one sentence a line, with the condition under which it holds."""
    gain = result.comparison
    span = f"{100 * gain.low:+.1f} to {100 * gain.high:+.1f} points"
    errors = f"{percent(result.before)} in {earlier}, {percent(result.after)} in {later}"
    each = " per label" if result.labels > 1 else ""
    what = (
        f"{counted(result.images, 'image')} with a confirmed label, predicted by models that have not seen "
        f"them: error{each} {errors} ({100 * gain.difference:+.1f} points, 95 % interval {span})"
    )
    condition = (
        "The images were listed because they are suspect: on others the difference is smaller; confirm a "
        "random sample too for a figure on all images"
    )
    return [what, condition]


def _rows(examined: Examination) -> dict[str, int]:
    return {name: row for row, name in enumerate(examined.pool.select_ids.tolist())}


def _predictions(
    examined: Examination, rows: dict[str, int], names: Sequence[str], classes: Sequence[str]
) -> NDArray[np.float64]:
    """Return predictions of some images, with the classes in a given order, float64 [images, classes]."""
    columns = [examined.pool.classes.index(name) for name in classes]
    return examined.diagnosis.predictions[[rows[name] for name in names]][:, columns]
