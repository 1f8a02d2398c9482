"""Sample submissions with several classes in a cell, for images of one class: the most probable ones.

Competitions judged by the mean average precision of the first k classes (MAP@k) have them.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from tune_paddy.core.errors import InputError
from tune_paddy.core.tasks.names import SEPARATOR
from tune_paddy.data.labels.texts import split_value
from tune_paddy.data.system.text import shown

_SEPARATORS = (" ", SEPARATOR, ";", ",")


@dataclass(frozen=True)
class Ranking:
    """Classes in a cell.

    Attributes:
        separator: Text between them.
        count: Largest number of them.
    """

    separator: str
    count: int


def find_ranking(values: Collection[str], classes: Sequence[str], *, where: str) -> Ranking | None:
    """Return how the cells of a sample hold several classes; None: they do not.

    Args:
        values: Different values of its only column after the ids, without empty ones.
        classes: Names of the classes.
        where: Name of the file, for the message.

    Raises:
        InputError: A cell holds several classes, but also a name that is none.
    """
    known = set(classes)
    if not values or any(value in known and len(value.split()) > 1 for value in values):
        return None
    for separator in _SEPARATORS:
        cells = {value: split_value(value, separator) for value in values}
        example = max(sorted(cells), key=lambda value: len(known.intersection(cells[value])))
        if len(known.intersection(cells[example])) > 1:
            strange = sorted({name for cell in cells.values() for name in cell} - known)
            if strange or any(len(set(cell)) < len(cell) for cell in cells.values()):
                raise _refusal(where, example, strange)
            return Ranking(separator, max(map(len, cells.values())))
    return None


def _refusal(where: str, example: str, strange: Sequence[str]) -> InputError:
    reason = f"{shown(strange[0])} is no class" if strange else "a class is named twice"
    return InputError(
        f"{where}: {shown(example)} holds several classes, but in its column {reason}: correct the file, "
        "write one class an image with `submission_form=labels`, or remove the file",
        options=("submission_form",),
    )
