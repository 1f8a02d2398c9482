"""Options of reading a dataset; the import is cheap, since help screens are generated from them."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import PurePath
from typing import Any

from tune_paddy.core.errors import InputError
from tune_paddy.core.tasks.names import CLASSES, ORDERED, TASK_NAMES

FOLDERS = "folders"
"""Value of `labels`: the names of the folders are the labels, whatever tables there are."""

NEAR, EXACT, OFF = "near", "exact", "off"
COPIES = (EXACT, NEAR, OFF)
"""Values of `copies`: images with equal values, also re-encoded ones, or nothing."""

LABELS, PROBABILITIES = "labels", "probabilities"
SUBMISSION_FORMS = (LABELS, PROBABILITIES)
"""Values of `submission_form`: names of classes, or their probabilities."""

EACH = "each"
"""Value of `pixel_range`: every deep image has a range of its own."""

DATA = "Data"
"""Heading of the options in help screens."""


def _about(description: str, **more: Any) -> dict[str, Any]:
    return {"description": description, "group": DATA, **more}


@dataclass(frozen=True)
class ReadOptions:
    """How a dataset is read; None: detected, or the default.

    A dataset keeps them, a search records them, and a resume and a refit read the images by them. The options
    of `tune-paddy search` and `tune-paddy data check`, and the reference, are generated from the fields'
    metadata. Paths are relative to the dataset or to the working folder.

    Raises:
        InputError: A name is empty, `copies`, `task` or `submission_form` is unknown, `ordinal` contradicts
            `task`, or `pixel_range` is no range.
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
        default=None,
        metadata=_about(
            "column of the table that holds the labels, or columns of 0 and 1, separated by commas"
        ),
    )
    task: str | None = field(
        default=None,
        metadata=_about(
            "what the labels are: `classes`, one class an image; `ordered`, one of classes that are numbers, "
            "in their order; `multilabel`, any number of labels; none: detected",
            choices=lambda: TASK_NAMES,
        ),
    )
    ordinal: bool = field(default=False, metadata=_about("short for the task `ordered`"))
    submission_form: str | None = field(
        default=None,
        metadata=_about(
            "content of the submission: `labels`, names of classes; `probabilities`, a column per class, or "
            "a single one for two classes; none: as in the sample submission",
            choices=lambda: SUBMISSION_FORMS,
        ),
    )
    positive: str | None = field(
        default=None,
        metadata=_about(
            "class whose probability a submission with a single column of probabilities holds; none: the "
            "last of the two classes",
            unit="CLASS",
        ),
    )
    group: str | None = field(
        default=None,
        metadata=_about(
            "column of the table whose equal values, such as a patient or a plant, keep images on one side "
            "of the split"
        ),
    )
    split_column: str | None = field(
        default=None,
        metadata=_about(
            "column of the table that defines the split: parts such as `train` and `valid`, 0 and 1, or the "
            "numbers of folds"
        ),
    )
    relabel: str | None = field(
        default=None,
        metadata=_about("table of corrected labels, as `tune-paddy data doctor` writes it"),
    )
    copies: str | None = field(
        default=None,
        metadata=_about(
            "what counts as a copy, kept on one side of the split: `exact`, images with equal values; "
            "`near`, also re-encoded, resized and brightened ones; `off`, nothing; none: `near`",
            choices=lambda: COPIES,
        ),
    )
    pixel_range: str | None = field(
        default=None,
        metadata=_about(
            "values that are black and white in images of more than 8 bits; `each`: every image has its own; "
            "none: those that the dataset uses",
            unit="LOW,HIGH",
        ),
    )
    skip_corrupt: bool = field(default=False, metadata=_about("skip images that cannot be decoded"))
    skip_conflicts: bool = field(
        default=False, metadata=_about("skip identical images with different labels")
    )

    def __post_init__(self) -> None:
        for name in ("labels", "images", "id_column", "label_column"):
            if getattr(self, name) == "":
                raise InputError(f"{name} is empty: give a name, or leave it out", options=(name,))
        for name, known in (("copies", COPIES), ("task", TASK_NAMES), ("submission_form", SUBMISSION_FORMS)):
            value = getattr(self, name)
            if value not in (None, *known):
                raise InputError(f"`{name}` is one of {', '.join(known)}, not {value!r}", options=(name,))
        if self.ordinal and self.task not in (None, ORDERED):
            raise InputError(
                f"`ordinal` is short for `task={ORDERED}`, but the task is {self.task}: leave one out",
                options=("ordinal", "task"),
            )
        if self.ordinal:  # one spelling, so that records compare
            object.__setattr__(self, "task", ORDERED)
            object.__setattr__(self, "ordinal", False)
        if self.pixel_range not in (None, EACH):
            # One text per range, so that records compare.
            object.__setattr__(self, "pixel_range", format_range(parse_range(str(self.pixel_range))))

    @property
    def range(self) -> tuple[float, float] | None:
        """Values that are black and white; None: they are detected, or every image has its own."""
        return None if self.pixel_range in (None, EACH) else parse_range(str(self.pixel_range))

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """Return the names of the options."""
        return tuple(option.name for option in fields(cls))

    def given(self) -> dict[str, Any]:
        """Return the options that differ from their defaults: name → value, for the record."""
        values = {option.name: getattr(self, option.name) for option in fields(self)}
        return {name: value for name, value in values.items() if value not in (None, False)}

    @classmethod
    def recorded(cls, values: Mapping[str, Any] | None) -> "ReadOptions":
        """Return the options that read the images of a recorded search again.

        Images that the search skipped are skipped again; the dataset's fingerprint detects a difference.
        Unknown names are those of another version and are passed over. Without a task, an earlier version
        recorded the search, which knew one class an image.

        Args:
            values: Options as recorded; None: by a version that scaled every deep image by itself.
        """
        if values is None:
            return cls(task=CLASSES, copies=NEAR, pixel_range=EACH, skip_corrupt=True, skip_conflicts=True)
        known = {option.name for option in fields(cls) if option.default is None}
        texts: dict[str, Any] = {name: str(value) for name, value in values.items() if name in known}
        return cls(**{"task": CLASSES, **texts}, skip_corrupt=True, skip_conflicts=True)


DETECTED = ReadOptions()
"""No option is given: everything is detected."""


def options_among(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of reading among a function's arguments that were given, for `ReadOptions`.

    `Dataset.open` and `tp.run_search` name each option in their signatures, and collect them here.

    Args:
        arguments: Argument → value, at least all options; a path, and a range of two numbers, may be given
            for a text.
    """
    among = {name: arguments[name] for name in ReadOptions.names()}
    given = {name: value for name, value in among.items() if value is not None and value is not False}
    return {name: _as_text(value) for name, value in given.items()}


def _as_text(value: Any) -> Any:
    """Return a path or a range as the text that a field holds; other values as they are."""
    if isinstance(value, str | bool):
        return value
    return str(value) if isinstance(value, PurePath) else ",".join(map(str, value))


def parse_range(text: str) -> tuple[float, float]:
    """Parse `LOW,HIGH`.

    >>> parse_range("-1024, 3071")
    (-1024.0, 3071.0)

    Raises:
        InputError: The text is not two finite numbers, the lower one first.
    """
    try:
        low, high = (float(part) for part in text.split(","))
    except ValueError:
        raise _no_range(text) from None
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise _no_range(text)
    return low, high


def format_range(pixel_range: Sequence[float]) -> str:
    """Format a range as `parse_range` takes it, without rounding.

    >>> format_range((0, 4095)), format_range((0.1, 1e6 / 3))
    ('0,4095', '0.1,333333.3333333333')
    """
    return ",".join(
        f"{number:g}" if float(f"{number:g}") == number else repr(float(number)) for number in pixel_range
    )


def _no_range(text: str) -> InputError:
    return InputError(
        "`pixel_range` needs two numbers separated by a comma, the value of black below that of white, such "
        f"as 0,4095, not {text!r}",
        options=("pixel_range",),
    )
