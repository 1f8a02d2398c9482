"""SMAC3 and Syne Tune as sources of trainings, where their packages are installed; no project dependency."""

import tempfile
from collections.abc import Sequence
from datetime import datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from sources import Untried
from tables import Training

from tune_paddy.core.domains import Choice, Range, SubSpace

FIRST = 10
"""Proposals of the initial design, as with Optuna."""


METRIC, TIME = "loss", "stage"
"""Names of what Syne Tune's schedulers are told."""


def installed(package: str) -> bool:
    """Return whether the package of a peer can be imported."""
    return find_spec(package) is not None


class Smac:
    """SMAC3's facade for hyperparameters: a random forest and expected improvement over all sub-spaces.

    Args:
        untried: Trainings to propose.
        spaces: Sub-spaces; each is a value of a categorical parameter, on which its own parameters depend.
        seed: Seed of SMAC3.
    """

    def __init__(self, untried: Untried, spaces: Sequence[SubSpace], seed: int) -> None:
        from smac import HyperparameterOptimizationFacade, Scenario  # noqa: PLC0415 optional

        self._untried, self._folder = untried, tempfile.TemporaryDirectory()
        self._domains = {space.name: space.domains for space in spaces}
        scenario = Scenario(
            _config_space(spaces, seed),
            deterministic=True,
            n_trials=10_000,
            seed=seed,
            output_directory=Path(self._folder.name),
        )
        self._facade = HyperparameterOptimizationFacade(
            scenario,
            lambda config, seed=0: 0.0,
            initial_design=HyperparameterOptimizationFacade.get_initial_design(scenario, n_configs=FIRST),
            overwrite=True,
            logging_level=False,
        )
        self._asked: dict[str, Any] = {}

    def next(self) -> Training | None:
        """Return the training that is nearest to a proposal."""
        if not self._untried.left:
            return None
        info = self._facade.ask()
        chosen = dict(info.config)
        origin = str(chosen["space"])
        values = {
            name: _decoded(domain, chosen.get(f"{origin}.{name}"))
            for name, domain in self._domains[origin].items()
        }
        training = self._untried.nearest(origin, values)
        if training is not None:
            self._asked[training.name] = info
        return training

    def tell(self, training: Training, loss: float, stage: int) -> None:  # noqa: ARG002 all end whole
        """Tell SMAC3 the loss."""
        from smac.runhistory import TrialValue  # noqa: PLC0415

        self._facade.tell(self._asked[training.name], TrialValue(cost=loss), save=False)


class SyneTune:
    """A scheduler of Syne Tune over all sub-spaces, of which all parameters are always drawn.

    Args:
        untried: Trainings to propose.
        spaces: Sub-spaces; each is a value of a categorical parameter.
        seed: Seed of the scheduler.
        kind: Name of the scheduler in `syne_tune.optimizer.baselines`.
        stages: Stages of a training, for a scheduler that stops them; 0: it stops none.
    """

    def __init__(
        self, untried: Untried, spaces: Sequence[SubSpace], seed: int, kind: str, stages: int = 0
    ) -> None:
        from syne_tune.optimizer import baselines  # noqa: PLC0415 optional

        self._untried, self._stages = untried, stages
        self._domains = {space.name: space.domains for space in spaces}
        about = {"time_attr": TIME, "max_t": 2**stages, "reduction_factor": 2} if stages else {}
        self._scheduler = getattr(baselines, kind)(
            _syne_tune_space(spaces), metric=METRIC, do_minimize=True, random_seed=seed, **about
        )
        self._asked: dict[str, Any] = {}

    def next(self) -> Training | None:
        """Return the training that is nearest to a proposal."""
        from syne_tune.backend.trial_status import Trial  # noqa: PLC0415

        suggestion = self._scheduler.suggest() if self._untried.left else None
        if suggestion is None:
            return None
        trial = Trial(len(self._asked), suggestion.config, datetime.now())
        origin = str(suggestion.config["space"])
        values = {
            name: _decoded(domain, suggestion.config.get(f"{origin}.{name}"))
            for name, domain in self._domains[origin].items()
        }
        training = self._untried.nearest(origin, values)
        if training is not None:
            self._asked[training.name] = trial
            self._scheduler.on_trial_add(trial)
        return training

    def goes_on(self, training: Training, stage: int, loss: float) -> bool:
        """Tell the loss at a stage; return whether the training goes on."""
        decision = self._scheduler.on_trial_result(self._asked[training.name], _result(loss, stage))
        return bool(decision == "CONTINUE")

    def tell(self, training: Training, loss: float, stage: int) -> None:
        """Tell Syne Tune the end of a training; one that it stopped is known already."""
        if stage == training.last or not self._stages:
            self._scheduler.on_trial_complete(
                self._asked[training.name], _result(loss, stage if self._stages else 0)
            )


def _result(loss: float, stage: int) -> dict[str, float]:
    return {METRIC: loss, TIME: 2**stage}


def _syne_tune_space(spaces: Sequence[SubSpace]) -> dict[str, Any]:
    from syne_tune import config_space  # noqa: PLC0415

    found: dict[str, Any] = {"space": config_space.choice([space.name for space in spaces])}
    for space in spaces:
        for name, domain in space.domains.items():
            if isinstance(domain, Choice):
                found[f"{space.name}.{name}"] = config_space.choice(list(map(str, range(len(domain.values)))))
            elif isinstance(domain, Range):
                ranged = config_space.loguniform if domain.log else config_space.uniform
                found[f"{space.name}.{name}"] = ranged(float(domain.low), float(domain.high))
    return found


def _config_space(spaces: Sequence[SubSpace], seed: int) -> Any:
    from ConfigSpace import (  # noqa: PLC0415
        CategoricalHyperparameter,
        ConfigurationSpace,
        EqualsCondition,
        UniformFloatHyperparameter,
    )

    config_space = ConfigurationSpace(seed=seed)
    parent = CategoricalHyperparameter("space", [space.name for space in spaces])
    config_space.add(parent)
    for space in spaces:
        for name, domain in space.domains.items():
            if isinstance(domain, Choice):
                own = CategoricalHyperparameter(f"{space.name}.{name}", list(range(len(domain.values))))
            elif isinstance(domain, Range):
                own = UniformFloatHyperparameter(
                    f"{space.name}.{name}", float(domain.low), float(domain.high), log=domain.log
                )
            else:
                continue
            config_space.add(own)
            config_space.add(EqualsCondition(own, parent, space.name))
    return config_space


def _decoded(domain: Any, value: Any) -> Any:
    if isinstance(domain, Choice):
        return domain.values[int(value)]
    return value if isinstance(domain, Range) else domain.value
