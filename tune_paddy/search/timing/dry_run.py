"""Forecast the time of a search from timed steps of its first members on this machine."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from tune_paddy.core.config import MemberConfig, SearchSettings
from tune_paddy.core.errors import InputError
from tune_paddy.core.memory import TrialMemory
from tune_paddy.core.timing.cost import Workload, member_seconds
from tune_paddy.core.timing.forecast import Span, TimeForecast, spoken
from tune_paddy.core.timing.kinds import kind_of
from tune_paddy.core.timing.workload import workload
from tune_paddy.data.system.progress.stages import SILENT, Progress
from tune_paddy.data.system.text import counted
from tune_paddy.search.plan import SearchPlan, new_split, preview
from tune_paddy.search.resources import check_resources, resources_here

if TYPE_CHECKING:
    from tune_paddy.training.timing.kinds import TimedKinds

SAMPLED = 40
"""Number of sampled members that represent the space, beside those that are known before."""

IMAGES = 64
"""Number of image files that are read to time the steps."""

OPENING = 2.0
"""Time in which a search opens its record and its processes start, in s; see `benchmarks/LOG.md`."""

RECORDING = 1.5
"""Time of a trial beside its steps, in s: its run, checkpoints, reports, files; see `benchmarks/LOG.md`."""

ERROR = 0.25
"""Assumed standard deviation of log(measured / forecast seconds), see `benchmarks/time_forecast.py`."""

Planner = Callable[[MemberConfig], TrialMemory]


@dataclass(frozen=True)
class SearchTime:
    """Forecast time of a search on this machine.

    Attributes:
        forecast: Forecast of its members.
        total: Number of its members.
        timed: Number of kinds of members whose steps were timed.
        kinds: Number of kinds among the sampled members.
        skipped: Number of sampled members without a forecast.
        settings: Settings of the search.
        start: Time until the first trials train, in s: their processes import torch.
    """

    forecast: TimeForecast
    total: int
    timed: int
    kinds: int
    skipped: int
    settings: SearchSettings
    start: float = 0.0

    @property
    def span(self) -> Span:
        """Time from the start of the first trials to the end of the last, in s."""
        training = self.forecast.total(self.total)
        return Span(*(self.start + seconds for seconds in (training.median, training.low, training.high)))

    def lines(self) -> list[str]:
        """Return the forecast in words, and what it leaves out, one sentence each."""
        span, at_once = self.span, self.forecast.at_once
        range_words = f"({spoken(span.low)} to {spoken(span.high)})"
        trials = f"{counted(self.total, 'trial')}, {at_once} at once"
        lines = [f"{trials}: about {spoken(span.median)} on this machine {range_words}"]
        if self.settings.scheduler != "none":
            lines.append("Early stopping shortens it: the forecast is an upper bound")
        if self.settings.minutes is not None and 60 * self.settings.minutes < span.low:
            lines.append(f"`minutes` is {self.settings.minutes:g}: not all of these trials start")
        if self.timed < self.kinds:
            lines.append(
                f"{self.timed} of {counted(self.kinds, 'kind')} of members timed; the others by their "
                "number of operations"
            )
        if self.skipped:
            lines.append(f"{counted(self.skipped, 'sampled member')} cannot be timed and are left out")
        return lines


def forecast_time(
    plan: SearchPlan,
    plan_memory: Planner | None,
    *,
    limit: float,
    progress: Progress = SILENT,
    clock: Callable[[], float] = time.perf_counter,
) -> SearchTime:
    """Time the steps of a search's first members on this machine, and forecast its whole time.

    Trials that share a GPU are taken to share its time evenly; on CPUs their contention is measured.

    Args:
        plan: Plan of the search.
        plan_memory: Function that plans the memory of a trial; None: no GPU was found for it.
        limit: Time after which no further kind of member is timed, in s.
        progress: Receiver of the stages.
        clock: Source of time in seconds.

    Raises:
        InputError: No forecast is possible: trials run elsewhere, or need a GPU that this machine has not.
    """
    available = _available(plan)
    if plan_memory is None or (plan.settings.gpu != 0 and not available["GPU"]):
        raise InputError("no forecast of time: the trials need a GPU, and this machine has none")
    progress.stage("importing torch")
    imports = import_seconds()
    first = len(plan.first)
    configs = [proposal.config for proposal in preview(plan, n=first + SAMPLED)]
    timed = _time_steps(plan, configs, plan_memory, limit=limit, progress=progress, clock=clock)
    known = _with_cost(configs, timed)
    at_once, crowd = _places(plan.settings, available, [plan_memory(config).gpu for config in known])
    load = _workload(plan, timed.decode)
    costs = [timed.costs[kind_of(config)].scaled(crowd) for config in known]
    pairs = zip(known, costs, strict=True)
    seconds = tuple(member_seconds(config, cost, load, start=RECORDING) for config, cost in pairs)
    return SearchTime(
        TimeForecast(seconds, at_once, first=_count_known(configs[:first], timed), error=ERROR),
        plan.total,
        timed=len(timed.timed),
        kinds=len(timed.costs),
        skipped=len(configs) - len(known),
        settings=plan.settings,
        start=OPENING + imports * crowd,
    )


def _available(plan: SearchPlan) -> dict[str, float]:
    """Return the resources of this machine.

    Raises:
        InputError: The trials run elsewhere, or only a running Ray can count the resources.
    """
    available = resources_here(plan.ray_gpus)
    if plan.ray_address is not None or available is None:
        raise InputError("no forecast of time: the trials run on another machine than this one")
    return available


def _time_steps(
    plan: SearchPlan,
    configs: Sequence[MemberConfig],
    plan_memory: Planner,
    *,
    limit: float,
    progress: Progress,
    clock: Callable[[], float],
) -> "TimedKinds":
    """Time the steps of members on images of the dataset, see `forecast_time`."""
    from tune_paddy.training.timing.kinds import time_kinds  # noqa: PLC0415 torch takes seconds

    labelled, settings = plan.dataset.labelled["path"], plan.settings
    paths = [str(path) for path in labelled.sample(min(IMAGES, len(labelled)), random_state=0)]
    return time_kinds(
        configs,
        paths,
        n_classes=len(plan.dataset.classes),
        cpus=max(1, int(settings.cpus)),
        allow_gpu=settings.gpu != 0,
        accum_of=lambda config: plan_memory(config).accum,
        limit=limit,
        progress=progress,
        clock=clock,
    )


def _count_known(configs: Sequence[MemberConfig], timed: "TimedKinds") -> int:
    return sum(kind_of(config) in timed.costs for config in configs)


def _with_cost(configs: Sequence[MemberConfig], timed: "TimedKinds") -> list[MemberConfig]:
    """Return the members whose kind has a cost.

    Raises:
        InputError: None has one.
    """
    known = [config for config in configs if kind_of(config) in timed.costs]
    if not known:
        reason = next(iter(timed.skipped.values()), "the space proposes no member")
        raise InputError(f"no forecast of time: {reason}")
    return known


def _workload(plan: SearchPlan, decode: float) -> Workload:
    """Return the images that each member of a search reads; decoding one takes `decode` s."""
    select, test = len(new_split(plan).select_ids), len(plan.dataset.test)
    return workload(plan.settings, len(plan.dataset.labelled), select=select, test=test, decode=decode)


@cache
def import_seconds() -> float:
    """Import what a trial's process imports, and return its CPU time, in s; near 0 if it is imported."""
    started = time.process_time()
    import tune_paddy.training.timing.kinds  # noqa: F401, PLC0415 torch takes seconds

    return time.process_time() - started


def _places(settings: SearchSettings, available: dict[str, float], shares: list[float]) -> tuple[int, float]:
    """Return the number of concurrent trials, and by how much they slow each other on a GPU or its CPUs."""
    at_once = check_resources(settings, available)
    share = sum(shares) / len(shares)
    if share == 0:
        from tune_paddy.training.timing.contention import cpu_slowdown  # noqa: PLC0415 torch takes seconds

        return at_once, cpu_slowdown(at_once, max(1, int(settings.cpus)))
    at_once = max(1, min(at_once, int(available["GPU"] / share + 1e-9)))
    return at_once, max(1.0, at_once / available["GPU"])
