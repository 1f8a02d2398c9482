"""State of a running search: its members, its time, its cost and its best ensemble."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from tune_paddy.core.predictions import Pool
from tune_paddy.core.selection.result import Selection
from tune_paddy.core.timing.gains import LEAST_POINTS, Expected, Point, expect, horizon
from tune_paddy.data.image_cache.cache import Progress
from tune_paddy.data.system.text import counted, duration, four_digits
from tune_paddy.search.trial import Trial
from tune_paddy.search.watchers.time_left import Kind, Timing, time_left
from tune_paddy.tracking.context.costs import cost_metric

UNENDED = frozenset(("running", "retrying"))
"""States of a member whose trial has not ended."""

LEAST_FLAT = 8
"""Number of finished members before which a curve does not count as flat."""

LEAST_TRAINED = 4
"""Number of trained members among them, if some train: frozen ones say nothing about their gain."""


@dataclass
class MemberProgress:
    """Progress of one member in this session.

    Attributes:
        name: Name of the member.
        epochs: Number of epochs of each of its models.
        began: Start of its trial, by the search's clock, in seconds.
        share: Number of GPUs or, without a GPU, of CPUs that are reserved for it.
        gpu: Whether a GPU is reserved for it.
        frozen: Whether it is a frozen member.
        state: `running`, `retrying` or an outcome.
        epoch: Number of finished epochs, over all folds.
        log_loss: Log loss on the select split in nats, or on the running fold; None before the first epoch.
        error: Error rate on the same images, from 0 to 1, or None.
        reason: Reason why it did not finish; empty: none is known.
        ended: End of its trial, in seconds, or None.
        cost: Recorded cost of a finished member in GPU- or CPU-seconds, or None.
    """

    name: str
    epochs: int
    began: float
    share: float
    gpu: bool
    frozen: bool = False
    state: str = "running"
    epoch: int = 0
    log_loss: float | None = None
    error: float | None = None
    reason: str = ""
    ended: float | None = None
    cost: float | None = None

    def update(self, state: str, result: dict[str, Any]) -> None:
        """Take the state and the scores of a result; the end of a trial keeps its last epoch."""
        self.state, self.reason = state, str(result.get("reason", ""))
        if "log_loss" in result:
            self.epoch = int(result["epoch"])
        for name, score in (("log_loss", "log_loss"), ("error", "error_rate")):
            value = result.get(score, result.get(f"plain/{score}"))
            if value is not None:
                setattr(self, name, float(value))

    def seconds(self, now: float) -> float:
        """Return the duration of its trial in seconds, until `now` if it has not ended."""
        return (now if self.ended is None else self.ended) - self.began


@dataclass
class SearchProgress:
    """State of a running search, updated by events and read by displays.

    Attributes:
        total: Number of members of the search.
        at_once: Number of members that train concurrently.
        folds: Number of folds of each member; 0: a select split.
        cpus: Number of CPUs of each trial.
        frozen: Number of frozen members among them, as far as the space tells.
        done: Number of members that earlier sessions ended.
        done_frozen: Number of frozen members among these.
        spent: Duration of the earlier sessions, in seconds.
        limit: Duration after which running members end with their epoch, in seconds, or None.
        preparing: Function that returns the progress of the image cache.
        clock: Monotonic clock, in seconds.
        known: Number of members that are known before the sampled ones; all of them run in any case.
        points: Live curve over all sessions: number of finished members → time of the search, log loss.
        ends_early: Function that returns whether no further member starts, since more time does not pay.
        names_more: Function that returns whether the space names members that have not begun.
        members: Name of a member → its progress, in the order of the first start.
        ensemble: Score of the greedy ensemble of the finished members in one line; empty before the first.
    """

    total: int
    at_once: int = 1
    folds: int = 0
    cpus: float = 1.0
    frozen: int = 0
    done: int = 0
    done_frozen: int = 0
    spent: float = 0.0
    limit: float | None = None
    preparing: Callable[[], Sequence[Progress]] = tuple
    clock: Callable[[], float] = time.monotonic
    known: int = 0
    points: dict[int, Point] = field(default_factory=dict)
    ends_early: Callable[[], bool] = lambda: False
    names_more: Callable[[], bool] = lambda: False
    members: dict[str, MemberProgress] = field(default_factory=dict)
    ensemble: str = ""

    def __post_init__(self) -> None:
        self._began = self.clock()
        self._before = len(self.points)
        self._flat: Expected | None = None  # what `is_flat` returned True for

    def trial_changed(self, trial: Trial, state: str, result: dict[str, Any]) -> None:
        """Update a member."""
        gpu = trial.memory.gpu > 0
        new = MemberProgress(
            trial.member,
            trial.config.total_epochs,
            self.clock(),
            trial.memory.gpu if gpu else self.cpus,
            gpu,
            trial.config.frozen,
        )
        member = self.members.setdefault(trial.member, new)
        member.update(state, result)
        if state not in UNENDED:
            member.ended = self.clock()
            member.cost = result.get(cost_metric(trial.memory.gpu))

    def ensemble_selected(self, pool: Pool, selection: Selection) -> None:
        """Take the ensemble of the members finished so far; called from another thread."""
        chosen = {
            view.member for view, weight in zip(pool.views, selection.weights, strict=True) if weight > 0
        }
        self.ensemble = (
            f"Greedy ensemble of {counted(len(chosen), 'member')}: log loss {four_digits(selection.score)} "
            "on the select split: optimistic"
        )
        count = len({view.run_id for view in pool.views})
        if count not in self.points:  # replaced whole, since another thread may be reading it
            self.points = {**self.points, count: (self.elapsed, selection.score)}

    @property
    def running(self) -> list[MemberProgress]:
        """Members whose trial has not ended."""
        return [member for member in self.members.values() if member.state in UNENDED]

    @property
    def ended(self) -> list[MemberProgress]:
        """Members whose trial ended in this session, the last to end last."""
        ended = [member for member in self.members.values() if member.state not in UNENDED]
        return sorted(ended, key=lambda member: member.ended or 0.0)

    @property
    def elapsed(self) -> float:
        """Duration of the search over all its sessions, in seconds."""
        return self.spent + self.clock() - self._began

    def epoch_of(self, member: MemberProgress) -> str:
        """Return the epoch of a member's running model, as `3/12`; empty if it ended before the first."""
        done, epochs = member.epoch, max(1, member.epochs)
        if not done and member.ended is not None:
            return ""
        return f"{(done - 1) % epochs + 1 if done else 0}/{epochs}"

    def fold_of(self, member: MemberProgress) -> str:
        """Return the fold of a member's running model, as `2/5`; empty without folds or epochs to come."""
        if not self.epoch_of(member):
            return ""
        fold = max(member.epoch - 1, 0) // max(1, member.epochs) + 1
        return f"{min(fold, self.folds)}/{self.folds}" if self.folds else ""

    def share_of(self, member: MemberProgress) -> float:
        """Return the share of a member's epochs that is done, from 0 to 1."""
        return min(member.epoch / max(1, member.epochs * max(1, self.folds)), 1.0)

    def n_done(self) -> int:
        """Return the number of members that have ended, over all sessions; interrupted ones resume."""
        return self.done + sum(member.state != "interrupted" for member in self.ended)

    def left(self) -> float | None:
        """Return the expected time until the search ends in seconds, or None if no pace is known."""
        left = self._left_by_pace()
        if self.limit is None:
            return left
        if left is None:
            return max(self.limit - self.elapsed, 0.0)
        return min(left, max(self.limit - self.elapsed, 0.0))

    def _left_by_pace(self) -> float | None:
        """Return the expected time until all trials have ended, without the limit; None: no pace is known."""
        return time_left([self._kind(frozen=frozen) for frozen in (True, False)], self.at_once)

    def _ends_by_time(self) -> bool:
        """Return whether the time limit, not the number of trials, is expected to end the search."""
        left = self._left_by_pace()
        return self.limit is not None and (left is None or left > self.limit - self.elapsed)

    def expected(self) -> Expected | None:
        """Return the expected log loss of the ensemble at the search's end; None: too little is known."""
        left = self.left()
        if left is None or not self._has_seen(LEAST_POINTS):
            return None
        return expect(self._curve(), self.elapsed + left)

    def further(self) -> Expected | None:
        """Return what decides whether more time pays: the expected log loss at the `horizon`, or None."""
        if not self._has_seen(LEAST_FLAT) or self.n_done() < self.known:
            return None
        curve = self._curve()
        return expect(curve, horizon(self._end(), curve[-1][0]))

    def is_flat(self) -> bool:
        """Return whether this session has added to the curve, and more time is not expected to pay."""
        further = self.further()
        if further is None or not further.is_flat or len(self.points) == self._before:
            return False
        self._flat = further
        return True

    def outlook(self) -> list[str]:
        """Return what the search is expected to reach, and whether more time pays, one line each."""
        expected, further = self.expected(), self.further()
        lines = []
        if expected is not None and not self.ends_early():
            span = f"({four_digits(expected.low)} to {four_digits(expected.high)})"
            lines.append(f"Expected at the end: log loss {four_digits(expected.loss)} {span}: optimistic")
        if self.ends_early():
            lines.append("More time is not expected to pay: no further member starts")
        elif further is not None and further.is_flat and not self.names_more():
            lines.append("More time is not expected to pay")
        return lines

    def flat_reason(self) -> str:
        """Return in one line why no further member starts; empty before `is_flat` has returned True."""
        flat = self._flat
        if flat is None:
            return ""
        return (
            "The search ends early (`stop_when_flat`): the ensemble's log loss is "
            f"{four_digits(flat.now)}, and after {duration(flat.seconds)} of search "
            f"{four_digits(flat.loss)} is expected, {four_digits(flat.low)} at the favourable end"
        )

    def _curve(self) -> list[Point]:
        return [point for _, point in sorted(self.points.items())]

    def _end(self) -> float | None:
        """Return the time of the search at which its time limit ends it, or its trials; None: unknown."""
        left = self.left()
        return None if left is None or self.limit is None else self.elapsed + left

    def _has_seen(self, least: int) -> bool:
        """Return whether enough members have finished, and enough of those that train if any do."""
        ended = [member for member in self.ended if member.state == "finished" and not member.frozen]
        trained = self.done - self.done_frozen + len(ended)
        return len(self.points) >= least and trained >= min(LEAST_TRAINED, self.total - self.frozen)

    def _kind(self, *, frozen: bool) -> Kind:
        """Return the times of the frozen members, or of the others."""
        now = self.clock()
        running = [member for member in self.running if member.frozen == frozen]
        # A member that failed at its start says nothing about the pace.
        ended = [member for member in self.ended if member.frozen == frozen and member.epoch]
        waiting_frozen = max(self.frozen - self.done_frozen - self._started(frozen=True), 0)
        waiting = 0 if self.ends_early() else max(self.total - self.n_done() - len(self.running), 0)
        return Kind(
            [Timing(member.seconds(now)) for member in ended],
            [Timing(member.seconds(now), self.share_of(member)) for member in running],
            min(waiting, waiting_frozen) if frozen else max(waiting - waiting_frozen, 0),
        )

    def _started(self, *, frozen: bool) -> int:
        """Return the number of members that this session started, and that do not wait to be resumed."""
        return sum(
            member.frozen == frozen and member.state != "interrupted" for member in self.members.values()
        )

    def cost(self) -> str:
        """Return what this session's members have cost: the time of the GPUs or CPUs reserved for them."""
        now = self.clock()
        totals = {True: 0.0, False: 0.0}
        for member in self.members.values():
            known = member.seconds(now) * member.share if member.cost is None else member.cost
            totals[member.gpu] += known
        return ", ".join(
            f"{duration(totals[gpu])} {unit}" for gpu, unit in ((True, "GPU"), (False, "CPU")) if totals[gpu]
        )

    def bar(self) -> tuple[float, float]:
        """Return how much is done, and how much there is: members, or s where the time ends the search."""
        if self.limit is not None and self._ends_by_time():
            return min(self.elapsed, self.limit), self.limit
        return self.n_done(), self.total

    def tally(self) -> str:
        """Return the number of members done, as `5/12`; as `5` where the time ends the search."""
        return str(self.n_done()) if self._ends_by_time() else f"{self.n_done()}/{self.total}"

    def headline(self) -> str:
        """Return the number of members done, the elapsed time, the time left and the cost in one line."""
        done = self.n_done()
        total = f"{done} of {counted(self.total, 'member')}"
        parts = [f"{counted(done, 'member') if self._ends_by_time() else total} done", self.times()]
        return " · ".join([*parts, *([f"cost {self.cost()}"] if self.cost() else [])])

    def times(self) -> str:
        """Return the elapsed time and the time left, as `12.0 min, about 1.4 h left`."""
        left = self.left()
        return duration(self.elapsed) + (f", about {duration(left)} left" if left else "")

    def waiting_for(self) -> str:
        """Return why there is nothing to show yet; empty once a member trains."""
        if self.members:
            return ""
        return f"importing torch in {counted(self.at_once, 'worker')}…"

    def preparations(self) -> list[str]:
        """Return a line for each size of the images that is being prepared."""
        return [
            f"Preparing images, {part.resizing}: {part.done:,} of {part.total:,}" for part in self.preparing()
        ]
