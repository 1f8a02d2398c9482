"""Arguments are checked by annotations; errors are one line in Python's words."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pytest
from typing_extensions import TypeAliasType

from tune_paddy.core.arguments.checked import ArgumentError, checked
from tune_paddy.core.arguments.kinds import kinds_of
from tune_paddy.core.errors import InputError
from tune_paddy.core.tasks.arrays import Floats


@checked
def paint(
    probs: Floats,
    path: str | Path | None = None,
    *more: str,
    count: int = 1,
    share: float = 1.0,
    bright: bool = False,
    weights: Sequence[str] | Mapping[str, float] = (),
    other: "Unheard | None" = None,  # type: ignore[name-defined]
    **settings: Any,
) -> tuple[Any, ...]:
    """Return the arguments."""
    return (probs, path, more, count, share, bright, weights, other, settings)


@checked
def wipe(*, dry: bool = False) -> bool:
    """Return the argument."""
    return dry


class Unheard:
    """A class that the annotation names."""


class Derived(Unheard):
    """A subclass."""


ARRAY = np.zeros(1)


def test_right_arguments_pass_unchanged_also_numpys_numbers() -> None:
    other = Derived()
    given = paint(
        ARRAY, Path("a"), "b", count=np.int64(2), share=3, bright=True, weights={"a": 1}, other=other, x=5
    )
    assert given == (ARRAY, Path("a"), ("b",), 2, 3, True, {"a": 1}, other, {"x": 5})


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: paint([0]), "probs: should be a NumPy array, not [0]"),
        (lambda: paint(ARRAY, 3), "path: should be a text or a path or None, not 3"),
        (lambda: paint(ARRAY, "a", 3), "more: should be a text, not 3"),
        (lambda: paint(ARRAY, count="3"), "count: should be a whole number, not '3'"),
        (lambda: paint(ARRAY, count=True), "count: should be a whole number, not True"),
        (lambda: paint(ARRAY, share=None), "share: should be a number, not None"),
        (lambda: paint(ARRAY, bright=1), "bright: should be True or False, not 1"),
        (
            lambda: paint(ARRAY, weights=[1]),
            "weights: should be a list of texts or a dict of numbers, not [1]",
        ),
        (lambda: paint(ARRAY, other=3), "other: should be an Unheard or None, not 3"),
        (lambda: paint(ARRAY, count="\n" * 100), "count: should be a whole number, not builtins.str"),
        (paint, "paint: give 'probs'"),
        (lambda: wipe(dr=True), "wipe has no parameter 'dr'; did you mean 'dry'?"),
        (lambda: wipe(zzz=True), "wipe has no parameter 'zzz'; it has dry"),
        (lambda: wipe(True), "wipe: name the argument True, as in `dry=…`"),
    ],
)
def test_a_wrong_argument_is_named_in_one_line(call: Callable[[], object], message: str) -> None:
    with pytest.raises(ArgumentError) as caught:
        call()
    assert str(caught.value) == message


def test_arrays_of_a_type_statement_and_beside_other_types_are_arrays() -> None:
    """From Python 3.12 on, NumPy's NDArray is a type statement."""
    item = TypeVar("item", bound=np.generic)
    stated = TypeAliasType("stated", np.ndarray[Any, np.dtype[item]], type_params=(item,))

    @checked
    def pair(
        values: stated[np.floating],  # type: ignore[valid-type]
        weights: Floats | Callable[[], float] | None = None,
    ) -> tuple[Any, ...]:
        return values, weights

    for weights in (ARRAY, list, None):
        assert pair(ARRAY, weights) == (ARRAY, weights)
    with pytest.raises(ArgumentError, match="values: should be a NumPy array, not 'text'"):
        pair("text")
    with pytest.raises(ArgumentError, match="weights: should be a NumPy array or a function or None, not 1"):
        pair(ARRAY, 1)  # type: ignore[arg-type]


def test_an_argument_error_is_both_a_type_error_and_bad_input() -> None:
    assert issubclass(ArgumentError, TypeError)
    assert issubclass(ArgumentError, InputError)


def test_kinds_are_read_from_the_text_of_an_annotation() -> None:
    assert [kind.words for kind in kinds_of("str | int | Sequence[str] | Pool")] == [
        "a text",
        "a whole number",
        "a list of texts",
        "a Pool",
    ]
