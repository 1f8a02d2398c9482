"""Earlier sessions of a resumed search: its trials, read from the record alone."""

import math
from dataclasses import dataclass

from tune_paddy.core.config import SearchSettings
from tune_paddy.core.errors import InputError
from tune_paddy.search.plan import SearchPlan
from tune_paddy.search.sampling.sampler import PastTrial, Proposal
from tune_paddy.search.timing.budget import TimeBudget
from tune_paddy.search.timing.paces import trained_seconds
from tune_paddy.tracking.history import RecordedMember, RecordedSearch
from tune_paddy.tracking.schema import FLAT, SearchRecord

UNFINISHED = frozenset(("running", "interrupted"))
"""Outcomes of members that resume from their last checkpoint."""


@dataclass(frozen=True)
class Earlier:
    """Earlier sessions of a search.

    Attributes:
        trials: Recorded trials, by increasing number.
        seconds: Duration of all earlier sessions, in seconds.
        flat: Whether the last one ended since more time was not expected to pay, and the plan gives no more
            time or trials.
    """

    trials: tuple[PastTrial, ...] = ()
    seconds: float = 0.0
    flat: bool = False

    @property
    def done(self) -> int:
        """Number of trials that have ended."""
        return sum(trial.ended for trial in self.trials)

    @property
    def done_frozen(self) -> int:
        """Number of trials of frozen members that have ended."""
        return sum(trial.ended and trial.proposal.config.frozen for trial in self.trials)

    def leaves_work(self, plan: SearchPlan) -> bool:
        """Return whether trials remain to resume or to start, within a plan's `trials` and `minutes`."""
        minutes = plan.settings.minutes
        in_time = minutes is None or _leaves_time(60 * minutes - self.seconds)
        return in_time and (self.done < len(self.trials) or (len(self.trials) < plan.total and not self.flat))


def _leaves_time(seconds: float) -> bool:
    """Return whether a session of this length, in s, has time to train: some is kept for the selection."""
    return TimeBudget(seconds=seconds, clock=lambda: 0.0).left() > 0


FIRST_SESSION = Earlier()
"""History of a new search: no earlier session."""


def outcomes_with_curve(plan: SearchPlan) -> frozenset[str]:
    """Return the outcomes of the members whose curve a resume needs.

    These are the members to resume, and members that ASHA compares with.
    """
    compared = {"stopped"} | ({"finished"} if plan.settings.scheduler == "asha" else set())
    return _unfinished(plan) | compared


def _unfinished(plan: SearchPlan) -> frozenset[str]:
    return UNFINISHED | ({"failed"} if plan.retry_failed else set())


def earlier_sessions(plan: SearchPlan, recorded: RecordedSearch) -> Earlier:
    """Return all trials of a search and its duration.

    Members that were infeasible, diverged or stopped early keep their outcome. Failed members keep it, too,
    unless the plan retries them: the cause may have been fixed.

    Args:
        plan: Plan of the resumed search; none of its trials may be running.
        recorded: The search in the record, with the curves of `outcomes_with_curve`.

    Raises:
        InputError: A member was recorded without its proposal.
    """
    unfinished = _unfinished(plan)
    past = [past_trial(member, member.run.outcome not in unfinished) for member in recorded.members]
    trials = tuple(sorted(past, key=lambda trial: trial.proposal.number))
    return Earlier(trials, recorded.record.seconds or 0.0, _ended_flat(plan, recorded.record))


def _ended_flat(plan: SearchPlan, record: SearchRecord) -> bool:
    """Return whether more time was not expected to pay, and a plan gives no more than the last session."""
    settings, before = plan.settings, SearchSettings.recorded(record.settings or {})
    longest = math.inf if settings.minutes is None else settings.minutes
    longer = longest > (math.inf if before.minutes is None else before.minutes)
    more = longer or settings.trials > before.trials
    return record.ended_by == FLAT and settings.stop_when_flat and not more


def past_trial(member: RecordedMember, ended: bool) -> PastTrial:
    """Return the trial of a recorded member.

    Args:
        member: The member in the record.
        ended: Whether the trial has its final outcome; otherwise it is resumed.

    Raises:
        InputError: The member was recorded without its proposal.
    """
    run, recorded = member.run, member.record.proposal
    if recorded is None:
        raise InputError(
            f"search {run.search!r} cannot be resumed: member {run.name!r} was recorded without its "
            "proposal, by another version; select from it, and start a search under a new name"
        )
    # Another version may have formed the name in another way; the member's folder and its run have it.
    proposal = Proposal(
        recorded.number,
        recorded.origin,
        recorded.config,
        recorded_as=run.name,
        proposed_by=member.record.proposed_by,
    )
    value = run.metrics["objective"] if run.outcome == "finished" else None
    finite = {epoch: point for epoch, point in member.curve.items() if math.isfinite(point)}
    seconds = trained_seconds(run.metrics) if run.outcome == "finished" else None
    return PastTrial(proposal, ended, value, finite, seconds)
