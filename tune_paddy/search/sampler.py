"""Propose members: the recipes first, then Optuna's suggestions from the search space.

Nothing of it is stored: what the sampler knows is in the record, and a search that goes on tells it again.
Every proposal draws from a random stream of its own, begun anew from the search's seed and the trial's
number, so no state of a generator is lost with a process either.

Written on Optuna's ask-and-tell interface rather than on Ray's OptunaSearch, which tells Optuna that a
trial stopped early is complete, leaves trials without a number running for ever, and cannot keep a
recipe that lies outside the space.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import optuna
from optuna.trial import FrozenTrial, TrialState
from ray.tune.search import Searcher

from tune_paddy.core.config import MemberConfig
from tune_paddy.core.domains import Choice, Domain, Fixed, Range, Recipe, SubSpace, locate
from tune_paddy.core.memory import TrialMemory
from tune_paddy.search.trial import Trial

SPACE = "space"
"""Name of the parameter that says which sub-space a trial comes from."""


@dataclass(frozen=True)
class Proposal:
    """One member to train.

    Attributes:
        number: Of the trial, from 0.
        origin: Name of the recipe or the sub-space that it comes from.
        config: The member.
    """

    number: int
    origin: str
    config: MemberConfig

    @property
    def member(self) -> str:
        """Name of the member: number, architecture and size."""
        height, width = self.config.size
        size = str(height) if height == width else f"{height}x{width}"
        return f"{self.number:04d}-{self.config.arch}-{size}"


@dataclass(frozen=True)
class PastTrial:
    """A trial of an earlier session of the search, as the record has it.

    Attributes:
        proposal: As it was made then.
        ended: Whether it has its outcome; otherwise it goes on.
        value: Its objective; None when it has none.
        curve: Epoch → objective, as far as it went; needed of trials that were stopped early or go on.
    """

    proposal: Proposal
    ended: bool
    value: float | None = None
    curve: Mapping[int, float] = field(default_factory=dict)


class MemberSampler:
    """Ask Optuna for members, and tell it how they did.

    Args:
        recipes: Fixed members, proposed first and in order.
        spaces: Sub-spaces to sample from; may be empty.
        seed: Of the sampler; a member's own seed is this plus its number, unless the space sets it.
    """

    def __init__(self, recipes: Sequence[Recipe], spaces: Sequence[SubSpace], *, seed: int) -> None:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        logging.getLogger("optuna").setLevel(logging.ERROR)
        self._recipes = tuple(recipes)
        self._spaces = tuple(spaces)
        self._seed = seed
        self._running: dict[int, optuna.Trial] = {}
        self._study = optuna.create_study(study_name="members", direction="minimize")

    def replay(self, past: Sequence[PastTrial]) -> list[Proposal]:
        """Tell again what earlier sessions have found out, before anything is asked for.

        Args:
            past: Trials of the same recipes, sub-spaces and seed, at most one of each number.

        Returns:
            The members that are still to train, in order: those that have not ended, and those whose
            number was given out and lost before the record knew of it.
        """
        by_number = {trial.proposal.number: trial for trial in past}
        waiting: list[Proposal] = []
        for number in range(max(by_number, default=-1) + 1):
            trial = by_number.get(number)
            proposal = self.ask() if trial is None else self._repeat(trial)
            if proposal is not None:
                waiting.append(proposal)
        return waiting

    def ask(self) -> Proposal | None:
        """The next member, or None when recipes are all there is and all have been proposed."""
        if self.asked < len(self._recipes):
            return self._ask_recipe(self._recipes[self.asked])
        if not self._spaces:
            return None
        trial = self._start()
        space, values = suggest(trial, self._spaces)
        return Proposal(trial.number, space.name, self._member(trial.number, values))

    def tell(self, number: int, value: float | None, curve: Mapping[int, float], *, pruned: bool) -> None:
        """Report how a trial ended; a second report of the same trial changes nothing.

        Args:
            number: Of the trial.
            value: Its objective; None when it has none: failed, infeasible or diverged.
            curve: Epoch → objective, as far as it went.
            pruned: Whether it was stopped early.
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
    def asked(self) -> int:
        """How many trials have been asked for, those of earlier sessions included."""
        return len(self._study.get_trials(deepcopy=False))

    @property
    def running(self) -> bool:
        """Whether a trial that was asked for has not been told of."""
        return bool(self._running)

    def trials(self) -> list[FrozenTrial]:
        """All trials as Optuna knows them, in order."""
        return self._study.get_trials()

    def _ask_recipe(self, recipe: Recipe) -> Proposal:
        number = self._place(recipe.values, self._spaces)
        return Proposal(number, recipe.name, self._member(number, recipe.values))

    def _repeat(self, past: PastTrial) -> Proposal | None:
        """Ask for the same as before and tell how it ended; return what has not ended."""
        proposal = past.proposal
        drawn = proposal.number >= len(self._recipes)
        spaces = [space for space in self._spaces if not drawn or space.name == proposal.origin]
        self._place(proposal.config.model_dump(), spaces)
        if not past.ended:
            return proposal
        self.tell(proposal.number, past.value, past.curve, pruned=bool(past.curve))
        return None

    def _place(self, values: Mapping[str, Any], spaces: Sequence[SubSpace]) -> int:
        """Start a trial of given values; the sampler learns from it where a sub-space holds them."""
        place = locate(values, spaces)
        if place is None:
            return self._start().number
        space, point = spaces[place[0]], place[1]
        names = parameter_names(self._spaces)
        index = self._spaces.index(space)
        fixed = {names[index, name]: _encode(space.domains[name], value) for name, value in point.items()}
        if len(self._spaces) > 1:
            fixed[SPACE] = space.name
        self._study.enqueue_trial(fixed)
        trial = self._start()
        suggest(trial, self._spaces)
        return trial.number

    def _start(self) -> optuna.Trial:
        # Univariate on purpose: with few trials the multivariate one locks onto one kind of model.
        self._study.sampler = optuna.samplers.TPESampler(seed=self._stream(self.asked), constant_liar=True)
        trial = self._study.ask()
        self._running[trial.number] = trial
        return trial

    def _stream(self, number: int) -> int:
        """Seed of the random stream that a trial is drawn from."""
        return int(np.random.SeedSequence([self._seed, number]).generate_state(1)[0])

    def _member(self, number: int, values: Mapping[str, Any]) -> MemberConfig:
        return MemberConfig(**{"seed": (self._seed + number) % 2**31, **values})


def suggest(trial: optuna.Trial, spaces: Sequence[SubSpace]) -> tuple[SubSpace, dict[str, Any]]:
    """Let a trial choose a sub-space and, within it, a value for each parameter."""
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
    """Name each sub-space's parameters for Optuna.

    A parameter with the same domain everywhere keeps its name, so that what is learnt of it in one
    sub-space serves in all; the others are told apart by their sub-space's name.
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
        # Optuna stores plain values only, and a size is a pair: choices go by their place.
        index = trial.suggest_categorical(name, list(range(len(domain.values))))
        return domain.values[index]
    return _suggest_number(trial, name, domain)


def _encode(domain: Domain, value: Any) -> Any:
    """What Optuna calls a value: choices go by their place."""
    return domain.values.index(value) if isinstance(domain, Choice) else value


def _suggest_number(trial: optuna.Trial, name: str, domain: Range) -> float:
    if not domain.integer:
        return trial.suggest_float(name, domain.low, domain.high, step=domain.step, log=domain.log)
    step = 1 if domain.step is None else int(domain.step)
    return trial.suggest_int(name, int(domain.low), int(domain.high), step=step, log=domain.log)


class MemberSearcher(Searcher):
    """Ray's view of a `MemberSampler`: hands out trials until the trials or the time are used up.

    Args:
        sampler: Where members come from.
        trials: How many there are to be in all, those of earlier sessions included.
        expired: Says whether no new trial may start any more; those of earlier sessions still may.
        plan: Chooses what of a GPU a member is given.
        past: Trials of earlier sessions; those that have not ended are handed out first.
        stopping: Says whether nothing at all may start any more.
    """

    def __init__(
        self,
        sampler: MemberSampler,
        *,
        trials: int,
        expired: Callable[[], bool],
        plan: Callable[[MemberConfig], TrialMemory],
        past: Sequence[PastTrial] = (),
        stopping: Callable[[], bool] = lambda: False,
    ) -> None:
        super().__init__(metric="objective", mode="min")
        self.sampler = sampler
        self._trials = trials
        self._expired = expired
        self._stopping = stopping
        self._plan = plan
        self._waiting = sampler.replay(past)
        self._past_curves = {trial.proposal.number: trial.curve for trial in past if not trial.ended}
        self._numbers: dict[str, int] = {}
        self._curves: dict[str, dict[int, float]] = {}

    def __getstate__(self) -> dict[str, Any]:
        """Nothing: Ray keeps a copy for its own restore, which is not how a search goes on."""
        return {}

    @property
    def left(self) -> int:
        """Trials that may still be handed out: those that go on, and new ones."""
        return len(self._waiting) + max(0, self._trials - self.sampler.asked)

    def suggest(self, trial_id: str) -> dict[str, Any] | None:
        """Return the configuration of the next trial, or `Searcher.FINISHED`."""
        proposal = None if self._stopping() else self._next()
        if proposal is None:
            finished: Any = Searcher.FINISHED  # a string, whatever the return type says
            return finished  # type: ignore[no-any-return]
        self._numbers[trial_id] = proposal.number
        self._curves[trial_id] = dict(self._past_curves.get(proposal.number, {}))
        memory = self._plan(proposal.config)
        trial = Trial(proposal.number, proposal.member, proposal.origin, proposal.config, memory)
        return trial.to_config()

    def _next(self) -> Proposal | None:
        if self._waiting:
            return self._waiting.pop(0)
        if self.sampler.asked >= self._trials or self._expired():
            return None
        return self.sampler.ask()

    @property
    def unfinished(self) -> bool:
        """Whether trials are left that were asked for, here or in an earlier session, and have not ended."""
        return self.sampler.running

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Keep the curve, for trials that are stopped early."""
        if "objective" in result and "outcome" not in result:
            self._curves.setdefault(trial_id, {})[int(result["epoch"])] = float(result["objective"])

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Tell the sampler; Ray may call this twice."""
        outcome = (result or {}).get("outcome")
        value = float((result or {})["objective"]) if outcome == "finished" else None
        curve = self._curves.pop(trial_id, {})
        self.sampler.tell(self._numbers[trial_id], value, curve, pruned=outcome is None and not error)

    def save(self, checkpoint_path: str) -> None:
        """Nothing: the record has all that the sampler knows."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing: a search goes on from its record, not from Ray's snapshot."""
