"""The form of a submission, from the sample, the classes and what a person says."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tune_paddy.core.errors import InputError
from tune_paddy.data.options import ReadOptions
from tune_paddy.data.submission.choose import Labels, adapt_form, choose_form
from tune_paddy.data.submission.form import Kind, SubmissionFormat
from tune_paddy.data.tables.csv_table import CsvTable

NAMES = SubmissionFormat("image", "kind")
PETS = ("cat", "dog")
FLAGS = ("0", "1")
GRADES = ("0", "1", "2")


def sample(tmp_path, columns, *rows):
    lines = tuple(range(2, len(rows) + 2))
    by_column = tuple([row[at] for row in rows] for at in range(len(columns)))
    return CsvTable(tmp_path / "sample_submission.csv", tuple(columns), by_column, lines)


def one_column(tmp_path, *values):
    return sample(tmp_path, ("id", "target"), *((str(k), value) for k, value in enumerate(values)))


def chosen(table, classes, *, several=False, separator="", **options):
    return choose_form(NAMES, table, Labels(classes, several, separator), ReadOptions(**options))


@pytest.mark.parametrize(
    ("values", "classes", "kind"),
    [
        (("cat", "cat"), PETS, Kind.LABELS),
        (("", ""), PETS, Kind.LABELS),
        (("?", "?"), PETS, Kind.LABELS),
        (("0.5", "0.5"), PETS, Kind.PROBABILITY),
        (("0", "0"), PETS, Kind.PROBABILITY),
        (("0.5", "0"), FLAGS, Kind.PROBABILITY),
        (("0.0", "0.0"), FLAGS, Kind.PROBABILITY),
        (("0", "0"), FLAGS, Kind.LABELS),
        (("0", "1"), FLAGS, Kind.LABELS),
        (("0", "0"), GRADES, Kind.LABELS),
        (("0.0", "0.0"), GRADES, Kind.LABELS),
    ],
)
def test_the_values_of_a_single_column_tell_labels_from_a_probability(tmp_path, values, classes, kind):
    assert chosen(one_column(tmp_path, *values), classes)[0].kind is kind


def test_0_and_1_are_labels_unless_a_person_says_otherwise_and_the_note_tells_how(tmp_path):
    table = one_column(tmp_path, "0", "0")
    form, (note,) = chosen(table, FLAGS)
    assert form == SubmissionFormat("id", "target")
    assert "`submission_form=probabilities` writes the probability of 1" in note
    form, notes = chosen(table, FLAGS, submission_form="probabilities")
    assert form == SubmissionFormat("id", "target", Kind.PROBABILITY, classes=("1",))
    assert notes == ()


@pytest.mark.parametrize(
    ("column", "options", "about"),
    [
        ("label", {}, "dog"),
        ("Cat", {}, "cat"),
        ("is_cat", {}, "cat"),
        ("probCat", {}, "cat"),
        ("not_cat", {}, "dog"),
        ("cat or dog", {}, "dog"),
        ("category", {}, "dog"),
        ("label", {"positive": "CAT"}, "cat"),
    ],
)
def test_a_single_probability_is_that_of_one_class(tmp_path, column, options, about):
    form, _ = chosen(sample(tmp_path, ("id", column), ("1", "0.5")), PETS, **options)
    assert (form.kind, form.classes, form.header) == (Kind.PROBABILITY, (about,), ("id", column))


def test_columns_are_matched_with_classes_by_name_in_the_samples_order(tmp_path):
    columns = ("id", "Brown Spot", "1.0", "tungro ", "Dead-heart")
    classes = ("1", "brown_spot", "dead_heart", "tungro")
    form, _ = chosen(sample(tmp_path, columns, ("1", "0", "0", "0", "1")), classes)
    assert form.kind is Kind.PROBABILITIES
    assert form.header == columns
    assert form.classes == ("brown_spot", "1", "tungro", "dead_heart")


def test_columns_that_are_no_classes_are_refused_with_their_names_and_the_way_out(tmp_path):
    table = sample(tmp_path, ("id", "cat", "Usage"), ("1", "0.5", "x"))
    with pytest.raises(InputError) as caught:
        chosen(table, PETS)
    message = str(caught.value)
    assert "has 1 column that is no class (Usage) and no column for 1 class (dog)" in message
    assert "`submission_form=labels`" in message
    assert caught.value.options == ("submission_form",)
    form, _ = chosen(table, PETS, submission_form="labels")
    assert form == SubmissionFormat("id", "kind")


def test_fractions_cannot_say_which_of_three_classes_an_image_has(tmp_path):
    with pytest.raises(InputError, match="a single probability cannot say which of 3 classes"):
        chosen(one_column(tmp_path, "0.5"), GRADES)


@pytest.mark.parametrize("value", ["7", "w_1 w_2", "clear primary", "?"])
@pytest.mark.parametrize("classes", [("blast", "hispa", "clear"), ("blast", "clear")])
def test_a_sample_without_any_class_is_pointed_out(tmp_path, value, classes):
    """The table may have another column whose values the competition asks for."""
    _, (note,) = chosen(one_column(tmp_path, value, value), classes)
    assert f"{value} in column target is no class; submission.csv will have names of classes, such as" in note


@pytest.mark.parametrize(
    ("values", "several"), [(("x", "Blast"), False), (("x blast",), True), (("",), False)]
)
def test_a_sample_with_a_class_or_without_values_is_not(tmp_path, values, several):
    _, notes = chosen(one_column(tmp_path, *values), ("blast", "hispa", "clear"), several=several)
    assert notes == ()


@pytest.mark.parametrize(
    ("values", "separator", "expected"),
    [(("a|b",), " ", "|"), (("a b", "a"), "|", " "), (("a",), ";", ";"), (("a",), "", " ")],
    ids=["the sample's", "the sample's blank", "the table's", "a blank"],
)
def test_several_labels_are_joined_by_the_separator_of_the_sample_or_of_the_table(
    tmp_path, values, separator, expected
):
    form, _ = chosen(one_column(tmp_path, *values), ("a", "b"), several=True, separator=separator)
    assert (form.kind, form.separator) == (Kind.JOINED, expected)


def test_labels_with_blanks_are_not_joined_by_blanks(tmp_path):
    form, _ = chosen(one_column(tmp_path, "x"), ("dead heart", "hispa"), several=True)
    assert form.separator == "|"


@pytest.mark.parametrize(
    ("options", "header", "kind"),
    [
        ({}, ("image", "kind"), Kind.LABELS),
        ({"submission_form": "probabilities"}, ("image", "cat", "dog"), Kind.PROBABILITIES),
        ({"positive": "cat"}, ("image", "kind"), Kind.PROBABILITY),
    ],
)
def test_without_a_sample_a_person_says_the_form(options, header, kind):
    form, _ = chosen(None, PETS, **options)
    assert (form.header, form.kind) == (header, kind)


@pytest.mark.parametrize(
    ("classes", "columns", "message"),
    [
        (GRADES, ("id", "target"), "`positive` chooses one of two classes, but there are 3"),
        (PETS, ("id", "target"), "`positive`: 1 is no class; the classes are cat and dog"),
        (("0", "1"), ("id", "0", "1"), "which this submission does not have: leave it out"),
    ],
)
def test_a_positive_class_that_does_not_apply_is_refused(tmp_path, classes, columns, message):
    with pytest.raises(InputError, match=message):
        chosen(sample(tmp_path, columns, tuple("0" for _ in columns)), classes, positive="1")


@pytest.mark.parametrize(
    "form",
    [
        SubmissionFormat("a", "b"),
        SubmissionFormat("a", "b", Kind.JOINED, separator="|"),
        SubmissionFormat("a", "b", Kind.RANKED, separator=";", count=2),
        SubmissionFormat("a", "b", Kind.PROBABILITY, classes=("dog",)),
        SubmissionFormat("a", "label", Kind.PROBABILITIES, ("dog", "cat"), ("dog", "cat")),
        SubmissionFormat("a", "label", Kind.PROBABILITIES, ("Cat", "dog"), ("cat", "dog")),
    ],
    ids=lambda form: str(form.kind),
)
def test_a_recorded_form_is_read_back(form):
    stored = form.to_record(PETS)
    assert SubmissionFormat.from_record(form.id_column, form.label_column, stored, PETS) == form


def test_the_record_of_many_classes_is_short():
    names = tuple(f"a long name of class {number:04d}" for number in range(1000))
    form = SubmissionFormat("id", "label", Kind.PROBABILITIES, names, names)
    assert form.to_record(names) == {"kind": "probabilities"}


def test_a_form_of_another_class_is_not_recorded():
    form = SubmissionFormat("a", "b", Kind.PROBABILITY, classes=("eel",))
    with pytest.raises(InputError, match="a column of eel, which is no class"):
        form.to_record(PETS)


@pytest.mark.parametrize(
    "stored",
    [{"kind": "?"}, {"kind": "probability", "order": [9]}, {"kind": "probability", "order": 3}],
)
def test_a_record_of_another_version_is_no_form(stored):
    with pytest.raises(ValueError, match=r"valid Kind|out of range|not iterable"):
        SubmissionFormat.from_record("id", "label", stored, PETS)


def test_a_known_form_takes_the_columns_of_another_sample(tmp_path):
    known = SubmissionFormat("image", "label", Kind.PROBABILITY, classes=("cat",))
    form = adapt_form(known, one_column(tmp_path, "0", "0"), Labels(PETS))
    assert form == SubmissionFormat("id", "target", Kind.PROBABILITY, classes=("cat",))
    form = adapt_form(None, sample(tmp_path, ("id", "dog", "cat"), ("1", "0", "1")), Labels(PETS))
    assert (form.kind, form.classes) == (Kind.PROBABILITIES, ("dog", "cat"))
    joined = SubmissionFormat("image", "labels", Kind.JOINED, separator=";")
    form = adapt_form(joined, one_column(tmp_path, "cat", "dog"), Labels(PETS, several=True))
    assert form == SubmissionFormat("id", "target", Kind.JOINED, separator=";")
    ranked = SubmissionFormat("image", "Id", Kind.RANKED, count=2)
    form = adapt_form(ranked, one_column(tmp_path, "", ""), Labels(PETS))
    assert form == SubmissionFormat("id", "target", Kind.RANKED, count=2)


def test_labels_that_a_person_chose_stay_labels_beside_any_sample(tmp_path):
    for table in (
        sample(tmp_path, ("id", "cat", "dog"), ("1", "0.5", "0.5")),
        one_column(tmp_path, "0", "0"),
    ):
        form, _ = chosen(table, PETS, submission_form="labels")
        stored = form.to_record(PETS)
        again = SubmissionFormat.from_record(form.id_column, form.label_column, stored, PETS)
        for known in (form, again):
            assert adapt_form(known, table, Labels(PETS)) == form
    several = Labels(PETS, several=True)
    form = SubmissionFormat("a", "b", Kind.JOINED, chosen=True)
    again = SubmissionFormat.from_record("a", "b", form.to_record(PETS), PETS)
    assert (
        adapt_form(again, sample(tmp_path, ("id", "cat", "dog"), ("1", "0", "0")), several).kind
        is Kind.JOINED
    )
    assert adapt_form(NAMES, one_column(tmp_path, "0", "0"), Labels(PETS)).kind is Kind.PROBABILITY


@pytest.mark.parametrize(
    ("values", "classes", "expected"),
    [
        (("w1 w2 w3", "w2 w1 w3"), ("w1", "w2", "w3", "w4"), (Kind.RANKED, " ", 3)),
        (("dog;cat",), PETS, (Kind.RANKED, ";", 2)),
        (("hot dog", "dog"), ("dog", "hot", "hot dog"), (Kind.LABELS, " ", 0)),
        (("x y", "x y"), GRADES, (Kind.LABELS, " ", 0)),
    ],
    ids=["MAP@3", "two classes", "a class of two words", "placeholders"],
)
def test_several_classes_in_a_cell_ask_for_the_most_probable_ones(tmp_path, values, classes, expected):
    form, _ = chosen(one_column(tmp_path, *values), classes)
    assert (form.kind, form.separator, form.count) == expected


def test_several_classes_in_a_cell_beside_a_strange_name_are_refused_with_the_way_out(tmp_path):
    table = one_column(tmp_path, "w1 w2 new")
    with pytest.raises(
        InputError, match="w1 w2 new holds several classes, but in its column new is no class"
    ):
        chosen(table, ("w1", "w2", "w3"))
    assert chosen(table, ("w1", "w2", "w3"), submission_form="labels")[0].kind is Kind.LABELS


NAMED = st.sampled_from(("cat", "dog", "0", "1", "1.0", "", "x", " cat", "CAT"))
VALUES = st.sampled_from(("0", "1", "0.5", "cat", "dog", "cat dog", "", "nan", "-1", "1e400", "x"))
SAMPLES = st.lists(st.tuples(NAMED, VALUES), min_size=1, max_size=4, unique_by=lambda pair: pair[0])
CLASSES = st.lists(st.sampled_from(("cat", "dog", "0", "1", "2", "x y")), min_size=2, max_size=4, unique=True)


@given(SAMPLES, CLASSES, st.sampled_from((None, "labels", "probabilities")), st.booleans())
def test_any_sample_gives_a_form_of_known_classes_or_is_refused(pairs, classes, form, several):
    columns, values = zip(*pairs, strict=True)
    table = sample(Path(), ("id", *columns), ("1", *values))
    try:
        found, _ = chosen(table, tuple(sorted(classes)), several=several, submission_form=form)
    except InputError:
        return
    assert set(found.classes) <= set(classes)
    assert form or found.header == table.columns
