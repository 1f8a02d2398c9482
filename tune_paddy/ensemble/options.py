"""Options of a selection; the import is cheap, since help screens are generated from them."""

import math
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from types import MappingProxyType
from typing import Any

from tune_paddy.core.arguments.suggestions import did_you_mean
from tune_paddy.core.errors import InputError
from tune_paddy.core.selection.names import METHOD_NAMES, METRIC_NAMES, RANKED_METRICS, is_metric

AUTO = "auto"
SELECTION, BUDGET = "Selection", "Budget"
"""Headings of the options in help screens."""


def metric_names() -> tuple[str, ...]:
    """Return the names of the metrics that help screens list."""
    return METRIC_NAMES


def method_names() -> tuple[str, ...]:
    """Return the names of the selection methods: `auto`, then the others, simplest first."""
    return (AUTO, *METHOD_NAMES)


def _about(
    description: str,
    *,
    group: str,
    unit: str = "",
    choices: Callable[[], Sequence[str]] | None = None,
    further: str = "",
    allowed: Callable[[str], bool] | None = None,
    bounds: Mapping[str, float] = MappingProxyType({}),
) -> dict[str, Any]:
    """Return the metadata of a field, for validation, command line and reference.

    Args:
        description: Meaning, a noun phrase.
        group: Heading of the option in help screens.
        unit: Unit of the value, or "".
        choices: Function that returns the allowed names; None: the value is no name.
        further: Names that are allowed beside the choices, in words, or "".
        allowed: Function that returns whether a name is allowed; None: the choices are.
        bounds: `gt` → exclusive lower bound, or `ge` → inclusive lower bound.
    """
    return {
        "description": description,
        "group": group,
        "unit": unit,
        "choices": choices,
        "further": further,
        "allowed": allowed,
        "bounds": bounds,
    }


@dataclass(frozen=True)
class SelectionOptions:
    """Options of a selection.

    The options of `tune-paddy select` and the reference are generated from the fields' metadata.

    Raises:
        InputError: A name is unknown, or a number is out of bounds.
    """

    metric: str = field(
        default="log_loss",
        metadata=_about(
            "loss that selection minimises",
            group=SELECTION,
            choices=metric_names,
            further=RANKED_METRICS,
            allowed=is_metric,
        ),
    )
    method: str = field(
        default=AUTO,
        metadata=_about("selection method; auto: compare all", group=SELECTION, choices=method_names),
    )
    weights: tuple[str, ...] = field(
        default=(),
        metadata=_about(
            "fixed ensemble weights instead of a selection, as PATTERN=WEIGHT, such as 'vit*=2'; repeatable",
            group=SELECTION,
        ),
    )
    max_members: int | None = field(
        default=None, metadata=_about("maximum number of members", group=BUDGET, bounds={"gt": 0})
    )
    max_minutes: float | None = field(
        default=None,
        metadata=_about(
            "maximum time to predict the test set", group=BUDGET, unit="minutes", bounds={"gt": 0}
        ),
    )
    max_size: float | None = field(
        default=None,
        metadata=_about("maximum size of all weights files", group=BUDGET, unit="MiB", bounds={"gt": 0}),
    )
    speed_factor: float = field(
        default=1.0,
        metadata=_about("slowdown of the predicting machine, a factor", group=BUDGET, bounds={"gt": 0}),
    )
    seed: int = field(
        default=0, metadata=_about("seed of the selection methods", group=SELECTION, bounds={"ge": 0})
    )

    def __post_init__(self) -> None:
        for option in fields(self):
            _check(option.name, getattr(self, option.name), option.metadata)

    @property
    def bounded(self) -> bool:
        """Whether there is any budget."""
        return any(limit is not None for limit in (self.max_members, self.max_minutes, self.max_size))


def _check(option: str, value: Any, about: Mapping[str, Any]) -> None:
    """Raise if a value is not one of an option's choices, or is out of bounds."""
    choices, bounds, wanted = about["choices"], about["bounds"], ""
    if value is None:
        return
    if choices is not None:
        wanted = _wanted(value, choices(), about)
    elif bounds and not math.isfinite(value):
        wanted = "give a finite number"
    elif "gt" in bounds and not value > bounds["gt"]:
        wanted = f"give a number above {bounds['gt']}"
    elif "ge" in bounds and value < bounds["ge"]:
        wanted = f"give a whole number of at least {bounds['ge']}"
    if wanted:
        shown = repr(value) if isinstance(value, str) else str(value)
        raise InputError(f"{option} {shown}: {wanted}", options=(option,))


def _wanted(value: Any, known: Sequence[str], about: Mapping[str, Any]) -> str:
    """Return what to choose instead of a name; "" if it is allowed."""
    allowed = about["allowed"] or known.__contains__
    if isinstance(value, str) and allowed(value):
        return ""
    further = f", or {about['further']}" if about["further"] else ""
    return f"choose one of {', '.join(known)}{further}{did_you_mean(value, known)}"


def select_command(searches: Sequence[str], options: SelectionOptions) -> str:
    """Return the command that selects with these options.

    >>> select_command(["night"], SelectionOptions(metric="error_rate", weights=("*vit*=2",)))
    "tune-paddy select night --metric error_rate --weights '*vit*=2'"
    """
    words = ["tune-paddy", "select", *searches]
    for option in fields(options):
        value = getattr(options, option.name)
        if value != option.default:
            flag = f"--{option.name.replace('_', '-')}"
            values = value if isinstance(value, tuple) else (value,)
            words += [word for one in values for word in (flag, str(one))]
    return shlex.join(words)
