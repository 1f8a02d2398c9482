"""A split that a column of the table defines: parts to train on and to select with, or folds.

Parts that are folders, such as `train` and `test`, are those of `data/layouts/parts.py`.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tune_paddy.core.errors import InputError
from tune_paddy.data.layouts.names import Role, are_parts, names_split, role_of
from tune_paddy.data.system.text import counted, shown

_TRUE = frozenset(("1", "1.0", "true", "t", "yes", "y"))
_FALSE = frozenset(("0", "0.0", "false", "f", "no", "n"))
_MOST_FOLDS = 20
"""Number of values above which a column is no column of folds."""
_TRAINING_NAMES = frozenset(("istrain", "istraining"))
"""Names, in small letters without separators, of columns whose 1 means to train on."""


@dataclass(frozen=True)
class GivenSplit:
    """Split that a column defines.

    Attributes:
        column: Name of the column.
        selected: Whether an image is in the select split, [images]; with folds, True for all.
        folds: Fold of each image, from 0, [images]; empty: one split.
        meaning: What the values mean, for a person.
        names: Value of each fold; empty: one split.
    """

    column: str
    selected: tuple[bool, ...]
    folds: tuple[int, ...]
    meaning: str
    names: tuple[str, ...] = ()

    @property
    def n_folds(self) -> int:
        """Number of folds; 0 without folds."""
        return max(self.folds, default=-1) + 1


def describe_unused(columns: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """Return a sentence on the first column that divides the images, but is not used; nothing without one.

    Args:
        columns: Column of a table that has no other meaning → its values.
    """
    for name, values in columns.items():
        counts = Counter(value.strip() for value in values)
        if 1 < len(counts) <= _MOST_FOLDS and (names_split(name) or are_parts(counts)):
            parts = ", ".join(
                f"{shown(value) or 'nothing'} {count:,}" for value, count in sorted(counts.items())[:3]
            )
            more = ", …" if len(counts) > 3 else ""  # noqa: PLR2004 as many are named
            note = (
                f"column {shown(name)} ({parts}{more}) divides the images, but is not used: all of them are "
                f"labelled images; `split_column={name}` uses it, if one part selects or if it holds folds"
            )
            return (note,)
    return ()


def read_parts(column: str, values: Sequence[str], place: str) -> GivenSplit:
    """Understand the values of a column that defines the split.

    Parts have names such as `train` and `valid`, or are 0 and 1. A column with `fold` in its name, or with
    more than two values, holds folds.

    Args:
        column: Name of the column.
        values: Value of each labelled image, [images].
        place: Name of the table.

    Raises:
        InputError: The values are neither parts nor folds, or one is missing.
    """
    counts = Counter(values)
    if not all(counts):
        raise _refusal(column, place, f"no value for {counted(counts[''], 'image')}; fill them in")
    if len(counts) == 1:
        raise _refusal(
            column, place, f"all images have the value {shown(values[0])}; at least two are needed"
        )
    roles = {value: role_of(value) for value in counts}
    if Role.TRAIN in roles.values():
        return _by_roles(column, values, roles, place)
    flags = {value.casefold() for value in counts}
    if flags <= _TRUE | _FALSE and _is_folds(column) is False:
        return _by_flags(column, values)
    if len(counts) <= _MOST_FOLDS:
        return _by_folds(column, values)
    raise _refusal(
        column,
        place,
        f"{len(counts):,} different values are neither parts, such as train and valid, nor up to "
        f"{_MOST_FOLDS} folds; name another column",
    )


def _is_folds(column: str) -> bool:
    return role_of(column) is Role.FOLD or "fold" in column.casefold()


def _by_roles(column: str, values: Sequence[str], roles: dict[str, Role | None], place: str) -> GivenSplit:
    """Return the split of values such as `train` and `valid`."""
    odd = [value for value, role in roles.items() if role not in (Role.TRAIN, Role.VALIDATION, Role.TEST)]
    if odd:
        raise _refusal(column, place, f"{shown(odd[0])} is no part such as train or valid; correct it")
    held = {role for role in roles.values() if role is not Role.TRAIN}
    if len(held) > 1:
        raise _refusal(
            column,
            place,
            "it has parts to train on, to validate with and to test; the select split is one part: give the "
            "images of the others another table, or one name",
        )
    names = [shown(value) for value, role in roles.items() if role is not Role.TRAIN]
    selected = tuple(roles[value] is not Role.TRAIN for value in values)
    return GivenSplit(column, selected, (), _meaning(selected, f"{' and '.join(names)} to select with"))


def _by_flags(column: str, values: Sequence[str]) -> GivenSplit:
    """Return the split of values such as 0 and 1."""
    trains = (
        "".join(filter(str.isalnum, column.casefold())) in _TRAINING_NAMES or role_of(column) is Role.TRAIN
    )
    held = _FALSE if trains else _TRUE
    selected = tuple(value.casefold() in held for value in values)
    value = next(value for value, chosen in zip(values, selected, strict=True) if chosen)
    return GivenSplit(column, selected, (), _meaning(selected, f"{shown(value)} to select with"))


def _by_folds(column: str, values: Sequence[str]) -> GivenSplit:
    """Return the folds of a column, numbered in the order of their names."""
    names = sorted(set(values), key=lambda value: (len(value), value))
    number = {value: fold for fold, value in enumerate(names)}
    folds = tuple(number[value] for value in values)
    sizes = Counter(folds)
    least, most = min(sizes.values()), max(sizes.values())
    meaning = f"{len(names)} folds of {f'{least:,} to ' if least < most else ''}{counted(most, 'image')}"
    return GivenSplit(column, (True,) * len(folds), folds, meaning, tuple(names))


def _meaning(selected: Sequence[bool], what: str) -> str:
    return f"{what}, {counted(sum(selected), 'image')}; {len(selected) - sum(selected):,} to train on"


def _refusal(column: str, place: str, problem: str) -> InputError:
    return InputError(
        f"{place}: column {shown(column)} (`split_column`): {problem}", options=("split_column",)
    )
