"""Propose members: the recipes first, then Optuna's suggestions from the search space.

Written on Optuna's ask-and-tell interface rather than on Ray's OptunaSearch, which tells Optuna that a
trial stopped early is complete, leaves trials without a number running for ever, and cannot keep a
recipe that lies outside the space.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState
from ray.tune.search import Searcher

from tune_paddy.core.config import MemberConfig
from tune_paddy.core.domains import Choice, Domain, Fixed, Range, Recipe, SubSpace, locate
from tune_paddy.core.memory import TrialMemory

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


class Proposer:
    """Ask Optuna for members, and tell it how they did.

    Args:
        recipes: Fixed members, proposed first and in order.
        spaces: Sub-spaces to sample from; may be empty.
        seed: Of the sampler; a member's own seed is this plus its number, unless the space sets it.
        storage: File that keeps the study, or None to keep it in memory.
    """

    def __init__(
        self, recipes: Sequence[Recipe], spaces: Sequence[SubSpace], *, seed: int, storage: Path | None = None
    ) -> None:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        logging.getLogger("optuna").setLevel(logging.ERROR)
        self._recipes = tuple(recipes)
        self._spaces = tuple(spaces)
        self._seed = seed
        self._running: dict[int, optuna.Trial] = {}
        backend = None if storage is None else JournalStorage(JournalFileBackend(str(storage)))
        # Univariate on purpose: with few trials the multivariate one locks onto one kind of model.
        sampler = optuna.samplers.TPESampler(seed=seed, constant_liar=True)
        self._study = optuna.create_study(
            storage=backend, sampler=sampler, study_name="members", load_if_exists=True, direction="minimize"
        )

    def ask(self) -> Proposal | None:
        """The next member, or None when recipes are all there is and all have been proposed."""
        number = len(self._study.get_trials(deepcopy=False))
        if number < len(self._recipes):
            return self._ask_recipe(self._recipes[number])
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
    def running(self) -> bool:
        """Whether a trial that was asked for has not been told of."""
        return bool(self._running)

    def trials(self) -> list[FrozenTrial]:
        """All trials as Optuna knows them, in order."""
        return self._study.get_trials()

    def _ask_recipe(self, recipe: Recipe) -> Proposal:
        place = locate(recipe.values, self._spaces)
        if place is not None:
            index, values = place
            names = parameter_names(self._spaces)
            domains = self._spaces[index].domains
            fixed = {names[index, name]: _encode(domains[name], value) for name, value in values.items()}
            if len(self._spaces) > 1:
                fixed[SPACE] = self._spaces[index].name
            self._study.enqueue_trial(fixed, user_attrs={"recipe": recipe.name})
        trial = self._start()
        if place is not None:
            suggest(trial, self._spaces)
        return Proposal(trial.number, recipe.name, self._member(trial.number, recipe.values))

    def _start(self) -> optuna.Trial:
        trial = self._study.ask()
        self._running[trial.number] = trial
        return trial

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
    """Ray's view of a `Proposer`: hands out trials until the trials or the time are used up.

    Args:
        proposer: Where members come from.
        trials: How many to propose in all.
        expired: Says whether no new trial may start any more.
        plan: Chooses what of a GPU a member is given.
    """

    def __init__(
        self,
        proposer: Proposer,
        *,
        trials: int,
        expired: Callable[[], bool],
        plan: Callable[[MemberConfig], TrialMemory],
    ) -> None:
        super().__init__(metric="objective", mode="min")
        self.proposer = proposer
        self._left = trials
        self._expired = expired
        self._plan = plan
        self._numbers: dict[str, int] = {}
        self._curves: dict[str, dict[int, float]] = {}

    def __getstate__(self) -> dict[str, Any]:
        """Nothing: Ray keeps a copy for its own restore, which is not how a search goes on."""
        return {}

    def suggest(self, trial_id: str) -> dict[str, Any] | None:
        """Return the configuration of a new trial, or `Searcher.FINISHED`."""
        proposal = None if self._left <= 0 or self._expired() else self.proposer.ask()
        if proposal is None:
            finished: Any = Searcher.FINISHED  # a string, whatever the return type says
            return finished  # type: ignore[no-any-return]
        self._left -= 1
        self._numbers[trial_id] = proposal.number
        return {
            "number": proposal.number,
            "member": proposal.member,
            "origin": proposal.origin,
            "config": proposal.config.model_dump(mode="json"),
            "memory": asdict(self._plan(proposal.config)),
        }

    @property
    def unfinished(self) -> bool:
        """Whether Ray has ended without a word on a trial: it swallows a person's Ctrl-C."""
        return self.proposer.running

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Keep the curve, for trials that are stopped early."""
        if "objective" in result and "outcome" not in result:
            self._curves.setdefault(trial_id, {})[int(result["epoch"])] = float(result["objective"])

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Tell the proposer; Ray may call this twice."""
        outcome = (result or {}).get("outcome")
        value = float((result or {})["objective"]) if outcome == "finished" else None
        curve = self._curves.pop(trial_id, {})
        self.proposer.tell(self._numbers[trial_id], value, curve, pruned=outcome is None and not error)

    def save(self, checkpoint_path: str) -> None:
        """Nothing: the study keeps itself."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing: a search goes on from its study and its record, not from Ray's snapshot."""
