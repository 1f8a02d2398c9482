"""Options of reading a dataset; the import is cheap, since help screens are generated from them."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from tune_paddy.core.errors import InputError

FOLDERS = "folders"
"""Value of `labels`: the names of the folders are the labels, whatever tables there are."""

COPIES = ("near", "exact", "off")
"""Kinds of copies that stay on one side of the split; the first is the default."""

DATA = "Data"
"""Heading of the options in help screens."""


def _about(description: str) -> dict[str, Any]:
    return {"description": description, "group": DATA}


@dataclass(frozen=True)
class ReadOptions:
    """What a person says about a dataset; None: detected, or the default.

    The options of `tune-paddy search` and `tune-paddy data check`, and the reference, are generated from the
    fields' metadata. Paths are relative to the dataset or to the working folder.

    Raises:
        InputError: `copies` is unknown.
    """

    labels: str | None = field(
        default=None,
        metadata=_about("table that holds the labels; `folders`: the names of the folders are the labels"),
    )
    images: str | None = field(
        default=None,
        metadata=_about("folder of the labelled images; without a table each folder in it is a class"),
    )
    id_column: str | None = field(
        default=None, metadata=_about("column of the table that names the images, with or without suffix")
    )
    label_column: str | None = field(
        default=None, metadata=_about("column of the table that holds the labels")
    )
    copies: str | None = field(
        default=None,
        metadata=_about(
            "copies that stay on one side of the split: `near` (the default), also re-encoded ones; `exact`, "
            "identical files; `off`, none"
        ),
    )

    def __post_init__(self) -> None:
        if self.copies not in (None, *COPIES):
            raise InputError(
                f"copies {self.copies!r}: choose one of {', '.join(COPIES)}", options=("copies",)
            )

    def given(self) -> dict[str, Any]:
        """Return the options that are not None: name → value, for the record."""
        values = {option.name: getattr(self, option.name) for option in fields(self)}
        return {name: value for name, value in values.items() if value is not None}

    @classmethod
    def recorded(cls, values: Mapping[str, Any] | None) -> "ReadOptions":
        """Return the options of a record; unknown names are those of another version and are passed over."""
        known = {option.name for option in fields(cls)}
        return cls(**{name: str(value) for name, value in (values or {}).items() if name in known})


DETECTED = ReadOptions()
"""No option is given: everything is detected."""
