"""SMAC3 as a source of trainings, where the package `smac` is installed; the project does not need it."""

import tempfile
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from sources import Untried
from tables import Training

from tune_paddy.core.domains import Choice, Range, SubSpace

FIRST = 10
"""Proposals of the initial design, as with Optuna."""


def installed() -> bool:
    """Return whether SMAC3 can be imported."""
    return find_spec("smac") is not None


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
