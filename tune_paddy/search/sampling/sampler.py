"""Propose members: the known ones first, such as recipes, then Optuna's suggestions from the search space.

The sampler stores no state. A resumed search replays the recorded trials into a new sampler. Each proposal
has its own random stream, seeded by the search's seed and the trial's number, so a resume needs no state of a
random number generator either.

It uses Optuna's ask-and-tell interface. Ray's OptunaSearch reports a trial that was stopped early to Optuna
as complete, leaves trials without an objective running for ever, and cannot keep a recipe outside the space.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, FloatDistribution
from optuna.trial import FrozenTrial, TrialState

from tune_paddy.core.config import MemberConfig
from tune_paddy.core.domains import Choice, Domain, Fixed, Proposer, Range, Recipe, SubSpace, locate, middle
from tune_paddy.search.sampling.first_members import FirstMember, first_members
from tune_paddy.search.sampling.learned import LearnedStudy, learned_trials

SPACE = "space"
"""Name of the Optuna parameter that chooses the sub-space."""

START = 10
"""Number of results before which members are drawn at random, Optuna's default."""

DIGITS = 4
"""Significant digits of proposed numbers from a continuous range."""


@dataclass(frozen=True)
class Proposal:
    """One member to train.

    Attributes:
        number: Number of the trial, from 0.
        origin: Name of the recipe or sub-space that the member comes from.
        config: Configuration of the member.
        recorded_as: Name of the member in the record of an earlier session, which a resume keeps; empty: the
            member has not been recorded.
        proposed_by: What proposed the member, a value of `Proposer`; empty: an older version recorded it.
    """

    number: int
    origin: str
    config: MemberConfig
    recorded_as: str = ""
    proposed_by: str = ""

    @property
    def member(self) -> str:
        """Name of the member in the console, files, MLflow and Python, such as `0007-convnext_tiny-224`."""
        return self.recorded_as or f"{self.number:04d}-{self.config.short_name}"


@dataclass(frozen=True)
class PastTrial:
    """A recorded trial of an earlier session of the search.

    Attributes:
        proposal: Proposal of the trial.
        ended: Whether the trial has its final outcome; otherwise it is resumed.
        value: Final objective; None if there is none.
        curve: Epoch → objective, for the finished epochs; required if the trial stopped early or is resumed.
        seconds: Duration of a finished trial in s; None: it is not known.
    """

    proposal: Proposal
    ended: bool
    value: float | None = None
    curve: Mapping[int, float] = field(default_factory=dict)
    seconds: float | None = None


class _RoundedSampler(optuna.samplers.TPESampler):
    """Optuna's TPE with four significant digits: a person can read, compare and write the values.

    The study knows the rounded values, as does the record that a resumed search replays. Each instance serves
    one trial, so it looks at the other trials once.
    """

    _learned: LearnedStudy | None = None

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """Return a value for one parameter."""
        if self._learned is None:
            self._learned = LearnedStudy(study, learned_trials(study.get_trials(deepcopy=False)))
        seen = cast("optuna.Study", self._learned)
        value = super().sample_independent(seen, trial, param_name, param_distribution)
        if isinstance(param_distribution, FloatDistribution) and param_distribution.step is None:
            rounded = float(f"{value:.{DIGITS}g}")
            return min(max(rounded, param_distribution.low), param_distribution.high)
        return value


class MemberSampler:
    """Asks Optuna for members, and tells it their results.

    Args:
        recipes: Fixed members, proposed first, see `first_members`.
        spaces: Sub-spaces to sample from; may be empty.
        seed: Seed of the sampler. The seed of a member is `seed` plus its number, unless the space sets it.
        trials: Number of trials; None: no limit.
        by_share: Whether the caller of `ask` chooses the sub-space.
    """

    def __init__(
        self,
        recipes: Sequence[Recipe],
        spaces: Sequence[SubSpace],
        *,
        seed: int,
        trials: int | None = None,
        by_share: bool = False,
    ) -> None:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        logging.getLogger("optuna").setLevel(logging.ERROR)
        beginning = first_members(recipes, spaces, seed=seed, trials=trials, by_share=by_share)
        self._first = list(beginning.members)
        self._lists = {name: list(members) for name, members in beginning.lists.items()}
        self._all, self._by_share = tuple(spaces), by_share
        self._opened: set[str | None] = set()  # sub-spaces that a member was proposed from
        self.spaces = beginning.sampled
        self._seed = seed
        self._running: dict[int, optuna.Trial] = {}
        self._study = optuna.create_study(study_name="members", direction="minimize")

    def replay(self, past: Sequence[PastTrial]) -> list[Proposal]:
        """Replay the trials of earlier sessions; call it before `ask`.

        Args:
            past: Trials of the same recipes, sub-spaces and seed, at most one per number.

        Returns:
            The members that are still to train, by number: unfinished ones, and those that were proposed but
            never recorded.
        """
        by_number = {trial.proposal.number: trial for trial in past}
        waiting: list[Proposal] = []
        for number in range(max(by_number, default=-1) + 1):
            trial = by_number.get(number)
            proposal = self.ask() if trial is None else self._repeat(trial)
            if proposal is not None:
                waiting.append(proposal)
        return waiting

    @property
    def families(self) -> tuple[str, ...]:
        """Names of the sub-spaces that `ask` takes once all recipes are proposed; () if it chooses itself."""
        if self._first or not self._by_share:
            return ()
        open_lists = (name for name, members in self._lists.items() if members)
        names = {*open_lists, *(space.name for space in self.spaces)}
        return tuple(space.name for space in self._all if space.name in names)

    def family_of(self, proposal: Proposal) -> str | None:
        """Return the name of the sub-space that a member is from, or that contains it; None: none does."""
        if any(space.name == proposal.origin for space in self._all):
            return proposal.origin
        for space in self._all:
            if locate(_at_full_length(proposal.config, [space]), [space]) is not None:
                return space.name
        return None

    def opening(self, family: str) -> MemberConfig:
        """Return the next member of a listed sub-space, or the first one of a sampled one."""
        if self._lists.get(family):
            return MemberConfig(**self._lists[family][0].values)
        return MemberConfig(**_middling(self._space(family)))

    def _space(self, family: str) -> SubSpace:
        return next(space for space in self._all if space.name == family)

    def ask(self, family: str | None = None) -> Proposal | None:
        """Return the next member; None: all known ones are proposed, and no sub-space is to be sampled.

        The first member of a sub-space that is chosen by its name has middling values.

        Args:
            family: Sub-space to take it from, one of `families`; None: the next recipe, or the choice of the
                sampler.
        """
        if self._first:
            return self._ask_first(self._first.pop(0))
        families = self.families
        if not (self.spaces or families):
            return None
        if families:
            family = family or families[self.n_proposed % len(families)]
        if family is not None and self._lists.get(family):
            return self._ask_first(self._lists[family].pop(0))
        if family is not None and family not in self._opened:
            values = _middling(self._space(family))
            number = self._place(values, [self._space(family)])
            config = self._member(number, values)
            return self._proposed(Proposal(number, family, config, proposed_by=Proposer.MIDDLE))
        if family is not None and len(self.spaces) > 1:
            self._study.enqueue_trial({SPACE: family})
        by = Proposer.SAMPLER if self._n_results >= START else Proposer.RANDOM
        trial = self._start()
        space, values = suggest(trial, self.spaces)
        return self._proposed(
            Proposal(trial.number, space.name, self._member(trial.number, values), proposed_by=by)
        )

    def _proposed(self, proposal: Proposal) -> Proposal:
        """Note that a member was proposed; return it."""
        if self._by_share:
            self._opened.add(self.family_of(proposal))
        return proposal

    def again(self, proposal: Proposal) -> Proposal:
        """Return a member that was proposed before as a new one with another seed.

        The sampler learns nothing from it: repeats of the same member would fill its set of the best.
        """
        number = self._start().number
        config = self._member(number, proposal.config.model_dump(exclude={"seed"}))
        return Proposal(number, proposal.origin, config, proposed_by=Proposer.REPEAT)

    def tell(self, number: int, value: float | None, curve: Mapping[int, float], *, pruned: bool) -> None:
        """Report the end of a trial; a second report of the same trial changes nothing.

        Args:
            number: Number of the trial.
            value: Final objective; None if the trial failed, was infeasible, diverged or stopped early.
            curve: Epoch → objective, for the finished epochs.
            pruned: Whether the trial was stopped early.
        """
        trial = self._running.pop(number, None)
        if trial is None:
            return
        for epoch, objective in curve.items():
            trial.report(objective, epoch)
        if value is None:
            self._study.tell(trial, state=TrialState.PRUNED if pruned and curve else TrialState.FAIL)
        else:
            self._study.tell(trial, value)

    @property
    def n_proposed(self) -> int:
        """Number of proposed trials, those of earlier sessions included."""
        return len(self._study.get_trials(deepcopy=False))

    @property
    def _n_results(self) -> int:
        """Number of trials that the sampler learns from."""
        known = (TrialState.COMPLETE, TrialState.PRUNED)
        return len(self._study.get_trials(deepcopy=False, states=known))

    @property
    def knows_more(self) -> bool:
        """Whether a recipe, or another member that runs before the sampled ones, is not proposed yet."""
        return bool(self._first)

    @property
    def exhausted(self) -> bool:
        """Whether sub-spaces are left without a member that has not been proposed."""
        return bool(self._all) and not (self._first or self.spaces or self.families)

    @property
    def named(self) -> tuple[str, ...]:
        """Those of `families` that no member was proposed from, or that name further first members."""
        first = {
            name for name, members in self._lists.items() if any(it.by == Proposer.FIRST for it in members)
        }
        return tuple(name for name in self.families if name in first or name not in self._opened)

    @property
    def running(self) -> bool:
        """Whether a proposed trial has not been reported by `tell`."""
        return bool(self._running)

    def trials(self) -> list[FrozenTrial]:
        """Return all trials of the Optuna study, in order."""
        return self._study.get_trials()

    def _ask_first(self, member: FirstMember) -> Proposal:
        number = self._place(member.values, self._spaces_of(member))
        config = self._member(number, member.values)
        return self._proposed(Proposal(number, member.origin, config, proposed_by=member.by))

    def _spaces_of(self, member: FirstMember) -> Sequence[SubSpace]:
        """Return the sub-spaces that may learn from a member."""
        return [space for space in self.spaces if member.space in (None, space)]

    def _repeat(self, past: PastTrial) -> Proposal | None:
        """Replay a trial; return its proposal if it has not ended."""
        proposal = self._proposed(past.proposal)
        waiting = [self._first, *self._lists.values()]
        source, first = next(
            (
                (known, it)
                for known in waiting
                for it in known
                if it.is_member(proposal.origin, proposal.config)
            ),
            (self._first, None),
        )
        if proposal.proposed_by == Proposer.REPEAT:
            self._start()
        elif first is None:
            spaces = [space for space in self.spaces if space.name == proposal.origin]
            self._place(_at_full_length(proposal.config, spaces), spaces)
        else:
            source.remove(first)
            self._place(first.values, self._spaces_of(first))
        if not past.ended:
            return proposal
        self.tell(proposal.number, past.value, past.curve, pruned=bool(past.curve))
        return None

    def _place(self, values: Mapping[str, Any], spaces: Sequence[SubSpace]) -> int:
        """Start a trial with given values; the sampler learns from it if a sub-space contains them."""
        place = locate(values, spaces)
        if place is None:
            return self._start().number
        space, point = spaces[place[0]], place[1]
        names = parameter_names(self.spaces)
        index = self.spaces.index(space)
        fixed = {names[index, name]: _encode(space.domains[name], value) for name, value in point.items()}
        if len(self.spaces) > 1:
            fixed[SPACE] = space.name
        self._study.enqueue_trial(fixed)
        trial = self._start()
        suggest(trial, self.spaces)
        return trial.number

    def _start(self) -> optuna.Trial:
        # With few trials the multivariate TPE, Optuna's default from version 5, converges too early on one
        # architecture.
        self._study.sampler = _RoundedSampler(
            seed=self._stream(self.n_proposed),
            n_startup_trials=START,
            multivariate=False,
            constant_liar=True,
        )
        trial = self._study.ask()
        self._running[trial.number] = trial
        return trial

    def _stream(self, number: int) -> int:
        """Return the seed of a trial's random stream."""
        return int(np.random.SeedSequence([self._seed, number]).generate_state(1)[0])

    def _member(self, number: int, values: Mapping[str, Any]) -> MemberConfig:
        return MemberConfig(**{"seed": (self._seed + number) % 2**31, **values})


def _at_full_length(config: MemberConfig, spaces: Sequence[SubSpace]) -> dict[str, Any]:
    """Return the values that a member was proposed with: it may have been shortened to the time left."""
    fixed = (domain.value for space in spaces if isinstance(domain := space.domains.get("epochs"), Fixed))
    return {**config.model_dump(), "epochs": next(fixed, config.epochs)}


def _middling(space: SubSpace) -> dict[str, Any]:
    return {name: middle(domain) for name, domain in space.domains.items()}


def suggest(trial: optuna.Trial, spaces: Sequence[SubSpace]) -> tuple[SubSpace, dict[str, Any]]:
    """Let a trial choose a sub-space and a value for each of its parameters."""
    index = 0
    if len(spaces) > 1:
        name = trial.suggest_categorical(SPACE, [space.name for space in spaces])
        index = [space.name for space in spaces].index(name)
    names = parameter_names(spaces)
    values = {
        name: _suggest_value(trial, names[index, name], domain)
        for name, domain in spaces[index].domains.items()
    }
    return spaces[index], values


def parameter_names(spaces: Sequence[SubSpace]) -> dict[tuple[int, str], str]:
    """Return Optuna's name for each (index of the sub-space, parameter).

    A parameter with the same domain in all sub-spaces keeps its name, so that Optuna learns it from all of
    them. Other names are prefixed with the name of their sub-space.
    """
    domains: dict[str, set[Domain]] = {}
    for space in spaces:
        for name, domain in space.domains.items():
            if not isinstance(domain, Fixed):
                domains.setdefault(name, set()).add(_hashable(domain))
    return {
        (index, name): name if len(domains.get(name, ())) <= 1 else f"{space.name}.{name}"
        for index, space in enumerate(spaces)
        for name in space.domains
    }


def _hashable(domain: Domain) -> Domain:
    return Choice(tuple(map(repr, domain.values))) if isinstance(domain, Choice) else domain


def _suggest_value(trial: optuna.Trial, name: str, domain: Domain) -> Any:
    if isinstance(domain, Fixed):
        return domain.value
    if isinstance(domain, Choice):
        # Optuna stores scalars only, and a size is a pair: a choice is stored as its index.
        index = trial.suggest_categorical(name, list(range(len(domain.values))))
        return domain.values[index]
    return _suggest_number(trial, name, domain)


def _encode(domain: Domain, value: Any) -> Any:
    """Return Optuna's form of a value: the index of a choice, otherwise the value itself."""
    return domain.values.index(value) if isinstance(domain, Choice) else value


def _suggest_number(trial: optuna.Trial, name: str, domain: Range) -> float:
    if not domain.integer:
        return trial.suggest_float(name, domain.low, domain.high, step=domain.step, log=domain.log)
    step = 1 if domain.step is None else int(domain.step)
    return trial.suggest_int(name, int(domain.low), int(domain.high), step=step, log=domain.log)
