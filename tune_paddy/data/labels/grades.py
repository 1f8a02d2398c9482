"""Numbers of ordered classes: whether the steps between them are equal."""

import math
from collections.abc import Sequence
from itertools import pairwise

from tune_paddy.data.system.text import shown

_NAMED = 6
"""Number of grades that a note names."""


def note_gaps(grades: Sequence[str]) -> tuple[str, ...]:
    """Return a note on grades with unequal steps: metrics count grades, not the numbers.

    >>> note_gaps(["0", "1", "2"]), len(note_gaps(["0", "1", "4"]))
    ((), 1)

    Args:
        grades: Names of ordered classes, numbers in their order.
    """
    steps = [float(high) - float(low) for low, high in pairwise(grades)]
    if all(math.isclose(step, steps[0]) for step in steps):
        return ()
    names = ", ".join(map(shown, grades[:_NAMED])) + (", …" if len(grades) > _NAMED else "")
    note = (
        f"grades {names}: the steps between them are unequal, but metrics such as qwk count every step as 1; "
        "check that no grade is missing"
    )
    return (note,)
