"""Forecast the members of a search by the operations of their networks."""

from functools import cache

from tune_paddy.core.config import MemberConfig
from tune_paddy.core.errors import TunePaddyError
from tune_paddy.core.timing.cost import member_seconds
from tune_paddy.core.timing.kinds import kind_of
from tune_paddy.core.timing.speed import cost_by_operations
from tune_paddy.core.timing.workload import workload
from tune_paddy.data.member_data import Parts
from tune_paddy.search.plan import SearchPlan
from tune_paddy.search.timing.paces import MemberPaces
from tune_paddy.spaces.building.networks import known_network


def member_paces(plan: SearchPlan, parts: Parts, *, limited: bool) -> MemberPaces:
    """Return the forecasts of the members of a search.

    Args:
        plan: Plan of the search; its `timed` networks and `decode` tell the speed before a member has ended.
        parts: Training images, select split and test set.
        limited: Whether the search has a time budget; otherwise no forecast is needed.
    """
    if not limited:
        return MemberPaces(lambda _: None, in_seconds=False)
    select, test = len(parts.select.ids), len(parts.test.ids)
    load = workload(plan.settings, len(plan.dataset.labelled), select=select, test=test, decode=plan.decode)
    n_classes = len(plan.dataset.classes)

    @cache
    def operations_of(network: MemberConfig) -> int | None:
        return _operations(network, n_classes)

    @cache
    def forecast(config: MemberConfig) -> float | None:
        operations = operations_of(kind_of(config))
        if operations is None:
            return None
        return member_seconds(config, cost_by_operations(config, operations, plan.timed), load)

    return MemberPaces(forecast, in_seconds=bool(plan.timed))


def _operations(config: MemberConfig, n_classes: int) -> int | None:
    """Return the operations of a member's network; None: they cannot be counted."""
    known = known_network(config.arch, config.size)
    if known is not None:
        return known.operations
    from tune_paddy.training.timing.kinds import member_operations  # noqa: PLC0415 torch takes seconds

    try:
        return member_operations(config, n_classes)
    except TunePaddyError:
        return None  # the trial itself reports the error
