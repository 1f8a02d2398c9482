"""Forecast the time of a search from timed steps of its first members on this machine."""

import math
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
from tune_paddy.search.resuming.history import FIRST_SESSION, Earlier
from tune_paddy.search.timing.budget import TimeBudget

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
        total: Number of its members, without those that earlier sessions ended.
        timed: Number of kinds of members whose steps were timed.
        kinds: Number of kinds among the sampled members.
        skipped: Number of sampled members without a forecast.
        settings: Settings of the search.
        start: Time until the first trials train, in s: their processes import torch.
        spent: Time that earlier sessions used, in s.
    """

    forecast: TimeForecast
    total: int
    timed: int
    kinds: int
    skipped: int
    settings: SearchSettings
    start: float = 0.0
    spent: float = 0.0

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
        lines += self._number_lines()
        if self.timed < self.kinds:
            lines.append(
                f"{self.timed} of {counted(self.kinds, 'kind')} of members timed; the others by their "
                "number of operations"
            )
        if self.skipped:
            lines.append(f"{counted(self.skipped, 'sampled member')} cannot be timed and are left out")
        return lines

    def _number_lines(self) -> list[str]:
        """Return in one line how many of the members end in the time limit; none if all do."""
        if self.settings.minutes is None:
            return []
        budget = TimeBudget(seconds=60 * self.settings.minutes - self.spent, opened=self.start)
        ended = self.forecast.number(budget.training_end - self.start, self.total)
        return [] if ended.low == self.total else [number_line(ended, self.settings.minutes)]


def number_line(number: Span, minutes: float) -> str:
    """Say how many members end in the time limit of a search, in minutes.

    >>> number_line(Span(12.5, 9.0, 15.0), 480.0)
    '`minutes` is 480: about 12 members end in time (9 to 15)'
    """
    low, median, high = (math.floor(it) for it in (number.low, number.median, number.high))
    return f"`minutes` is {minutes:g}: about {counted(median, 'member')} end in time ({low} to {high})"


def forecast_time(
    plan: SearchPlan,
    plan_memory: Planner | None,
    *,
    earlier: Earlier | None = None,
    limit: float,
    progress: Progress = SILENT,
    clock: Callable[[], float] = time.perf_counter,
) -> SearchTime:
    """Time the steps of a search's first members on this machine, and forecast its whole time.

    Trials that share a GPU are taken to share its time evenly; on CPUs their contention is measured.

    Args:
        plan: Plan of the search.
        plan_memory: Function that plans the memory of a trial; None: no GPU was found for it.
        earlier: Earlier sessions of a resumed search; None: the search is new.
        limit: Time after which no further kind of member is timed, in s.
        progress: Receiver of the stages.
        clock: Source of time in seconds.

    Raises:
        InputError: No forecast is possible: trials run elsewhere, or need a GPU that this machine has not.
    """
    available, earlier = _available(plan), earlier or FIRST_SESSION
    if plan_memory is None or (plan.settings.gpu != 0 and not available["GPU"]):
        raise InputError("no forecast of time: the trials need a GPU, and this machine has none")
    progress.stage("importing torch")
    imports = import_seconds()
    coming = preview(plan, len(plan.first) + SAMPLED, earlier.trials)
    configs = [proposal.config for proposal in coming.proposals]
    timed = _time_steps(plan, configs, plan_memory, limit=limit, progress=progress, clock=clock)
    known = _with_cost(configs, timed)
    at_once, crowd = _places(plan.settings, available, [plan_memory(config).gpu for config in known])
    load = _workload(plan, timed.decode)
    costs = [timed.costs[kind_of(config)].scaled(crowd) for config in known]
    pairs = zip(known, costs, strict=True)
    seconds = tuple(member_seconds(config, cost, load, start=RECORDING) for config, cost in pairs)
    return SearchTime(
        TimeForecast(seconds, at_once, first=_count_known(configs[: coming.known], timed), error=ERROR),
        max(plan.total - earlier.done, 0),
        timed=len(timed.timed),
        kinds=len(timed.costs),
        skipped=len(configs) - len(known),
        settings=plan.settings,
        start=OPENING + imports * crowd,
        spent=earlier.seconds,
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
    if not sum(shares):
        from tune_paddy.training.timing.contention import cpu_slowdown  # noqa: PLC0415 torch takes seconds

        return at_once, cpu_slowdown(at_once, max(1, int(settings.cpus)))
    at_once = at_once_on_gpus(at_once, available["GPU"], shares)
    return at_once, max(1.0, at_once / available["GPU"])


def at_once_on_gpus(most: int, gpus: float, shares: Sequence[float]) -> int:
    """Return the number of concurrent trials whose shares fill some GPUs.

    Args:
        most: Number that the CPUs allow.
        gpus: Number of GPUs.
        shares: Share of a GPU of each of some trials; their sum is above 0.
    """
    return max(1, min(most, int(gpus * len(shares) / sum(shares) + 1e-9)))
