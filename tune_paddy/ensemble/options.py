"""What a person asks of a selection; light to import, since help screens are generated from it."""

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from types import MappingProxyType
from typing import Any

from tune_paddy.core.errors import InputError

AUTO = "auto"
SELECTION, BUDGET = "Selection", "Budget"
"""Headings that the options of a selection stand under."""


def metric_names() -> tuple[str, ...]:
    """Names of the metrics."""
    from tune_paddy.core.metrics import METRICS  # noqa: PLC0415 it takes numpy

    return tuple(METRICS)


def method_names() -> tuple[str, ...]:
    """Names of the selection methods, simplest first, after `auto`."""
    from tune_paddy.core.selection.methods import METHODS  # noqa: PLC0415 it takes scipy

    return (AUTO, *METHODS)


def _about(
    description: str,
    *,
    group: str,
    unit: str = "",
    choices: Callable[[], Sequence[str]] | None = None,
    bounds: Mapping[str, float] = MappingProxyType({}),
) -> dict[str, Any]:
    """What a field allows, and what command line and reference say of it.

    Args:
        description: The meaning, a noun phrase.
        group: The heading that it stands under.
        unit: The unit of its value, or "".
        choices: Returns its values by name; None: they have no names.
        bounds: `gt` → the number that the value is above, or `ge` → its least value.
    """
    return {"description": description, "group": group, "unit": unit, "choices": choices, "bounds": bounds}


@dataclass(frozen=True)
class SelectionOptions:
    """What a person asks of a selection.

    The metadata of each field, which describes it, is the one source of the options of `tune-paddy select`
    and of the reference.

    Raises:
        InputError: A name is unknown, or a number is out of its bounds.
    """

    metric: str = field(
        default="log_loss",
        metadata=_about("loss that selection minimises", group=SELECTION, choices=metric_names),
    )
    method: str = field(
        default=AUTO,
        metadata=_about("selection method; auto: all are compared", group=SELECTION, choices=method_names),
    )
    weights: tuple[str, ...] = field(
        default=(),
        metadata=_about(
            "weights by hand, which replace the selection, as PATTERN=WEIGHT, such as 'vit*=2'; repeatable",
            group=SELECTION,
        ),
    )
    max_members: int | None = field(
        default=None, metadata=_about("most members in the ensemble", group=BUDGET, bounds={"gt": 0})
    )
    max_minutes: float | None = field(
        default=None,
        metadata=_about(
            "longest time to predict the test set", group=BUDGET, unit="minutes", bounds={"gt": 0}
        ),
    )
    max_size: float | None = field(
        default=None,
        metadata=_about("largest weights of all members", group=BUDGET, unit="MiB", bounds={"gt": 0}),
    )
    speed_factor: float = field(
        default=1.0,
        metadata=_about("how many times slower the machine is that predicts", group=BUDGET, bounds={"gt": 0}),
    )
    seed: int = field(
        default=0, metadata=_about("seed of the selection methods", group=SELECTION, bounds={"ge": 0})
    )

    def __post_init__(self) -> None:
        for option in fields(self):
            _check(option.name, getattr(self, option.name), option.metadata)

    @property
    def bounded(self) -> bool:
        """Whether any budget was given."""
        return any(limit is not None for limit in (self.max_members, self.max_minutes, self.max_size))


def _check(option: str, value: Any, about: Mapping[str, Any]) -> None:
    """Refuse a value that is not among the choices or bounds of an option."""
    choices, bounds, wanted = about["choices"], about["bounds"], ""
    if value is None:
        return
    if choices is not None:
        known = choices()
        wanted = "" if value in known else f"choose one of {', '.join(known)}"
    elif "gt" in bounds and not value > bounds["gt"]:
        wanted = f"give a number above {bounds['gt']}"
    elif "ge" in bounds and value < bounds["ge"]:
        wanted = f"give a whole number from {bounds['ge']} on"
    if wanted:
        shown = repr(value) if isinstance(value, str) else str(value)
        raise InputError(f"{option} {shown}: {wanted}", options=(option,))


def select_command(searches: Sequence[str], options: SelectionOptions) -> str:
    """The command that selects with these options.

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
