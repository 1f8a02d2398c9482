"""Where a replayed search gets its next training from: random order, Optuna, the program, or a model."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import optuna
from numpy.typing import NDArray
from sklearn.ensemble import ExtraTreesRegressor
from tables import Ensembles, Run, Table, Training

from tune_paddy.core.domains import Choice, Domain, Fixed, Range, SubSpace
from tune_paddy.search.sampling.sampler import SPACE, MemberSampler, parameter_names, suggest
from tune_paddy.search.sampling.shares import Begun, next_family

_AHEAD = 8
"""Trainings before a source with a model of the results uses it, as Optuna's samplers do with 10."""
_REFIT = 3
"""Results between two fits of a model."""


class Source(Protocol):
    """Proposes trainings, each once."""

    def next(self) -> Training | None:
        """Return the next training; None: all have been proposed."""

    def tell(self, training: Training, loss: float, stage: int) -> None:
        """Learn the loss of a training that ended at a stage."""


class Untried:
    """Trainings of a table that have not been proposed.

    Args:
        trainings: All of them.
        spaces: Sub-spaces that they are from.
        rng: Source of randomness.
    """

    def __init__(
        self, trainings: Sequence[Training], spaces: Sequence[SubSpace], rng: np.random.Generator
    ) -> None:
        self.left = {training.name: training for training in trainings}
        self._spaces, self._rng = {space.name: space for space in spaces}, rng

    def any(self) -> Training | None:
        """Take a random training."""
        names = sorted(self.left)
        return self.left.pop(names[self._rng.integers(len(names))]) if names else None

    def nearest(self, origin: str, values: Mapping[str, Any]) -> Training | None:
        """Take the training of a sub-space that is nearest to proposed values; any, if it has none left."""
        domains = self._spaces[origin].domains
        rivals = [one for one in self.left.values() if one.origin == origin]
        if not rivals:
            return self.any()
        best = min(rivals, key=lambda one: (_distance(domains, values, one.values), one.name))
        return self.left.pop(best.name)


def _distance(domains: Mapping[str, Domain], one: Mapping[str, Any], other: Mapping[str, Any]) -> float:
    return sum(_apart(domain, one[name], other[name]) for name, domain in domains.items())


def _apart(domain: Domain, one: Any, other: Any) -> float:
    if isinstance(domain, Fixed):
        return 0.0
    if isinstance(domain, Range):
        scale = math.log if domain.log else float
        return abs(scale(one) - scale(other)) / (scale(domain.high) - scale(domain.low))
    return float(_plain(one) != _plain(other))


def _plain(value: Any) -> Any:
    return value[0] if isinstance(value, list | tuple) else value


class RandomOrder:
    """Proposes trainings in random order."""

    def __init__(self, untried: Untried) -> None:
        self._untried = untried

    def next(self) -> Training | None:
        """Return a random training."""
        return self._untried.any()

    def tell(self, training: Training, loss: float, stage: int) -> None:
        """Learn nothing."""


class Default:
    """The program's own sampler: frozen combinations first, then univariate TPE on the calibrated loss."""

    def __init__(self, untried: Untried, spaces: Sequence[SubSpace], seed: int, trials: int) -> None:
        self._untried = untried
        self._sampler = MemberSampler((), spaces, seed=seed, trials=trials)
        self._numbers: dict[str, int] = {}

    def next(self) -> Training | None:
        """Return the training that is nearest to the sampler's proposal."""
        if not self._untried.left:
            return None
        proposal = self._sampler.ask()
        if proposal is None:
            return None
        training = self._untried.nearest(proposal.origin, proposal.config.model_dump())
        if training is not None:
            self._numbers[training.name] = proposal.number
        return training

    def tell(self, training: Training, loss: float, stage: int) -> None:  # noqa: ARG002 all end whole
        """Tell the sampler the loss."""
        self._sampler.tell(self._numbers[training.name], loss, {}, pruned=False)


class Optuna:
    """A sampler of Optuna over all sub-spaces, after trainings that are given.

    Args:
        untried: Trainings to propose.
        spaces: Sub-spaces.
        sampler: Optuna's sampler.
        first: Trainings that come first.
        arch: Function that chooses the architecture of a fine-tuned member; None: the sampler does.
        family: Function that chooses the sub-space; None: the sampler does.
        pruner: Optuna's pruner; None: no training is stopped.
    """

    def __init__(
        self,
        untried: Untried,
        spaces: Sequence[SubSpace],
        sampler: optuna.samplers.BaseSampler,
        *,
        first: Sequence[Training] = (),
        arch: Callable[[], str] | None = None,
        family: Callable[[], str] | None = None,
        pruner: optuna.pruners.BasePruner | None = None,
    ) -> None:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._study = optuna.create_study(
            study_name="replay", sampler=sampler, pruner=pruner or optuna.pruners.NopPruner()
        )
        self._untried, self._spaces, self._first = untried, spaces, list(first)
        self._arch, self._family = arch, family
        self.trials: dict[str, optuna.Trial] = {}

    def next(self) -> Training | None:
        """Return the next given training, or the one that is nearest to a proposal."""
        given = self._untried.left.pop(self._first.pop(0).name) if self._first else None
        if given is not None:
            self._study.enqueue_trial(encoded(given, self._spaces))
        if given is None and not self._untried.left:
            return None
        if given is None and self._family is not None:
            self._study.enqueue_trial({SPACE: self._family()})
        trial = self._study.ask()
        space, values = suggest(trial, self._spaces)
        if self._arch is not None and given is None and space.name == "tuned":
            values = {**values, "arch": self._arch()}
        training = given or self._untried.nearest(space.name, values)
        if training is not None:
            self.trials[training.name] = trial
        return training

    def enqueue(self, training: Training) -> None:
        """Propose a given training next."""
        self._first.append(training)

    def tell(self, training: Training, loss: float, stage: int) -> None:
        """Tell the study the loss, or that the training was stopped."""
        trial = self.trials[training.name]
        if stage < training.last:
            self._study.tell(trial, state=optuna.trial.TrialState.PRUNED)
        else:
            self._study.tell(trial, loss)


class Shares:
    """Chooses the sub-space whose members have the most weight in the ensemble per second that they took.

    Args:
        run: The search.
        untried: Trainings that are left.
        ensembles: Scores of pools.
        names: Names of the sub-spaces; each is tried once before the weights count.
    """

    def __init__(self, run: Run, untried: Untried, ensembles: Ensembles, names: Sequence[str]) -> None:
        self._run, self._untried, self._ensembles, self._names = run, untried, ensembles, names

    def __call__(
        self, first_seconds: Callable[[str], float | None] = lambda name: None, soon: float = math.inf
    ) -> str:
        """Return the name of a sub-space.

        Args:
            first_seconds: As of the program's `next_family`.
            soon: As of `next_family`.
        """
        left = {training.origin for training in self._untried.left.values()}
        names = [name for name in self._names if name in left] or list(self._names)
        weights = self._ensembles.weights(tuple(self._run.pool)) if self._run.pool else {}
        begun, before = [], 0.0
        for seconds, pool in self._run.events:
            name = pool[-1][0]
            origin = self._run.table.trainings[name].origin
            begun.append(Begun(origin, weights[name], seconds - before))
            before = seconds
        return next_family(names, begun, first_seconds, soon)


class Program:
    """Known members, then the sub-space with the most weight per second, as a built space is searched.

    Frozen members come in the order of the program's lists: new features first, and larger images before
    smaller ones. The other sub-spaces get what univariate TPE proposes.

    Args:
        run: The search.
        untried: Trainings to propose.
        ensembles: Scores of pools.
        spaces: Sub-spaces.
        sampler: Optuna's sampler.
        first: Known members.
        openings: Sub-space → its first members in order.
    """

    def __init__(
        self,
        run: Run,
        untried: Untried,
        ensembles: Ensembles,
        spaces: Sequence[SubSpace],
        sampler: optuna.samplers.BaseSampler,
        *,
        first: Sequence[Training],
        openings: Mapping[str, Sequence[Training]],
    ) -> None:
        self._run, self._untried = run, untried
        self._openings = {name: list(members) for name, members in openings.items()}
        self._tpe = Optuna(untried, spaces, sampler, first=first, family=lambda: self._family)
        self._shares = Shares(run, untried, ensembles, [space.name for space in spaces])
        self._family, self._known = "", len(first)
        self._frozen = listed(run.table, first)

    def next(self) -> Training | None:
        """Return the next training."""
        if self._known:
            self._known -= 1
            return self._tpe.next()
        self._family = self._shares(self._first_seconds, max(0.1 * self._run.budget, 0.25 * self._run.spent))
        openings = self._openings.get(self._family, [])
        while openings:
            opening = openings.pop(0)
            if opening.name in self._untried.left:
                self._tpe.enqueue(opening)
                return self._tpe.next()
        if self._family == "frozen":
            while self._frozen:
                training = self._untried.left.pop(self._frozen.pop(0).name, None)
                if training is not None:
                    return training
        return self._tpe.next()

    def tell(self, training: Training, loss: float, stage: int) -> None:
        """Tell TPE the loss, if it made the proposal."""
        if training.name in self._tpe.trials:
            self._tpe.tell(training, loss, stage)

    def _first_seconds(self, name: str) -> float | None:
        openings = self._openings.get(name)
        return openings[0].cost if openings else None


def listed(table: Table, known: Sequence[Training]) -> list[Training]:
    """Return the frozen trainings of a table in the order of the program's lists."""
    frozen = [one for one in table.full if one.frozen and one not in known]
    frozen.sort(key=lambda one: (one.values["label_smoothing"], -one.values["zoom_view"], -side_of(one)))
    seen = [one.features for one in known]
    ranks = []
    for one in frozen:
        ranks.append(seen.count(one.features))
        seen.append(one.features)
    order = sorted(range(len(frozen)), key=lambda place: (ranks[place], -side_of(frozen[place])))
    return [frozen[place] for place in order]


def side_of(training: Training) -> int:
    """Return the side of a training's images, in px."""
    size = training.values["size"]
    return int(size[0] if isinstance(size, list) else size)


def encoded(training: Training, spaces: Sequence[SubSpace]) -> dict[str, Any]:
    """Return Optuna's parameters of a training, as `suggest` reads them."""
    index = [space.name for space in spaces].index(training.origin)
    names = parameter_names(spaces)
    found: dict[str, Any] = {SPACE: training.origin}
    for name, domain in spaces[index].domains.items():
        if isinstance(domain, Choice):
            plain = [_plain(value) for value in domain.values]
            found[names[index, name]] = plain.index(_plain(training.values[name]))
        elif isinstance(domain, Range):
            found[names[index, name]] = training.values[name]
    return found


class Modelled:
    """Chooses by a forest's forecast of results, per forecast second.

    Args:
        run: The search, for what it has spent.
        untried: Trainings to propose.
        table: Table of them.
        cost: Whether the expected gain is divided by the forecast seconds, to a power that falls from 1 to 0
            with the budget.
        ensembles: Scores of pools: the forest learns the weight of a member in the ensemble; None: its loss.
        first: Trainings that come first.
        rng: Source of randomness.
    """

    def __init__(
        self,
        run: Run,
        untried: Untried,
        table: Table,
        *,
        cost: bool,
        rng: np.random.Generator,
        ensembles: Ensembles | None = None,
        first: Sequence[Training] = (),
    ) -> None:
        self._run, self._untried, self._rng = run, untried, rng
        self._cost, self._ensembles, self._first = cost, ensembles, list(first)
        self._rows = table_rows(table)
        self._told: dict[str, float] = {}
        self._forecast: dict[str, tuple[float, float]] = {}

    def next(self) -> Training | None:
        """Return the untried training with the largest acquisition value."""
        if self._first:
            return self._untried.left.pop(self._first.pop(0).name)
        if not self._untried.left:
            return None
        if len(self._told) < _AHEAD:
            return self._untried.any()
        if not self._forecast or len(self._told) % _REFIT == 0:
            self._fit()
        names = sorted(self._untried.left)
        gains = np.array([self._gain(*self._forecast[name]) for name in names])
        if self._cost:
            # The program forecasts seconds from counted operations and measured speed, some percent off.
            errors = self._rng.lognormal(0.0, 0.15, len(names))
            seconds = np.array([self._run.cost_of(self._untried.left[name]) for name in names]) * errors
            power = max(0.0, 1 - self._run.spent / self._run.budget)
            gains = gains / seconds**power
        return self._untried.left.pop(names[int(np.argmax(gains))])

    def tell(self, training: Training, loss: float, stage: int) -> None:  # noqa: ARG002 all end whole
        """Learn a result."""
        self._told[training.name] = loss

    def _fit(self) -> None:
        wanted = self._told
        if self._ensembles is not None:
            weights = self._ensembles.weights(tuple(self._run.pool))
            wanted = {name: -weight for name, weight in weights.items()}
        names = sorted(wanted)
        forest = ExtraTreesRegressor(20, min_samples_leaf=2, random_state=int(self._rng.integers(2**31)))
        forest.fit(np.stack([self._rows[name] for name in names]), [wanted[name] for name in names])
        left = sorted(self._untried.left)
        rows = np.stack([self._rows[name] for name in left])
        each = np.stack([tree.predict(rows) for tree in forest.estimators_])
        self._forecast = dict(zip(left, zip(each.mean(0), each.std(0), strict=True), strict=True))
        self._best = min(wanted.values())

    def _gain(self, mean: float, spread: float) -> float:
        """Return the expected improvement over the best result."""
        spread = max(spread, 1e-3)
        standard = (self._best - mean) / spread
        density = math.exp(-(standard**2) / 2) / math.sqrt(2 * math.pi)
        return spread * (standard * 0.5 * math.erfc(-standard / math.sqrt(2)) + density) + 1e-9


def table_rows(table: Table) -> dict[str, NDArray[np.float64]]:
    """Return name → numbers that describe a training's parameters; missing ones are -1."""
    every = table.full
    names = sorted({name for one in every for name in one.values})
    texts = {name: sorted({str(one.values.get(name)) for one in every}) for name in names}

    def number(name: str, value: Any) -> list[float]:
        value = _plain(value)
        if isinstance(value, str):
            return [float(value == other) for other in texts[name]]
        if isinstance(value, int | float):
            return [math.log(value) if name in ("lr", "weight_decay") else float(value)]
        return [-1.0] * (len(texts[name]) if name in ("arch", "schedule") else 1)

    return {
        one.name: np.array([part for name in names for part in number(name, one.values.get(name))])
        for one in every
    }
