"""Earlier sessions of a resumed search: its trials, read from the record alone."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from tune_paddy.core.errors import InputError
from tune_paddy.search.plan import SearchPlan
from tune_paddy.search.sampling.sampler import PastTrial, Proposal
from tune_paddy.tracking.runs import RecordedRun, get_search, list_members, read_curve
from tune_paddy.tracking.schema import MemberRecord, SearchRecord
from tune_paddy.tracking.store import Store

UNFINISHED = frozenset(("running", "interrupted"))
"""Outcomes of members that resume from their last checkpoint."""


@dataclass(frozen=True)
class Earlier:
    """Earlier sessions of a search.

    Attributes:
        trials: Recorded trials, by increasing number.
        seconds: Duration of all earlier sessions, in seconds.
    """

    trials: tuple[PastTrial, ...] = ()
    seconds: float = 0.0

    @property
    def done(self) -> int:
        """Number of trials that have ended."""
        return sum(trial.ended for trial in self.trials)

    def leaves_work(self, plan: SearchPlan) -> bool:
        """Return whether trials remain to resume or to start, within a plan's `trials` and `minutes`."""
        minutes = plan.settings.minutes
        in_time = minutes is None or self.seconds < 60 * minutes
        return self.done < len(self.trials) or (len(self.trials) < plan.total and in_time)


FIRST_SESSION = Earlier()
"""History of a new search: no earlier session."""


def read_earlier(store: Store, plan: SearchPlan) -> Earlier:
    """Read all trials of a search and its duration.

    Members that were infeasible, diverged or stopped early keep their outcome. Failed members keep it, too,
    unless the plan retries them: the cause may have been fixed.

    Args:
        store: The record.
        plan: Plan of the resumed search; none of its trials may be running.

    Raises:
        InputError: A member was recorded without its proposal.
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
    """Return the trial of a recorded member.

    Args:
        member: Recorded run of the member.
        ended: Whether the trial has its final outcome; otherwise it is resumed.
        curve: Epoch → objective, for the finished epochs.

    Raises:
        InputError: The member was recorded without its proposal.
    """
    told = MemberRecord.from_run(member).proposal
    if told is None:
        raise InputError(
            f"search {member.search!r} cannot be resumed: member {member.name!r} was recorded without its "
            "proposal, by another version; select from it, and start a search under a new name"
        )
    proposal = Proposal(told.number, told.origin, told.config)
    value = member.metrics["objective"] if member.outcome == "finished" else None
    finite = {epoch: point for epoch, point in curve.items() if math.isfinite(point)}
    return PastTrial(proposal, ended, value, finite)
