"""What the select split of an ensemble cannot judge, in words."""

from collections.abc import Sequence

import numpy as np

from tune_paddy.core.predictions import Pool
from tune_paddy.data.labels.balance import describe_balance
from tune_paddy.data.split import FEW
from tune_paddy.data.system.text import counted, shown

_NAMED = 5
"""Maximum number of classes that a sentence names; it counts the rest."""


def caveats(pool: Pool) -> tuple[str, ...]:
    """Return one sentence per limit of the scores, with the names of the classes; empty if there is none.

    Args:
        pool: Pool that the ensemble was selected from.
    """
    counts = pool.task.counts(pool.labels, len(pool.classes))
    absent = [pool.classes[code] for code in np.flatnonzero(counts == 0)]
    few = [pool.classes[code] for code in np.flatnonzero((counts > 0) & (counts < FEW))]
    found = []
    if absent:
        found.append(f"Not judged, without an image in the select split: {_named(absent)}.")
    if few:
        found.append(f"Hardly judged, by fewer than {FEW} images each: {_named(few)}.")
    images = len(pool.labels) if pool.task.independent else None
    balance = describe_balance(dict(zip(pool.classes, counts.tolist(), strict=True)), images=images)
    if balance:
        found.append(f"{balance[0].upper()}{balance[1:]}.")
    chosen = len({view.member for view in pool.views if view.params.get("keep") == "best"})
    if chosen:
        found.append(
            f"The select split also chose the epoch of {counted(chosen, 'member')} (keep: best), so scores "
            "on it are slightly optimistic."
        )
    return tuple(found)


def _named(classes: Sequence[str]) -> str:
    names = [shown(name) for name in classes[:_NAMED]]
    rest = [f"{len(classes) - _NAMED} more"] if classes[_NAMED:] else []
    return f"{counted(len(classes), 'class', 'classes')} ({', '.join(names + rest)})"
