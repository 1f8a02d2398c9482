"""Labels of a table: one a row or several, and what is asked instead of guessed."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tune_paddy.core.errors import InputError
from tune_paddy.core.tasks.task import Task
from tune_paddy.data.labels.separator import find_separator
from tune_paddy.data.labels.values import read_label_values
from tune_paddy.data.tables.csv_table import CsvTable

PADDY = (
    "bacterial leaf blight", "bacterial leaf streak", "bacterial panicle blight", "blast", "brown spot",
    "dead heart", "downy mildew", "hispa", "normal", "tungro",
)  # fmt: skip
FRUITS = (
    "Apple Red 1",
    "Apple Red 2",
    "Apple Golden 1",
    "Pepper Green",
    "Pepper Red",
    "Tomato 1",
    "Tomato 2",
)
APPLES = ("healthy", "scab", "rust", "complex", "scab complex", "scab frog_eye", "frog_eye", "rust complex")
AMAZON = (
    "cloudy",
    *(
        f"{sky} {first} {second}"
        for sky in ("clear", "haze")
        for first in ("primary", "water")
        for second in ("road", "agriculture", "habitation")
    ),
)
GRID = tuple(f"{state} {fruit}" for state in ("fresh", "rotten") for fruit in ("apple", "banana", "orange"))
PROTEINS = ("16 0", "7 1 2 0", "5 16", "3", "12 7")


def table(tmp_path, *rows, columns=("image", "labels")):
    numbered = tuple((f"{row}.jpg", *values) for row, values in enumerate(rows))
    by_column = tuple([row[at] for row in numbered] for at in range(len(columns)))
    return CsvTable(tmp_path / "train.csv", columns, by_column, tuple(range(2, len(rows) + 2)))


def column(tmp_path, *values):
    return table(tmp_path, *((value,) for value in values))


@pytest.mark.parametrize(
    ("values", "separator"),
    [
        (APPLES, " "), (AMAZON, " "), (PROTEINS, " "), (("Effusion|Mass", "Mass", "Hernia"), "|"),
        (("a;b", "a", "b"), ";"), (("a, b", "b", "a"), ","),
    ],
    ids=["alone", "recombined", "numbers", "bar", "semicolon", "comma and blank"],
)  # fmt: skip
def test_labels_that_recur_are_several(values, separator):
    found = find_separator(values)
    assert found is not None
    assert (found.separator, found.is_sure) == (separator, True)


@pytest.mark.parametrize(
    "values",
    [PADDY, FRUITS, ("Lung, benign", "Lung, malignant", "Colon"), ("cat", "dog"), ("", "  "), ("a ", " b")],
    ids=["paddy", "fruits", "commas", "plain", "empty", "blanks around"],
)
def test_names_of_several_words_are_one_class(values):
    assert find_separator(values) is None


def test_what_may_be_either_is_asked(tmp_path):
    with pytest.raises(InputError, match="hot dog may be one class or several labels, hot and dog") as caught:
        read_label_values(column(tmp_path, "dog", "hot dog", "cat"), ["labels"])
    assert caught.value.options == ("task",)
    assert read_label_values(column(tmp_path, "dog", "hot dog"), ["labels"], "classes").texts[1] == "hot dog"
    assert (
        read_label_values(column(tmp_path, "dog", "hot dog"), ["labels"], "multilabel").texts[1] == "dog|hot"
    )


def test_a_grid_of_names_is_asked_unless_the_columns_of_a_sample_decide(tmp_path):
    with pytest.raises(InputError, match="fresh apple may be one class or several labels"):
        read_label_values(column(tmp_path, *GRID), ["labels"])
    for classes, task in (
        (GRID, "classes"),
        (("apple", "banana", "fresh", "orange", "rotten", "x"), "multilabel"),
    ):
        assert read_label_values(column(tmp_path, *GRID), ["labels"], classes=classes).task == task


def test_several_labels_of_a_column_are_sorted_and_said(tmp_path):
    read = read_label_values(column(tmp_path, *APPLES, ""), ["labels"])
    assert read.texts[-4:] == ["frog_eye|scab", "frog_eye", "complex|rust", ""]
    assert (read.task, read.separator) == ("multilabel", " ")
    assert "several labels an image, such as" in read.note
    assert "`task=classes`" in read.note


def test_lists_as_python_and_json_write_them_are_several_labels(tmp_path):
    read = read_label_values(column(tmp_path, "['scab', 'rust']", '["rust"]', "[]", "[a b]", ""), ["labels"])
    assert (read.texts, read.task) == (["rust|scab", "rust", "", "a b", ""], "multilabel")
    read = read_label_values(column(tmp_path, "['scab']", "['rust']"), ["labels"])
    assert (read.texts, read.task) == (["scab", "rust"], "classes")
    read = read_label_values(column(tmp_path, "[x]", "[y] z"), ["labels"])
    assert read.texts == ["[x]", "[y] z"]


def test_columns_of_0_and_1_with_several_ones_or_none_are_several_labels(tmp_path):
    flags = table(tmp_path, ("1", "1"), ("0", "1.0"), ("0", "0"), columns=("image", "b", "a"))
    read = read_label_values(flags, ["b", "a"])
    assert (read.texts, read.task) == (["a|b", "a", ""], "multilabel")
    assert "2 labels in line 2" in read.note


def test_columns_without_a_1_are_named(tmp_path):
    flags = table(tmp_path, ("1", "0", "0"), ("0", "1", "0"), columns=("image", "b", "a", "gone"))
    read = read_label_values(flags, ["b", "a", "gone"])
    assert (read.texts, read.empty) == (["b", "a"], ("gone",))


def test_columns_with_a_single_1_a_row_are_classes_unless_a_person_says_otherwise(tmp_path):
    flags = table(tmp_path, ("1", "0"), ("0", "1"), columns=("image", "b", "a"))
    assert read_label_values(flags, ["b", "a"]).task == "classes"
    assert read_label_values(flags, ["b", "a"], "multilabel").task == "multilabel"


@pytest.mark.parametrize(
    ("rows", "task", "message"),
    [
        ((("0", "0"), ("0", "1")), "classes", "train.csv:2: has 0 labels in 2 columns of 0 and 1"),
        ((("1", "2"), ("0", "1")), None, "train.csv:2: 2 in column a; a column per class holds 0 and 1"),
        ((("1", ""), ("0", "1")), None, "train.csv:2: nothing in column a"),
    ],
)
def test_columns_that_do_not_fit_are_refused_with_the_line(tmp_path, rows, task, message):
    with pytest.raises(InputError, match=re.escape(message)):
        read_label_values(table(tmp_path, *rows, columns=("image", "b", "a")), ["b", "a"], task)


def test_an_empty_label_is_refused_where_an_image_has_one_class(tmp_path):
    with pytest.raises(InputError, match=r"train\.csv:3: has no label: fill it in or remove the line"):
        read_label_values(column(tmp_path, "a", " ", "b"), ["labels"])


@pytest.mark.parametrize("task", [None, "multilabel"])
def test_a_label_with_the_programs_separator_is_refused_among_several(tmp_path, task):
    flags = table(tmp_path, ("1", "1"), columns=("image", "a|b", "c"))
    with pytest.raises(InputError, match=r"the label a\|b has a '\|'"):
        read_label_values(flags, ["a|b", "c"], task)


NAMES = st.sampled_from(("rust", "scab", "leaf", "spot", "1", "a,b"))


@given(st.lists(st.frozensets(NAMES), min_size=1, max_size=12), st.sampled_from(" ;|"))
def test_written_sets_of_labels_are_read_back(tmp_path_factory, sets, separator):
    path = tmp_path_factory.getbasetemp()
    written = column(path, *(separator.join(names) for names in sets))
    task = Task.of("multilabel")
    read = read_label_values(written, ["labels"], "multilabel")
    if read.separator in (separator, ""):
        assert read.texts == ["|".join(sorted(names)) for names in sets]
        assert set(task.classes_of(read.texts)) == frozenset().union(*sets)
