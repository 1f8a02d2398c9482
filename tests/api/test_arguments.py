"""Every argument of every public function: a wrong type is one line that names the parameter."""

import inspect
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import tune_paddy as tp

FUNCTIONS: dict[str, Callable[..., Any]] = {
    "run_search": tp.run_search,
    "load_pool": tp.load_pool,
    "select": tp.select,
    "forecast": tp.forecast,
    "list_ensembles": tp.list_ensembles,
    "load_ensemble": tp.load_ensemble,
    "use_ensemble": tp.use_ensemble,
    "find_label_errors": tp.find_label_errors,
    "plot_images": tp.plot_images,
    "greedy_select": tp.greedy_select,
    "Dataset.open": tp.Dataset.open,
    "SearchSpace.load": tp.SearchSpace.load,
    "SearchSpace.parse": tp.SearchSpace.parse,
    "SearchSpace.check_archs": tp.SearchSpace.check_archs,
    "SearchSpace.with_stand_ins": tp.SearchSpace.with_stand_ins,
    "Pool.plot": tp.Pool.plot,
    "Pool.report": tp.Pool.report,
    "Chosen.report": tp.Chosen.report,
    "SearchResult.plot": tp.SearchResult.plot,
    "SearchResult.report": tp.SearchResult.report,
}


def arguments() -> Iterator[tuple[str, str]]:
    """Yield every (function, parameter)."""
    for name, function in FUNCTIONS.items():
        for parameter in inspect.signature(function).parameters.values():
            if parameter.name != "self" and parameter.kind is not inspect.Parameter.VAR_KEYWORD:
                yield name, parameter.name


RIGHT = {
    "self": None,
    "data": "nowhere",
    "space": "nowhere",
    "path": "nowhere",
    "text": "",
    "name": "none",
    "search": "none",
    "ensemble": "none",
    "probs": np.zeros(1),
    "labels": np.zeros(1),
    "stand_in": str,
    "check_arch": str,
    "pool": type("Pool", (), {})(),
}
"""Values for required parameters."""


class Odd:
    """A value that no parameter accepts; its own text has several lines."""

    def __repr__(self) -> str:
        return "odd\nodd"


@pytest.mark.parametrize(("function", "parameter"), list(arguments()))
def test_a_wrong_type_is_one_line_that_names_the_parameter(function: str, parameter: str) -> None:
    call = FUNCTIONS[function]
    parameters = inspect.signature(call).parameters
    several = parameters[parameter].kind is inspect.Parameter.VAR_POSITIONAL
    required = [name for name, one in parameters.items() if one.default is one.empty and name in RIGHT]
    needed = {name: RIGHT[name] for name in required}
    with pytest.raises(TypeError) as caught:
        call(*([Odd()] if several else []), **(needed if several else needed | {parameter: Odd()}))
    assert isinstance(caught.value, tp.InputError)
    assert str(caught.value).startswith(f"{parameter}: should be ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("function", [name for name in FUNCTIONS if name != "run_search"])
def test_a_mistyped_keyword_is_one_line_with_a_suggestion(function: str) -> None:
    call = FUNCTIONS[function]
    names = [name for owner, name in arguments() if owner == function and name != "searches"]
    wrong = names[-1][:-1] + "x" + names[-1][-1]
    with pytest.raises(tp.InputError, match=f"has no parameter '{wrong}'; did you mean '{names[-1]}'"):
        call(**{wrong: 1})


@pytest.mark.parametrize(
    ("wrong", "right"),
    [("trails", "trials"), ("minuts", "minutes"), ("nme", "name"), ("stand_in", "stand_ins")],
)
def test_a_mistyped_setting_or_parameter_of_a_search_is_suggested(wrong: str, right: str) -> None:
    with pytest.raises(tp.InputError, match=f"^{wrong}: unknown setting; did you mean '{right}'") as caught:
        tp.run_search("nowhere", "road_to_the_top", **{wrong: 1})  # type: ignore[arg-type]  # for any of them
    assert caught.value.options == (wrong,)


@pytest.mark.parametrize("setting", ["trials", "minutes", "gpu", "scheduler", "seed"])
def test_a_setting_of_a_wrong_type_is_one_line(setting: str) -> None:
    with pytest.raises(tp.InputError, match=f"^{setting}: .*should be ") as caught:
        tp.run_search("nowhere", "road_to_the_top", **{setting: {"odd": []}})  # type: ignore[arg-type]  # the mistake
    assert "\n" not in str(caught.value)


def test_no_public_function_is_left_out() -> None:
    public = {name for name in tp.__all__ if inspect.isfunction(getattr(tp, name))}
    assert public <= set(FUNCTIONS)


def methods() -> Iterator[Any]:
    """Yield every public method of the public classes, except those of errors and of Python's tuple."""
    for owner in tp.__all__:
        cls = getattr(tp, owner)
        if inspect.isclass(cls) and not issubclass(cls, Exception):
            for name, method in inspect.getmembers(cls, callable):
                if not name.startswith("_") and not hasattr(tuple, name):
                    yield pytest.param(getattr(method, "__func__", method), id=f"{owner}.{name}")


@pytest.mark.parametrize("method", list(methods()))
def test_a_surplus_argument_of_a_method_is_one_line(method: Callable[..., Any]) -> None:
    own = [one.kind for one in inspect.signature(method).parameters.values()]
    by_place = own.count(inspect.Parameter.POSITIONAL_OR_KEYWORD)
    with pytest.raises(tp.InputError) as caught:
        method(*[None] * by_place, "surplus")
    assert isinstance(caught.value, TypeError)
    text = str(caught.value)
    assert text.startswith(method.__name__)
    assert text.endswith("leave out 'surplus'") or "name the argument 'surplus', as in `" in text
    assert "\n" not in text
