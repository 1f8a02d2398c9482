"""Checks across the parameters of a recipe or sub-space: contradictions, and sizes of architectures."""

from collections.abc import Callable, Collection, Iterator, Mapping
from itertools import combinations, product
from typing import Any

from pydantic import ValidationError

from tune_paddy.core.config import TRAINING_ONLY, MemberConfig
from tune_paddy.core.domains import Choice, Domain, Fixed, Range, candidates

ArchCheck = Callable[[str, tuple[int, int], float], str | None]
"""Function that returns why an architecture does not support a size, or None if it does.

Its arguments are the architecture, (height, width) in px, and a `large_view`, 1 for none.
"""

LayersCheck = Callable[[str, tuple[int, int]], str | None]
"""Function that returns why an architecture cannot train with `layer_decay`, or None if it can.

Its arguments are the architecture, and (height, width) in px that it supports.
"""

Domains = Mapping[str, Domain]

_A_LITTLE = 0.01  # above 1, in a continuous range of `large_view`
_MOST_WORDS = 10  # apart from free text, no parameter has more options than that


def contradictions(domains: Domains) -> list[str]:
    """Return the errors of `MemberConfig` for members within the domains.

    Every pair of parameters is tried with all combinations of their extreme values, the others at their
    first value. A contradiction between two parameters always shows at their extremes.
    """
    extremes = {parameter: _extremes(domain) for parameter, domain in domains.items()}
    return list(dict.fromkeys(message for case in _cases(extremes) for message in _refusals(case)))


def _cases(extremes: Mapping[str, list[Any]]) -> Iterator[dict[str, Any]]:
    first = {parameter: values[0] for parameter, values in extremes.items()}
    yield first
    varied = {parameter: values for parameter, values in extremes.items() if len(values) > 1}
    for parameter, values in varied.items():
        yield from ({**first, parameter: value} for value in values)
    for (one, ones), (other, others) in combinations(varied.items(), 2):
        for value, another in product(ones, others):
            yield {**first, one: value, other: another}


def _refusals(values: dict[str, Any]) -> list[str]:
    try:
        MemberConfig(**values)
    except ValidationError as error:
        return [problem["msg"].removeprefix("Value error, ") for problem in error.errors()]
    return []


def _extremes(domain: Domain) -> list[Any]:
    """Return a domain's extreme values; for pairs, those extreme in height or in width."""
    if isinstance(domain, Range):
        return [domain.low, domain.high]
    values = domain.values if isinstance(domain, Choice) else (domain.value,)
    ordered = [value for value in values if _is_ordered(value)]
    words = [value for value in values if not _is_ordered(value)]
    return list(dict.fromkeys([*_edges(ordered, _height), *_edges(ordered, _width), *words[:_MOST_WORDS]]))


def _is_ordered(value: Any) -> bool:
    return isinstance(value, int | float | tuple) and not isinstance(value, bool)


def _edges(values: list[Any], key: Callable[[Any], float]) -> list[Any]:
    return [min(values, key=key), max(values, key=key)] if values else []


def _height(value: Any) -> float:
    return float(value[0] if isinstance(value, tuple) else value)


def _width(value: Any) -> float:
    return float(value[1] if isinstance(value, tuple) else value)


def without_effect(domains: Domains, own: Collection[str]) -> Iterator[tuple[str, str]]:
    """Check that members set nothing without effect: on frozen ones, or without another parameter.

    Values from the defaults of a space are ignored, since they are meant for its other members. A fixed value
    beside a parameter that is off is accepted: a recipe of a recorded member states every parameter.

    Args:
        domains: Domains of a recipe or sub-space, completed from the defaults.
        own: Parameters that it sets itself.

    Yields:
        The parameter and a problem.
    """
    searched = "randaugment_ops" in own and not isinstance(domains["randaugment_ops"], Fixed)
    if searched and domains.get("randaugment", _default("randaugment")) == Fixed(0):
        yield "randaugment_ops", "has no effect without randaugment; set randaugment, or leave it out"
        return
    schedules = candidates(domains.get("schedule", _default("schedule")))
    if "frozen" not in schedules:
        return
    if "head" in own and "fitted" in candidates(domains["head"]):
        yield (
            "head",
            "fitted has no effect on frozen members, whose heads always are; leave it out",
        )
    for name in (name for name in TRAINING_ONLY if name in own):
        domain, default = domains[name], MemberConfig.model_fields[name].default
        if schedules == ("frozen",) and domain != Fixed(default):
            yield name, "has no effect with schedule: frozen; leave it out"
        elif not isinstance(domain, Fixed):
            yield name, "has no effect on frozen members; give schedule: frozen its own sub-space"


def arch_problems(
    domains: Domains, check_arch: ArchCheck, check_layers: LayersCheck
) -> Iterator[tuple[str, str]]:
    """Check every architecture at every size that the domains reach; `domains` must hold `arch`.

    For a range of sizes, the first, second and last size are checked: a model that supports the first two
    supports all sizes of the grid. For a range of `large_view`, both ends are checked, and an end at 1, which
    is no view, a little above it.

    Yields:
        The architecture and a problem, each problem once.
    """
    sizes = [_as_pair(size) for size in _reached(domains.get("size", _default("size")))]
    views = _views(domains.get("large_view", _default("large_view")))
    for arch in _reached(domains["arch"]):
        answers = [check_arch(arch, size, view) for size in sizes for view in views]
        if _decays_by_layer(domains) and not any(answers):
            answers.append(check_layers(arch, sizes[0]))
        yield from ((arch, problem) for problem in dict.fromkeys(answers) if problem is not None)


def _default(name: str) -> Fixed:
    return Fixed(MemberConfig.model_fields[name].default)


def _as_pair(size: Any) -> tuple[int, int]:
    return size if isinstance(size, tuple) else (size, size)


def _views(domain: Domain) -> tuple[float, ...]:
    """Return the values of `large_view` to check; 1 stands for the size alone, which the others contain."""
    if isinstance(domain, Range):
        low = domain.low if domain.low > 1 else domain.low + (domain.step or _A_LITTLE)
        return tuple(dict.fromkeys((min(low, domain.high), domain.high)))
    views = tuple(map(float, _reached(domain)))
    return tuple(view for view in views if view > 1) or (1.0,)


def _decays_by_layer(domains: Domains) -> bool:
    """Return whether a member that is not frozen may have a `layer_decay` below 1."""
    domain = domains.get("layer_decay", _default("layer_decay"))
    smallest = domain.low if isinstance(domain, Range) else min(_reached(domain))
    schedules = candidates(domains.get("schedule", _default("schedule")))
    return bool(smallest < 1) and schedules != ("frozen",)


def _reached(domain: Domain) -> tuple[Any, ...]:
    if isinstance(domain, Range):
        return tuple(dict.fromkeys((int(domain.low), int(domain.low + (domain.step or 1)), int(domain.high))))
    return domain.values if isinstance(domain, Choice) else (domain.value,)
