"""What a search says before it trains: the memory of its next members, and how many its time buys."""

from collections.abc import Sequence

from tune_paddy.core.memory import TrialMemory
from tune_paddy.core.timing.cost import member_seconds
from tune_paddy.core.timing.forecast import TimeForecast
from tune_paddy.core.timing.kinds import kind_of
from tune_paddy.core.timing.workload import workload
from tune_paddy.search.plan import Preview, preview
from tune_paddy.search.preflight import ReadyPlan
from tune_paddy.search.resources import resources_here
from tune_paddy.search.resuming.history import Earlier
from tune_paddy.search.timing.dry_run import ERROR, RECORDING, SAMPLED, at_once_on_gpus, number_line
from tune_paddy.search.timing.recorded import recorded_costs
from tune_paddy.tracking.store import Store
from tune_paddy.training.gpu_memory import load_nvml, visible_gpu

MOST_NAMED = 4
"""Maximum number of members whose memory is named."""

LEAST_KNOWN = 1 / 2
"""Share of the previewed members whose kinds the record must have for a forecast of their number."""


def start_lines(ready: ReadyPlan, store: Store, earlier: Earlier, left: float) -> list[str]:
    """Return what is known of the next members without timing a step, one line each.

    Args:
        ready: The search.
        store: The record, whose earlier members tell how long those of their kinds take.
        earlier: Earlier sessions of the search.
        left: Time that is left for training, in s; inf: no limit.

    Raises:
        TunePaddyError: MLflow failed, or trials use a GPU whose driver does not answer.
    """
    plan = ready.plan
    minutes, named = plan.settings.minutes, min(ready.at_once, MOST_NAMED)
    # The lines of a built space have its time. Of the machines of a cluster the record tells nothing here.
    quoted = minutes is not None and not plan.timed and plan.ray_address is None
    coming = preview(plan, len(plan.first) + SAMPLED if quoted else named, earlier.trials)
    planned = {one.member: ready.memory_of(one.config) for one in coming.proposals[:named]}
    lines = _memory_lines(planned)
    if minutes is None or not quoted:
        return lines
    forecast = _recorded_forecast(ready, store, coming, _at_once(ready, list(planned.values())))
    if forecast is None:
        return lines
    number = forecast.number(left, max(plan.total - earlier.done, 0))
    return [*lines, f"{number_line(number, minutes)}, by earlier members of their kinds"]


def _memory_lines(planned: dict[str, TrialMemory]) -> list[str]:
    """Return the forecast memory of members on a GPU in one line; none on CPUs."""
    words = [
        f"{name} {memory.forecast_mib:,.0f} MiB of {memory.budget_mib:,.0f} (accum {memory.accum})"
        for name, memory in planned.items()
        if memory.forecast_mib
    ]
    return [f"GPU memory by forecast: {', '.join(words)}"] if words else []


def _at_once(ready: ReadyPlan, planned: Sequence[TrialMemory]) -> int:
    """Return the number of concurrent trials: fewer than the CPUs allow if their shares fill the GPUs."""
    shares = [memory.gpu for memory in planned]
    gpus = (resources_here(ready.plan.ray_gpus) or {}).get("GPU", 0.0)
    if not gpus or not sum(shares):
        return ready.at_once
    return at_once_on_gpus(ready.at_once, gpus, shares)


def _recorded_forecast(ready: ReadyPlan, store: Store, coming: Preview, at_once: int) -> TimeForecast | None:
    """Return the time of members from the record; None: it has too few of their kinds.

    Recorded costs have the contention of the trials that ran beside them.
    """
    plan, settings = ready.plan, ready.plan.settings
    # The driver is asked: with torch, this process would take memory of the GPU.
    gpu = None if settings.gpu == 0 else visible_gpu(load_nvml())[0]
    costs = recorded_costs(store, gpu=gpu, cpus=max(1, int(settings.cpus)))
    configs = [proposal.config for proposal in coming.proposals]
    known = [kind_of(config) in costs for config in configs]
    if not configs or sum(known) < LEAST_KNOWN * len(configs):
        return None
    select, test = len(ready.parts.select), len(ready.parts.test)
    load = workload(settings, len(plan.dataset.labelled), select=select, test=test)
    seconds = tuple(
        member_seconds(config, costs[kind_of(config)], load, start=RECORDING)
        for config, has_cost in zip(configs, known, strict=True)
        if has_cost
    )
    return TimeForecast(seconds, at_once, first=sum(known[: coming.known]), error=ERROR)
