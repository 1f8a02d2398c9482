"""Rules of a dataset for any split of it: groups that are not divided, and a split that a column defines.

They divide nothing: `data/split.py` makes the split by them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tune_paddy.core.errors import InputError
from tune_paddy.data.layouts.listing import Listing
from tune_paddy.data.sides.groups import describe_groups, join_groups, require_groups
from tune_paddy.data.sides.parts import GivenSplit, read_parts
from tune_paddy.data.system.text import counted, shown


@dataclass(frozen=True, eq=False)
class Sides:
    """Sides of the labelled images.

    Attributes:
        groups: int64 [labelled], equal for images that stay on one side.
        given: Split of a column, or None.
        groups_text: Description of the groups of a column; empty without one.
        split_text: Description of the given split; empty without one.
    """

    groups: NDArray[np.int64]
    given: GivenSplit | None
    groups_text: str
    split_text: str


def read_sides(listing: Listing, labelled: pd.DataFrame, copies: NDArray[np.int64]) -> Sides:
    """Read the sides of the images that remain after their check.

    Args:
        listing: Images with the values of the columns.
        labelled: Labelled images that remain.
        copies: int64 [labelled], equal for copies of each other.

    Raises:
        InputError: A column cannot divide the images.
    """
    ids, labels = labelled["id"].tolist(), labelled["label"].tolist()
    groups, groups_text, place = copies, "", shown(listing.sides.table)
    if listing.sides.groups:
        values, column = [listing.sides.groups[name] for name in ids], str(listing.options.group)
        require_groups(column, values, place)
        groups, groups_text = join_groups(copies, values), describe_groups(column, values, labels, place)
    if not listing.sides.parts:
        return Sides(groups, None, groups_text, "")
    column = str(listing.options.split_column)
    given = read_parts(column, [listing.sides.parts[name] for name in ids], place)
    if listing.sides.groups:
        values = [listing.sides.groups[name] for name in ids]
        _refuse_divided(given, values, str(listing.options.group), place)
    text = f"{place}, column {shown(column)}: {given.meaning}{_with_copies_elsewhere(given, groups)}"
    return Sides(groups, given, groups_text, text)


def _refuse_divided(given: GivenSplit, values: Sequence[str], column: str, place: str) -> None:
    """Refuse a given split that divides groups of a column."""
    sides = pd.Series(given.folds or given.selected).groupby(np.array(values, np.str_)).nunique()
    divided = [str(value) for value in sides.index[sides > 1] if value]
    if divided:
        raise InputError(
            f"{place}: column {shown(given.column)} (`split_column`) divides "
            f"{counted(len(divided), 'group')} of column {shown(column)} (`group`), such as "
            f"{shown(divided[0])}: correct it, or leave one option out",
            options=("split_column", "group"),
        )


def _with_copies_elsewhere(given: GivenSplit, groups: NDArray[np.int64]) -> str:
    """Return the number of images with copies on another side of a given split, for its description."""
    sides = pd.Series(given.folds or given.selected).groupby(groups)
    count = int((sides.transform("nunique") > 1).sum())
    return f"; {counted(count, 'image')} with copies on another side" if count else ""
