"""What a search that goes on has behind it: its trials, read from the record alone."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from tune_paddy.core.errors import InputError
from tune_paddy.search.plan import SearchPlan
from tune_paddy.search.sampler import PastTrial, Proposal
from tune_paddy.tracking.runs import RecordedRun, get_search, list_members, read_curve
from tune_paddy.tracking.schema import MemberRecord, SearchRecord
from tune_paddy.tracking.store import Store

UNFINISHED = frozenset(("running", "interrupted"))
"""Outcomes of members that go on where they were."""


@dataclass(frozen=True)
class Earlier:
    """Earlier sessions of a search.

    Attributes:
        trials: In order of their numbers.
        seconds: For which they ran.
    """

    trials: tuple[PastTrial, ...] = ()
    seconds: float = 0.0

    @property
    def done(self) -> int:
        """Trials that have ended."""
        return sum(trial.ended for trial in self.trials)

    def leaves_work(self, plan: SearchPlan) -> bool:
        """Whether trials are to go on, or new ones to start, within the trials and minutes of a plan."""
        minutes = plan.settings.minutes
        in_time = minutes is None or self.seconds < 60 * minutes
        return self.done < len(self.trials) or (len(self.trials) < plan.total and in_time)


FIRST_SESSION = Earlier()
"""There is nothing to look back at."""


def read_earlier(store: Store, plan: SearchPlan) -> Earlier:
    """Read all trials of a search and the time that it has used.

    Members that were infeasible, diverged or stopped by the scheduler stay so. Those that failed stay
    so, too, unless asked for: what made them fail may have been mended.

    Args:
        store: The record.
        plan: Plan by which the search is resumed; none of its trials runs.

    Raises:
        InputError: It was recorded without its proposals.
        TunePaddyError: MLflow failed.
    """
    search = get_search(store, plan.name)
    unfinished = UNFINISHED | ({"failed"} if plan.retry_failed else set())
    with_curve = unfinished | {"stopped"} | ({"finished"} if plan.settings.scheduler == "asha" else set())
    past = [
        past_trial(
            member,
            member.outcome not in unfinished,
            read_curve(store, member.run_id, plan.settings.objective) if member.outcome in with_curve else {},
        )
        for member in list_members(store, search.name)
    ]
    trials = tuple(sorted(past, key=lambda trial: trial.proposal.number))
    return Earlier(trials, SearchRecord.from_run(search).seconds or 0.0)


def past_trial(member: RecordedRun, ended: bool, curve: Mapping[int, float]) -> PastTrial:
    """A trial as its member's run tells of it.

    Args:
        member: Its run.
        ended: Whether it has its outcome; otherwise it goes on.
        curve: Epoch → objective, as far as it went.

    Raises:
        InputError: It was recorded without its proposal.
    """
    told = MemberRecord.from_run(member).proposal
    if told is None:
        raise InputError(
            f"search {member.search!r} cannot go on: its member {member.name!r} was recorded without its "
            "proposal, by another version; select from it, and search on under a new name"
        )
    proposal = Proposal(told.number, told.origin, told.config)
    value = member.metrics["objective"] if member.outcome == "finished" else None
    finite = {epoch: point for epoch, point in curve.items() if math.isfinite(point)}
    return PastTrial(proposal, ended, value, finite)
