import pytest

from tune_paddy.core.errors import InputError
from tune_paddy.data.sides.parts import read_parts


@pytest.mark.parametrize(
    ("column", "values", "selected"),
    [
        ("is_valid", "0 1 0 True", "_ x _ x"),
        ("part", "train valid train val", "_ x _ x"),
        ("split", "Training test train Testing", "_ x _ x"),
        ("is_train", "1 0 1 1", "_ x _ _"),
    ],
)
def test_the_select_split_is_understood_by_the_meaning_of_values(
    column: str, values: str, selected: str
) -> None:
    if "True" in values and "0" in values:
        values = values.replace("True", "true")
    given = read_parts(column, values.split(), "train.csv")
    assert given.selected == tuple(mark == "x" for mark in selected.split())
    assert given.n_folds == 0


@pytest.mark.parametrize(("column", "values"), [("fold", "0 1 0 1"), ("k", "2 10 3 2"), ("cv", "a b c a")])
def test_folds_are_numbered_in_the_order_of_their_names(column: str, values: str) -> None:
    given = read_parts(column, values.split(), "train.csv")
    order = sorted(set(values.split()), key=lambda name: (len(name), name))
    assert [order[fold] for fold in given.folds] == values.split()


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        (["train", "", "val"], "no value for 1 image"),
        (["1", "1", "1"], "all images have the value 1"),
        (["train", "val", "test"], "one part"),
        (["train", "val", "other"], "other is no part"),
        ([str(number) for number in range(40)], "40 different values"),
    ],
)
def test_a_column_without_a_split_is_refused(values: list[str], problem: str) -> None:
    with pytest.raises(InputError, match=problem) as told:
        read_parts("part", values, "train.csv")
    assert told.value.options == ("split_column",)
