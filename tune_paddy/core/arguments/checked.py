"""Check the arguments of a call by the function's annotations; errors are one line."""

import functools
import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from types import NoneType, UnionType
from typing import Any, ParamSpec, TypeVar, Union, get_args, get_origin

import numpy as np

from tune_paddy.core.arguments.kinds import kinds_of
from tune_paddy.core.arguments.suggestions import did_you_mean
from tune_paddy.core.errors import InputError

P = ParamSpec("P")
R = TypeVar("R")

_MODULE = re.compile(r"\b[a-z_]+\.(?=[\w.]*[A-Z])")
"""Module before the name of a class."""

_LONGEST = 60
"""Number of letters of a value in a message."""


class ArgumentError(InputError, TypeError):
    """An argument of a call is unknown or missing, or is of a wrong type."""


def checked(function: Callable[P, R]) -> Callable[P, R]:
    """Return a function that checks its arguments by its annotations before it runs.

    Parameters without an annotation, and keyword arguments collected in `**settings`, are not checked.
    """
    signature = inspect.signature(function)
    kinds = {name: kinds_of(_text(one.annotation)) for name, one in signature.parameters.items() if _has(one)}

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        _check_names(function.__name__, signature.parameters, args, kwargs)
        for name, value in signature.bind(*args, **kwargs).arguments.items():
            values = (
                value if signature.parameters[name].kind is inspect.Parameter.VAR_POSITIONAL else (value,)
            )
            for one in values if name in kinds else ():
                if not any(kind.accepts(one) for kind in kinds[name]):
                    words = " or ".join(dict.fromkeys(kind.words for kind in kinds[name]))
                    raise ArgumentError(f"{name}: should be {words}, not {_shown(one)}", options=(name,))
        return function(*args, **kwargs)

    return call


def _has(parameter: inspect.Parameter) -> bool:
    """Whether a parameter has an annotation to check."""
    return (
        parameter.annotation is not inspect.Parameter.empty
        and parameter.kind is not inspect.Parameter.VAR_KEYWORD
    )


def _text(annotation: Any) -> str:
    """Return the text of an annotation, without modules; arrays and functions have their names alone."""
    origin = get_origin(annotation)
    if origin in (Union, UnionType):
        return " | ".join(_text(one) for one in get_args(annotation))
    meaning = getattr(origin or annotation, "__value__", None)
    if meaning is not None:  # of a type statement, as NumPy's NDArray is from Python 3.12 on
        return _text(meaning)
    if origin in (np.ndarray, Callable):
        return str(origin.__name__)
    if annotation is NoneType:
        return "None"
    text = annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)
    return _MODULE.sub("", text)


def _check_names(
    function: str, parameters: Mapping[str, inspect.Parameter], args: Sequence[Any], given: Mapping[str, Any]
) -> None:
    """Raise if arguments are unknown or missing, or too many stand without a name."""
    listed = list(parameters.values())
    kinds = {one.kind for one in listed}
    by_place = [one.name for one in listed if one.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD]
    if inspect.Parameter.VAR_POSITIONAL not in kinds and len(args) > len(by_place):
        raise ArgumentError(_too_many(function, listed, by_place, _shown(args[len(by_place)])))
    unknown = [name for name in given if name not in parameters]
    if unknown and inspect.Parameter.VAR_KEYWORD not in kinds:
        hint = did_you_mean(unknown[0], parameters) or f"; it has {', '.join(parameters)}"
        raise ArgumentError(f"{function} has no parameter {unknown[0]!r}{hint}", options=(unknown[0],))
    missing = [
        one.name
        for one in listed[len(args) :]
        if one.default is one.empty and one.name not in given and one.kind in _REQUIRED
    ]
    if missing:
        raise ArgumentError(f"{function}: give {missing[0]!r}", options=(missing[0],))


_REQUIRED = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


def _too_many(
    function: str, parameters: Sequence[inspect.Parameter], by_place: Sequence[str], shown: str
) -> str:
    """Return what to do with an argument that has no place: name it, or leave it out."""
    named = [one.name for one in parameters if one.kind is inspect.Parameter.KEYWORD_ONLY]
    if named:
        return f"{function}: name the argument {shown}, as in `{named[0]}=…`"
    own = [f"`{name}`" for name in by_place if name not in ("self", "cls")]
    taken = f"takes {' and '.join(own)} alone" if own else "takes no argument"
    return f"{function} {taken}: leave out {shown}"


def _shown(value: Any) -> str:
    """Return a value for a message: short values as Python writes them, others by their type."""
    text = repr(value)
    short = len(text) <= _LONGEST and "\n" not in text
    return text if short else f"{type(value).__module__}.{type(value).__name__}"
