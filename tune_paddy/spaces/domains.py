"""Parsing of a sub-space's parameter: one value, a list of choices, or a range of numbers."""

import math
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, get_args

from tune_paddy.core.config import MemberConfig
from tune_paddy.core.domains import Choice, Domain, Fixed, Range, one_of
from tune_paddy.spaces.problems import Place, unknown
from tune_paddy.spaces.values import SIZES, read_fixed, read_value, show
from tune_paddy.spaces.yaml_tree import YamlEntry, YamlList, YamlMap, YamlNode, YamlScalar

RANGE_KEYS = ("low", "high", "log", "step")
"""Keys of a range."""

_MOST_STEPS = 10**6


def read_domain(node: YamlNode, parameter: str, place: Place) -> Domain | None:
    """Parse a sub-space's parameter; report an invalid one and return None."""
    if isinstance(node, YamlMap):
        return _read_range(node, parameter, place)
    if isinstance(node, YamlList):
        return _read_choice(node, parameter, place)
    return read_fixed(node, parameter, place)


def read_recipe(node: YamlNode, parameter: str, place: Place) -> Domain | None:
    """Parse a recipe's parameter: one value, and of architectures also several, for a recipe each."""
    if parameter == "arch" and isinstance(node, YamlList):
        return _read_choice(node, parameter, place)
    return read_fixed(node, parameter, place)


def _read_choice(node: YamlList, parameter: str, place: Place) -> Fixed | Choice | None:
    if not node.items:
        place.refuse(node.line, "an empty list of choices; give at least one")
        return None
    lines: dict[Any, int] = {}
    for index, item in enumerate(node.items):
        value = _read_option(item, parameter, place[index])
        if value is None:
            continue
        if value.value in lines:
            place[index].refuse(item.line, f"{show(item)} is among the choices already; remove it")
        lines.setdefault(value.value, item.line)
    return one_of(lines) if len(lines) == len(node.items) else None


def _read_option(node: YamlNode, parameter: str, place: Place) -> Fixed | None:
    if isinstance(node, YamlMap) or (isinstance(node, YamlList) and parameter not in SIZES):
        place.refuse(node.line, f"a choice is one value, not {show(node)}")
        return None
    return read_value(node, MemberConfig, parameter, place)


def takes_range(parameter: str) -> bool:
    """Return whether a member's parameter is numeric, so that it can have a range."""
    annotation = MemberConfig.model_fields[parameter].annotation
    return parameter in SIZES or any(
        kind in (int, float) for kind in (annotation, *map(_bare, get_args(annotation)))
    )


def _bare(annotation: Any) -> Any:
    return get_args(annotation)[0] if get_args(annotation) else annotation


def _read_range(node: YamlMap, parameter: str, place: Place) -> Range | None:
    if not takes_range(parameter):
        place.refuse(node.line, "takes no range; give one value or a list of choices")
        return None
    before = len(place.problems)
    for entry in node.entries:
        if entry.key not in RANGE_KEYS:
            place.refuse(entry.line, unknown("key of a range", entry.key, RANGE_KEYS))
    if len(place.problems) > before:
        return None
    entries = {entry.key: entry for entry in node.entries}
    low, high = (_bound(name, node, entries, parameter, place) for name in ("low", "high"))
    log = _read_log(entries, place)
    step = _read_step(entries, isinstance(low, int), place)
    if len(place.problems) > before:
        return None
    problem = _empty(low, high) or _not_log(log, low, step) or _off_grid(low, high, step)
    if problem:
        place.refuse(node.line, problem)
        return None
    return Range(low, high, log=log, step=step, integer=isinstance(low, int))


def _bound(name: str, node: YamlMap, entries: Mapping[str, YamlEntry], parameter: str, place: Place) -> Any:
    if name not in entries:
        place.refuse(node.line, f"a range needs low and high; {name} is missing")
        return None
    bound = entries[name].node
    if not (isinstance(bound, YamlScalar) and _is_number(bound.value)):
        (place / name).refuse(bound.line, f"{show(bound)} should be a number")
        return None
    value = read_value(bound, MemberConfig, parameter, place / name)
    return None if value is None else value.value


def _read_log(entries: Mapping[str, YamlEntry], place: Place) -> bool:
    if "log" not in entries:
        return False
    node = entries["log"].node
    if isinstance(node, YamlScalar) and isinstance(node.value, bool):
        return node.value
    (place / "log").refuse(node.line, f"{show(node)} should be true or false")
    return False


def _read_step(entries: Mapping[str, YamlEntry], whole: bool, place: Place) -> float | None:
    if "step" not in entries:
        return None
    node = entries["step"].node
    value = node.value if isinstance(node, YamlScalar) else None
    kind = int if whole else (int, float)
    if _is_number(value) and isinstance(value, kind) and 0 < value < math.inf:
        return value if whole else float(value)
    (place / "step").refuse(
        node.line, f"{show(node)} should be a {'whole ' if whole else ''}number greater than 0"
    )
    return None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _empty(low: float, high: float) -> str | None:
    if low > high:
        return f"low {low} is not below high {high}; swap them"
    return f"low and high are both {low}; write the value alone" if low == high else None


def _not_log(log: bool, low: float, step: float | None) -> str | None:
    if log and low <= 0:
        return f"low {low} has no logarithm; raise it above 0, or leave log out"
    return "log and step exclude each other; leave one out" if log and step is not None else None


def _off_grid(low: float, high: float, step: float | None) -> str | None:
    """Return why `high` is off the grid; Optuna would silently lower it to the last step."""
    if step is None:
        return None
    if (high - low) / step > _MOST_STEPS:
        return f"step {step} cuts the range into more than {_MOST_STEPS} values; leave it out"
    first, last, width = (Decimal(str(number)) for number in (low, high, step))
    reached = first + (last - first) // width * width
    if reached == last:
        return None
    if reached == first:
        return f"step {step} is larger than the range from {low} to {high}; make it smaller"
    return f"steps of {step} from {low} reach {reached}, not {high}; write high: {reached}"
