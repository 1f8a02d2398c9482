"""Choice of the form of a submission: that of the sample, or the one that the user names."""

from collections.abc import Collection
from dataclasses import dataclass, replace

from tune_paddy.core.errors import InputError
from tune_paddy.core.tasks.names import SEPARATOR
from tune_paddy.data.labels.texts import split_value
from tune_paddy.data.options import LABELS, PROBABILITIES, ReadOptions
from tune_paddy.data.submission.form import Kind, SubmissionFormat
from tune_paddy.data.submission.matching import class_within, match_class, match_columns
from tune_paddy.data.submission.ranking import find_ranking
from tune_paddy.data.system.text import shown
from tune_paddy.data.tables.csv_table import CsvTable

_PAIR = 2
"""Number of classes of which one probability says all."""

_SEPARATORS = (" ", SEPARATOR, ";", ",")


@dataclass(frozen=True)
class Labels:
    """What is known of the labels.

    Attributes:
        classes: Names of the classes, in the order of predictions.
        several: Whether an image has any number of labels.
        separator: Separator of the labels in their table; empty: there is none.
        empty: Names in the table of labels that no labelled image has: no classes.
    """

    classes: tuple[str, ...]
    several: bool = False
    separator: str = ""
    empty: tuple[str, ...] = ()


def choose_form(
    names: SubmissionFormat, sample: CsvTable | None, labels: Labels, options: ReadOptions
) -> tuple[SubmissionFormat, tuple[str, ...]]:
    """Choose the form of a submission.

    Args:
        names: Form whose column names apply if there is no sample.
        sample: Sample submission, at least two columns; None: there is none.
        labels: What is known of the labels.
        options: `submission_form` and `positive`, if a person gave them.

    Returns:
        The form, and notes about what was decided.

    Raises:
        InputError: The columns of the sample are not the classes, its values do not tell the form, or the
            options do not apply.
    """
    _check_positive(options.positive, labels)
    if sample is not None:
        single = sample.columns[1] if len(sample.columns) == _PAIR else names.label_column
        names = replace(names, id_column=sample.columns[0], label_column=single)
    if options.submission_form == PROBABILITIES:
        return _as_probabilities(names, sample, labels, options), ()
    if options.submission_form is not None:
        return _refuse_unused(_as_labels(names, sample, labels, chosen=True), options), ()
    if sample is None:
        return _without_sample(names, labels, options), ()
    return _by_sample(names, sample, labels, options)


def adapt_form(known: SubmissionFormat | None, sample: CsvTable, labels: Labels) -> SubmissionFormat:
    """Return the form that a search had, with the columns of a sample that the search need not have seen.

    Args:
        known: Form of the search; None: unknown.
        sample: Sample submission, at least two columns.
        labels: What is known of the labels; the separator of a known form comes first.

    Raises:
        InputError: The columns of the sample are not the classes, or its values do not tell the form.
    """
    names = known or SubmissionFormat()
    if names.kind is Kind.RANKED and len(sample.columns) == _PAIR:
        return replace(names, id_column=sample.columns[0], label_column=sample.columns[1])
    kept = LABELS if names.chosen else None
    options = ReadOptions(
        submission_form=PROBABILITIES if names.kind.is_numeric else kept,
        positive=names.classes[0] if names.kind is Kind.PROBABILITY else None,
    )
    if names.kind is Kind.JOINED:
        labels = replace(labels, separator=names.separator)
    return choose_form(replace(names, columns=(), classes=()), sample, labels, options)[0]


def _by_sample(
    names: SubmissionFormat, sample: CsvTable, labels: Labels, options: ReadOptions
) -> tuple[SubmissionFormat, tuple[str, ...]]:
    if len(sample.columns) > _PAIR:
        return _refuse_unused(_column_per_class(names, sample, labels), options), ()
    values = _values(sample)
    if options.positive is not None:
        return _one_probability(names, labels, options), ()
    ranked = None if labels.several else find_ranking(values, labels.classes, where=shown(sample.path))
    if ranked is not None:
        return replace(names, kind=Kind.RANKED, separator=ranked.separator, count=ranked.count), ()
    if labels.several or len(labels.classes) != _PAIR:
        _refuse_fractions(sample, values, labels)
        return _as_labels(names, sample, labels), _placeholder_note(sample, values, labels)
    if not values <= set(labels.classes) and values and all(map(_is_probability, values)):
        return _one_probability(names, labels, options), ()
    notes = _ambiguity_note(sample, values, labels) or _placeholder_note(sample, values, labels)
    return _as_labels(names, sample, labels), notes


def _without_sample(names: SubmissionFormat, labels: Labels, options: ReadOptions) -> SubmissionFormat:
    if options.positive is not None:
        return _one_probability(names, labels, options)
    return _as_labels(names, None, labels)


def _as_labels(
    names: SubmissionFormat, sample: CsvTable | None, labels: Labels, *, chosen: bool = False
) -> SubmissionFormat:
    if not labels.several:
        return replace(names, kind=Kind.LABELS, chosen=chosen)
    return replace(names, kind=Kind.JOINED, separator=_separator(sample, labels), chosen=chosen)


def _as_probabilities(
    names: SubmissionFormat, sample: CsvTable | None, labels: Labels, options: ReadOptions
) -> SubmissionFormat:
    if sample is not None and len(sample.columns) > _PAIR:
        return _refuse_unused(_column_per_class(names, sample, labels), options)
    pair = len(labels.classes) == _PAIR and not labels.several
    if pair and (sample is not None or options.positive is not None):
        return _one_probability(names, labels, options)
    return replace(names, kind=Kind.PROBABILITIES, columns=labels.classes, classes=labels.classes)


def _column_per_class(names: SubmissionFormat, sample: CsvTable, labels: Labels) -> SubmissionFormat:
    columns = sample.columns[1:]
    classes = match_columns(columns, labels.classes, where=shown(sample.path), empty=labels.empty)
    return replace(names, kind=Kind.PROBABILITIES, columns=columns, classes=classes)


def _one_probability(names: SubmissionFormat, labels: Labels, options: ReadOptions) -> SubmissionFormat:
    """Return a column of the probability of the given class, that of the column's name, or the last one."""
    named = options.positive or names.label_column
    said = match_class(named, labels.classes) or class_within(named, labels.classes)
    return replace(names, kind=Kind.PROBABILITY, classes=(said or labels.classes[-1],))


def _separator(sample: CsvTable | None, labels: Labels) -> str:
    """Return the separator of joined labels: the sample's, that of the labels' table, or a usable one."""
    values = _values(sample) if sample is not None and len(sample.columns) == _PAIR else set()
    known = set(labels.classes)
    for separator in _SEPARATORS:
        if any(separator in value and set(value.split(separator)) <= known for value in values):
            return separator
    fits = not any(" " in name for name in labels.classes)
    return labels.separator or (" " if fits else SEPARATOR)


def _values(sample: CsvTable) -> set[str]:
    return {value.strip() for value in sample.column(sample.columns[1])} - {""}


def _is_probability(value: str) -> bool:
    try:
        return 0 <= float(value) <= 1
    except ValueError:
        return False


def _is_fraction(value: str) -> bool:
    return _is_probability(value) and float(value) not in (0, 1)


def _refuse_fractions(sample: CsvTable, values: Collection[str], labels: Labels) -> None:
    """Refuse a single column of fractions where no single probability says all."""
    odd = next((value for value in sorted(values) if _is_fraction(value)), None)
    if odd is not None and odd not in labels.classes:
        raise InputError(
            f"{shown(sample.path)}: column {shown(sample.columns[1])} holds fractions such as {shown(odd)}, "
            f"but a single probability cannot say which of {len(labels.classes)} classes an image has: write "
            "labels with `submission_form=labels`, or remove the file",
            options=("submission_form",),
        )


def _ambiguity_note(sample: CsvTable, values: Collection[str], labels: Labels) -> tuple[str, ...]:
    """Return a note on 0 and 1, which are names of classes and probabilities."""
    if not values or not set(labels.classes) <= {"0", "1"}:
        return ()
    note = (
        f"{shown(sample.path.name)}: {' and '.join(sorted(values))} in column {shown(sample.columns[1])} may "
        "be classes or probabilities: submission.csv will have classes; `submission_form=probabilities` "
        f"writes the probability of {shown(labels.classes[-1])}"
    )
    return (note,)


def _placeholder_note(sample: CsvTable, values: set[str], labels: Labels) -> tuple[str, ...]:
    """Return a note if no value is a class: a leaderboard may expect numbers, or labels of another column."""
    separator = _separator(sample, labels)
    parts = {part for value in values for part in split_value(value, separator)} if labels.several else set()
    if not values or any(match_class(name, labels.classes) for name in values | parts):
        return ()
    note = (
        f"{shown(sample.path.name)}: {shown(min(values))} in column {shown(sample.columns[1])} is no class; "
        f"submission.csv will have names of classes, such as {shown(labels.classes[0])}"
    )
    return (note,)


def _check_positive(positive: str | None, labels: Labels) -> None:
    if positive is None:
        return
    if labels.several or len(labels.classes) != _PAIR:
        raise InputError(
            f"`positive` chooses one of two classes, but there are {len(labels.classes)}: leave it out",
            options=("positive",),
        )
    if match_class(positive, labels.classes) is None:
        raise InputError(
            f"`positive`: {shown(positive)} is no class; the classes are "
            f"{' and '.join(map(shown, labels.classes))}",
            options=("positive",),
        )


def _refuse_unused(form: SubmissionFormat, options: ReadOptions) -> SubmissionFormat:
    if options.positive is not None:
        raise InputError(
            "`positive` is the class of a single probability, which this submission does not have: leave it "
            f"out; its columns are {form.describe()}",
            options=("positive",),
        )
    return form
