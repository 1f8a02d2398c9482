"""Ray Tune searchers: sources of the trials of a search."""

import dataclasses
from abc import abstractmethod
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ray.tune.search import Searcher

from tune_paddy.core.config import MemberConfig
from tune_paddy.core.domains import Proposer
from tune_paddy.core.memory import TrialMemory
from tune_paddy.search.gpu_shares import Planner
from tune_paddy.search.sampling.begun import BegunMembers
from tune_paddy.search.sampling.sampler import MemberSampler, PastTrial, Proposal
from tune_paddy.search.sampling.shares import next_family
from tune_paddy.search.stopping.failures import FAILURES
from tune_paddy.search.stopping.interruption import Interruption
from tune_paddy.search.timing.paces import MemberPaces, spent_seconds, trained_seconds
from tune_paddy.search.trial import Trial

NO_MORE: Any = Searcher.FINISHED
"""Return value of `suggest` without more trials; a string, although Ray annotates a dict."""

SHARE_OF_WHOLE, SHARE_OF_SPENT = 1 / 10, 1 / 4
"""A sub-space is tried soon if its first member takes no more of the whole time, or of that spent so far."""

MOST_DEFERRED = 12
"""Largest number of proposed members that wait for a forecast by which they end in time."""


class TrialSearcher(Searcher):
    """Base of the searchers.

    The record holds everything that a resumed search needs, so Ray's snapshots of a searcher are empty.

    Attributes:
        interruption: Interruption of the search; no trial starts after it.
        is_flat: Function that returns whether more time is not expected to pay.
        ended_flat: Whether trials were left when this ended the search.
        failing: Function that returns whether members have failed one after another.
        ended_failing: Whether trials were left when this ended the search.
        look_back: Function that waits for the selection from the members of earlier sessions.

    Args:
        interruption: Interruption of the search; no trial starts after it.
    """

    def __init__(self, interruption: Interruption) -> None:
        super().__init__(metric="objective", mode="min")
        self.interruption = interruption
        self.is_flat: Callable[[], bool] = lambda: False
        self.ended_flat = False
        self.failing: Callable[[], bool] = lambda: False
        self.ended_failing = False
        self.look_back: Callable[[], None] = lambda: None

    def __getstate__(self) -> dict[str, Any]:
        """Return nothing: a search is resumed from its record."""
        return {}

    def save(self, checkpoint_path: str) -> None:
        """Write nothing: a search is resumed from its record."""

    def restore(self, checkpoint_path: str) -> None:
        """Read nothing: a search is resumed from its record."""

    @property
    def names_more(self) -> bool:
        """Whether the space names members that have not been proposed yet."""
        return False

    @property
    def exhausted(self) -> bool:
        """Whether all members that the sub-spaces of the space allow have been proposed."""
        return False

    @property
    @abstractmethod
    def left(self) -> int:
        """Number of trials that may still start."""

    @property
    @abstractmethod
    def unfinished(self) -> bool:
        """Whether a proposed trial has not ended."""

    def finish(self, folder: Path) -> bool:  # noqa: ARG002 for subclasses
        """Write figures of the search into a folder.

        Returns:
            Whether any figure was written.
        """
        return False


class MemberSearcher(TrialSearcher):
    """Adapts a `MemberSampler` to Ray: proposes members until the trials or the time are used up.

    A member that is not expected to end in time is shortened or deferred: members that end correct the
    forecasts. One that has been deferred to the end is not recorded. A resumed search proposes another member
    under its number, or the same one. In time that no proposed member fits, members with a weight in the
    ensemble are trained again with other seeds. A sampler that leaves the choice of the sub-space to its
    caller gets the one that gives the ensemble most per second, see `next_family`. Once more time is not
    expected to pay, no further member starts; the members that the space names, and one of each sub-space,
    all run. While members fail one after another, none starts until those that run have shown whether all do.

    Args:
        sampler: Source of the members.
        interruption: Interruption of the search; no trial starts after it.
        trials: Total number of recorded trials, those of earlier sessions included.
        paces: Forecasts of members.
        plan: Function that decides a member's share of a GPU, its accum and its memory limit.
        past: Trials of earlier sessions; unfinished ones are resumed first.
        folds: Number of folds; 0: a select split.
        contributors: Function that returns member → weight in the ensemble so far, the largest first.
        places: Number of concurrent trials.
    """

    def __init__(
        self,
        sampler: MemberSampler,
        interruption: Interruption,
        *,
        trials: int,
        paces: MemberPaces,
        plan: Planner,
        past: Sequence[PastTrial] = (),
        folds: int = 0,
        contributors: Callable[[], Mapping[str, float]] = dict,
        places: int = 1,
    ) -> None:
        super().__init__(interruption)
        self.sampler = sampler
        self._contributors, self._places = contributors, places
        self._trials = trials
        self._paces = paces
        self._plan = plan
        self._waiting = sampler.replay(past)
        self._deferred: list[Proposal] = []
        self._recorded = {trial.proposal.number for trial in past}
        self._past_curves = {trial.proposal.number: trial.curve for trial in past if not trial.ended}
        self._proposals: dict[str, Proposal] = {}
        self._begun = BegunMembers(past, max(1, folds))
        self._failed: set[MemberConfig] = set()  # as `_repeatable` gives them
        self._running: dict[str, TrialMemory] = {}
        self._curves: dict[str, dict[int, float]] = {}

    @property
    def left(self) -> int:
        """Number of trials that may still start, resumed and new ones."""
        resumed = sum(proposal.number in self._recorded for proposal in (*self._waiting, *self._deferred))
        return resumed + max(0, self._trials - len(self._recorded))

    def suggest(self, trial_id: str) -> Any:
        """Return the configuration of the next trial; None: ask again later; or `NO_MORE`."""
        if self.interruption.stopping or self._ends_flat():
            return NO_MORE
        if self.failing():
            return self._wait_or_end()
        proposal = self._next() or self._again()
        if proposal is None and self._deferred and self._running:
            return None
        if proposal is None:
            self._give_up()
            return NO_MORE
        self._recorded.add(proposal.number)
        self._proposals[trial_id] = proposal
        self._begun.begin(proposal)
        self._curves[trial_id] = dict(self._past_curves.get(proposal.number, {}))
        memory = self._running[trial_id] = self._plan(proposal.config, list(self._running.values()))
        trial = Trial(
            proposal.number,
            proposal.member,
            proposal.origin,
            proposal.config,
            memory,
            proposal.proposed_by,
        )
        return trial.to_config()

    def _wait_or_end(self) -> Any:
        """Wait for the running members, one of which may not fail; end the search if none runs."""
        if self._running:
            return None
        self.ended_failing = self.left > 0
        return NO_MORE

    def _ends_flat(self) -> bool:
        """Return whether the search ends although trials are left, since more time is not expected to pay."""
        if not self.ended_flat and self.left and self._known_ended() and self.is_flat():
            self.ended_flat = True
            self._deferred += self._waiting
            self._waiting.clear()
            self._give_up()
        return self.ended_flat

    def _known_ended(self) -> bool:
        """Return whether all members that are known before the sampled ones have ended, and resumed ones run.

        Known members that are deferred may never fit the time.
        """
        resumed = any(proposal.number in self._recorded for proposal in self._waiting)
        running = (self._proposals[trial_id].proposed_by for trial_id in self._running)
        named = (Proposer.RECIPE, Proposer.LIST, Proposer.FIRST, Proposer.MIDDLE)
        return not (self.names_more or resumed or any(by in named for by in running))

    @property
    def names_more(self) -> bool:
        """Whether the space names members that have not been proposed yet, sub-spaces that wait aside."""
        return self.sampler.knows_more or bool(self._named())

    @property
    def exhausted(self) -> bool:
        """Whether all members that the sub-spaces of the space allow have been proposed."""
        return self.sampler.exhausted

    def _named(self) -> list[str]:
        """Return the sub-spaces with members that the space names, without those whose last one waits."""
        named = self.sampler.named
        waits = self._waiting_families() if named else set()
        return [name for name in named if name not in waits]

    def _waiting_families(self) -> set[str | None]:
        return {self.sampler.family_of(proposal) for proposal in self._deferred}

    def _next(self) -> Proposal | None:
        """Return the next member that is expected to end in time, shortened if need be, or None."""
        for proposal in self._deferred:
            fitted = self._fitted(proposal)
            if fitted is not None:
                self._deferred.remove(proposal)
                return fitted
        while self._waiting or len(self._deferred) < MOST_DEFERRED:
            new = self._propose()
            if new is None:
                return None
            fitted = self._fitted(new)
            if fitted is not None:
                return fitted
            self._deferred.append(new)
        return None

    def _again(self) -> Proposal | None:
        """Return a contributor to the ensemble with another seed, if one ends in time.

        The least repeated is the first. A frozen member would be the same again; one whose repeat failed is
        not tried once more.
        """
        if not self.interruption.budget.is_limited or len(self._recorded) >= self._trials:
            return None
        names = [name for name, weight in self._weights().items() if weight > 0]
        if not names:
            return None
        times, longest = Counter[MemberConfig](), dict[MemberConfig, MemberConfig]()
        for known in self._begun.proposals:
            alike = _repeatable(known.config)
            times[alike] += 1
            longest[alike] = max(longest.get(alike, known.config), known.config, key=lambda one: one.epochs)
        trained = {known.member: known for known in self._begun.proposals if not known.config.frozen}
        chosen = [trained[name] for name in names if name in trained]
        for proposal in sorted(chosen, key=lambda one: times[_repeatable(one.config)]):
            alike = _repeatable(proposal.config)
            if alike in self._failed:
                continue
            config = self._paces.fitted(longest[alike], self.interruption.budget.left())
            if config is not None:
                return self.sampler.again(dataclasses.replace(proposal, config=config))
        return None

    def _propose(self) -> Proposal | None:
        """Return the next member: one to resume, one that was never recorded, or a new one."""
        full = len(self._recorded) >= self._trials
        while self._waiting:
            proposal = self._waiting.pop(0)
            if not full or proposal.number in self._recorded:
                return proposal
            self.sampler.tell(proposal.number, None, {}, pruned=False)
        return None if full else self.sampler.ask(self._family())

    def _family(self) -> str | None:
        """Return the sub-space of the next member; None: the sampler chooses, or a recipe is next.

        One whose last proposal does not fit the time gives way to the others. Once more time is not expected
        to pay, those that name members are next: the search ends after these.
        """
        named = self._named()
        if named and self.is_flat():
            return named[0]
        waits = self._waiting_families()
        names = [name for name in self.sampler.families if name not in waits] or self.sampler.families
        if not names:
            return None
        waiting = (*self._waiting, *self._deferred)
        seconds = self._begun.seconds(self._paces.seconds)
        begun = self._begun.in_families(self.sampler.family_of, self._weights(), seconds, waiting)
        whole = self.interruption.budget.seconds * self._places
        soon = max(SHARE_OF_WHOLE * whole, SHARE_OF_SPENT * sum(seconds.values()))
        return next_family(names, begun, self._first_seconds, soon)

    def _weights(self) -> Mapping[str, float]:
        """Return member → weight in the ensemble so far; wait once for that of earlier sessions.

        Without it, the first members would not come from the sub-spaces with weight, and no member would be
        repeated.
        """
        look_back, self.look_back = self.look_back, lambda: None
        look_back()
        return self._contributors()

    def _first_seconds(self, family: str) -> float | None:
        """Return the time of a sub-space's first member, in s; None: nothing is known."""
        return self._paces.seconds(self.sampler.opening(family))

    def _fitted(self, proposal: Proposal) -> Proposal | None:
        """Return a member that is expected to end in time, shortened if need be, or None."""
        if proposal.number not in self._recorded and len(self._recorded) >= self._trials:
            return None
        left = self.interruption.budget.left()
        config = self._paces.fitted(proposal.config, left, self._share_done(proposal))
        return None if config is None else dataclasses.replace(proposal, config=config)

    def _give_up(self) -> None:
        """Tell the sampler that the deferred members do not run: the search ends without them."""
        for proposal in self._deferred:
            self.sampler.tell(proposal.number, None, {}, pruned=False)
        self._deferred.clear()

    def _share_done(self, proposal: Proposal) -> float | None:
        """Return the share of a resumed member's epochs that earlier sessions trained; None: it is new."""
        curve = self._past_curves.get(proposal.number)
        if curve is None:
            return None
        return self._begun.share(proposal, curve)

    @property
    def unfinished(self) -> bool:
        """Whether a trial that this or an earlier session proposed has not ended."""
        return self.sampler.running

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Store a point of the curve, which the sampler gets if the trial is stopped early."""
        if "objective" in result and "outcome" not in result:
            self._curves.setdefault(trial_id, {})[int(result["epoch"])] = float(result["objective"])

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Report the trial's end to the sampler; Ray may call this twice."""
        outcome = (result or {}).get("outcome")
        value = float((result or {})["objective"]) if outcome == "finished" else None
        curve = self._curves.pop(trial_id, {})
        proposal, seconds = self._proposals[trial_id], trained_seconds(result or {})
        whole = trial_id in self._running and not self._past_curves.get(proposal.number)
        if value is not None and whole and seconds is not None:
            self._paces.learn(proposal.config, seconds)
        if self._running.pop(trial_id, None) is not None:  # not at a second report
            self._end(proposal, result or {}, curve, failed=error or outcome in FAILURES)
        self.sampler.tell(proposal.number, value, curve, pruned=outcome is None and not error)

    def _end(
        self, proposal: Proposal, result: Mapping[str, Any], curve: Mapping[int, float], *, failed: bool
    ) -> None:
        """Store how a member ended, for the choice of the next ones."""
        if result.get("outcome") == "finished":
            self._begun.finish(proposal, spent_seconds(result) or 0.0)
            return
        self._begun.lose(proposal, curve, failed=failed)
        if failed:
            self._failed.add(_repeatable(proposal.config))

    def finish(self, folder: Path) -> bool:
        """Draw Optuna's figures of the study into a folder; see `write_study_figures`."""
        from tune_paddy.search.sampling.study_figures import write_study_figures  # noqa: PLC0415 pyplot takes seconds

        return bool(write_study_figures(self.sampler.trials(), self.sampler.spaces, folder))


def _repeatable(config: MemberConfig) -> MemberConfig:
    """Return what a member and its repeats have in common: all but the seed, and epochs that time may cut."""
    return config.model_copy(update={"seed": 0, "epochs": 0})


class FixedTrials(TrialSearcher):
    """Proposes given trials in their order.

    Args:
        trials: Trials to propose.
        interruption: Interruption of the search; no trial starts after it.
    """

    def __init__(self, trials: Sequence[Trial], interruption: Interruption) -> None:
        super().__init__(interruption)
        self._waiting = list(trials)

    @property
    def left(self) -> int:
        """Number of trials that may still start."""
        return len(self._waiting)

    @property
    def unfinished(self) -> bool:
        """False, since `run_refit` checks the record for missing members."""
        return False

    def suggest(self, trial_id: str) -> Any:  # noqa: ARG002
        """Return the configuration of the next trial, or `NO_MORE`."""
        more = self._waiting and not self.interruption.requested
        return self._waiting.pop(0).to_config() if more else NO_MORE

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Learn nothing: the trials are fixed."""
