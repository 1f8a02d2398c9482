"""Kinds of arguments, by the names in a function's annotations: what they accept, and their plain words."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Kind:
    """Kind of argument.

    Attributes:
        words: Description for a message.
        accepts: Function that returns whether a value is of this kind.
    """

    words: str
    accepts: Callable[[Any], bool]


def _is_flag(value: Any) -> bool:
    return isinstance(value, bool | np.bool_)


def _are_texts(values: Any) -> bool:
    return isinstance(values, Sequence) and all(isinstance(value, str) for value in values)


def _is_list(values: Any) -> bool:
    return isinstance(values, Sequence | np.ndarray) and not isinstance(values, str)


def _are_weights(values: Any) -> bool:
    return isinstance(values, Mapping) and all(
        isinstance(name, str) and isinstance(value, Real) for name, value in values.items()
    )


_KINDS = {
    "None": Kind("None", lambda value: value is None),
    "str": Kind("a text", lambda value: isinstance(value, str)),
    "bool": Kind("True or False", _is_flag),
    "int": Kind("a whole number", lambda value: isinstance(value, Integral) and not _is_flag(value)),
    "float": Kind("a number", lambda value: isinstance(value, Real) and not _is_flag(value)),
    "Path": Kind("a path", lambda value: isinstance(value, os.PathLike)),
    "Sequence[str]": Kind("a list of texts", _are_texts),
    "Sequence[float]": Kind("a list of numbers", _is_list),  # its user checks the numbers
    "Mapping[str, float]": Kind("a dict of numbers", _are_weights),
    "Callable": Kind("a function", callable),
    "ndarray": Kind("a NumPy array", lambda value: isinstance(value, np.ndarray)),
}


def kinds_of(annotation: str) -> list[Kind]:
    """Return the kinds of an annotation such as `str | Path | None`.

    A name without a kind is that of a class, which a value's own class or one of its bases must have: the
    class itself may be expensive to import.
    """
    return [_KINDS.get(name) or _instance_of(name) for name in annotation.split(" | ")]


def _instance_of(name: str) -> Kind:
    def accepts(value: Any) -> bool:
        return any(base.__name__ == name for base in type(value).__mro__)

    return Kind(f"an {name}" if name[0] in "AEIOU" else f"a {name}", accepts)
