"""Values of the columns that keep labelled images together, or define their split."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class SideColumns:
    """Values of the columns, for each labelled image.

    Attributes:
        groups: Id → value of the column `group`, stripped; "": unknown; empty without the option.
        parts: Id → value of the column `split_column`; empty without the option.
        names: Option → name of its column, as the table has it.
        table: Name of their table; "": no option was given.
    """

    groups: Mapping[str, str] = field(default_factory=dict)
    parts: Mapping[str, str] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict)
    table: str = ""
