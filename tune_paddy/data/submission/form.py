"""Form of a submission: its columns, and what each of them holds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from tune_paddy.core.errors import InputError
from tune_paddy.data.system.text import counted, shown

SAMPLE = "sample_submission.csv"
"""File of a dataset that determines the test images of a submission, their order and the columns."""

_NAMED = 3
"""Number of classes that a description names."""


class Kind(StrEnum):
    """What the columns after the ids hold."""

    LABELS = "labels"
    PROBABILITIES = "probabilities"
    PROBABILITY = "probability"
    JOINED = "joined"
    RANKED = "ranked"

    @property
    def is_numeric(self) -> bool:
        """Whether the columns hold probabilities."""
        return self in (Kind.PROBABILITIES, Kind.PROBABILITY)


@dataclass(frozen=True)
class SubmissionFormat:
    """Columns of a submission and their content; the defaults are those of Paddy Doctor.

    The defaults apply to a dataset without a table; a sample or a table of labels has names of its own.

    Attributes:
        id_column: Name of the first column, of the image ids.
        label_column: Name of the only other column; without use for a column per class.
        kind: `labels`: the class of each image; `probabilities`: a column per class; `probability`: one
            column, for one of two classes; `joined`: all labels of each image in one column; `ranked`: the
            most probable classes of each image in one column.
        columns: Names of the columns of probabilities, in order; else empty.
        classes: Class of each of `columns`; or the single class that `probability` is about; else empty.
        separator: Text between the names in a joined or ranked column.
        count: Number of classes in a ranked column; else 0.
        chosen: Whether a person chose labels where a sample may have another form. Two forms are equal
            whether chosen or detected.
    """

    id_column: str = "image_id"
    label_column: str = "label"
    kind: Kind = Kind.LABELS
    columns: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    separator: str = " "
    count: int = 0
    chosen: bool = field(default=False, compare=False)

    @property
    def header(self) -> tuple[str, ...]:
        """Names of all columns."""
        others = self.columns if self.kind is Kind.PROBABILITIES else (self.label_column,)
        return (self.id_column, *others)

    def describe(self) -> str:
        """Return the columns and their content for a person."""
        if self.kind is Kind.PROBABILITIES:
            names = ", ".join(map(shown, self.columns[:_NAMED]))
            names += ", …" if len(self.columns) > _NAMED else ""
            classes = counted(len(self.columns), "class", "classes")
            return f"{shown(self.id_column)}, and the probability of each of {classes}: {names}"
        content = {
            Kind.LABELS: "name of the class",
            Kind.PROBABILITY: f"probability of {shown(''.join(self.classes))}",
            Kind.JOINED: f"names of all labels, separated by {_spelt(self.separator)}",
            Kind.RANKED: f"names of the {self.count} most probable classes, separated by "
            f"{_spelt(self.separator)}",
        }[self.kind]
        return f"{shown(self.id_column)}, {shown(self.label_column)} ({content})"

    def to_record(self, classes: Sequence[str]) -> dict[str, Any]:
        """Return what the names of two columns do not say, plain JSON and short.

        It is {} for labels that nobody chose.

        A record's text has a limited length, so classes are numbers, and names of columns are left out where
        they are those of the classes.

        Args:
            classes: All classes, in the order of predictions.

        Raises:
            InputError: A column is that of another class.
        """
        if self.kind is Kind.LABELS:
            return {"kind": str(self.kind), "chosen": True} if self.chosen else {}
        strange = next((name for name in self.classes if name not in classes), None)
        if strange is not None:
            raise InputError(
                f"the submission has a column of {shown(strange)}, which is no class of the labelled images"
            )
        order = [classes.index(name) for name in self.classes]
        pairs = enumerate(zip(self.columns, self.classes, strict=False))
        stored: dict[str, Any] = {
            "kind": str(self.kind),
            "order": [] if order == list(range(len(classes))) else order,
            "names": {str(row): column for row, (column, name) in pairs if column != name},
            "separator": self.separator if self.kind in (Kind.JOINED, Kind.RANKED) else "",
            "count": self.count,
            "chosen": self.chosen,
        }
        return {key: value for key, value in stored.items() if value}

    @classmethod
    def from_record(
        cls, id_column: str, label_column: str, stored: Mapping[str, Any], classes: Sequence[str]
    ) -> "SubmissionFormat":
        """Return the form that `to_record` has stored.

        Args:
            id_column: Name of the column of ids.
            label_column: Name of the column of labels.
            stored: Result of `to_record`; {}: labels.
            classes: All classes, in the order of predictions.

        Raises:
            ValueError: The record was not written by `to_record`.
        """
        try:
            kind = Kind(stored.get("kind", Kind.LABELS))
            if not kind.is_numeric:
                return cls(
                    id_column,
                    label_column,
                    kind,
                    separator=str(stored.get("separator", " ")),
                    count=int(stored.get("count", 0)),
                    chosen=bool(stored.get("chosen", False)),
                )
            named = tuple(classes[row] for row in stored.get("order", range(len(classes))))
            renamed = stored.get("names", {})
            columns = tuple(str(renamed.get(str(row), name)) for row, name in enumerate(named))
        except (TypeError, IndexError, AttributeError) as error:
            raise ValueError(str(error)) from error
        return cls(id_column, label_column, kind, columns if kind is Kind.PROBABILITIES else (), named)


def _spelt(separator: str) -> str:
    """Return a separator as a word."""
    return "blanks" if separator == " " else shown(separator)
