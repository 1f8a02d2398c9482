"""The configurations of the tables: the same draws from `space.yaml` for every dataset."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import optuna

from tune_paddy.core.config import MemberConfig
from tune_paddy.core.domains import SubSpace
from tune_paddy.search.sampling.sampler import suggest
from tune_paddy.spaces.space import SearchSpace

SPACE = Path(__file__).with_name("space.yaml")
COUNTS = {"frozen": 40, "tuned": 26, "scratch": 36}
"""Sub-space → its configurations: a fine-tuned member takes the time of several others."""
SHORTENED = 10
"""Configurations of each trained sub-space that train with a short complete schedule, too."""
SHORT = 1 / 4
"""Share of the epochs of a short schedule; at least one epoch."""
REPEATED, MORE_SEEDS = 3, 2
"""Configurations of each sub-space that train with further seeds, and the number of these."""


@dataclass(frozen=True)
class Configuration:
    """One training of the tables.

    Attributes:
        origin: Name of the sub-space.
        number: Number of the draw within the sub-space.
        values: Drawn parameters.
        kind: `full`; `short`: its short schedule; `seed1`, `seed2`: another seed.
    """

    origin: str
    number: int
    values: Mapping[str, Any]
    kind: str = "full"

    @property
    def name(self) -> str:
        """Name of the training's file."""
        return f"{self.origin}-{self.number:02d}-{self.kind}"

    @cached_property
    def seed(self) -> int:
        """Seed of the member."""
        digest = hashlib.sha256(self.name.encode()).digest()
        return int.from_bytes(digest[:3], "big")

    def member(self, flip: str) -> MemberConfig:
        """Return the member for a dataset.

        Args:
            flip: Symmetry of the dataset's images, a value of `flip`.
        """
        values = {**self.values, "flip": flip, "flip_view": flip != "none" and self.origin == "frozen"}
        if self.kind == "short":
            values["epochs"] = max(1, round(values["epochs"] * SHORT))
        return MemberConfig(**{"seed": self.seed, **values})


def sub_spaces() -> tuple[SubSpace, ...]:
    """Return the sub-spaces that the configurations are drawn from."""
    return SearchSpace.load(SPACE).spaces


def draws(space: SubSpace, count: int) -> list[dict[str, Any]]:
    """Return different random members of a sub-space; the first ones are the same for every count."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    seed = int.from_bytes(hashlib.sha256(space.name.encode()).digest()[:4], "big")
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed))
    found: dict[str, dict[str, Any]] = {}
    while len(found) < count:
        _, values = suggest(study.ask(), (space,))
        rounded = {
            name: float(f"{value:.4g}") if isinstance(value, float) else value
            for name, value in values.items()
        }
        found.setdefault(json.dumps(rounded, sort_keys=True), rounded)
    return list(found.values())


def configurations() -> list[Configuration]:
    """Return all trainings of a dataset, in an order of which every beginning is mixed; other seeds last."""
    spaces = sub_spaces()
    first = _mixed([list(_once(space)) for space in spaces])
    return first + _mixed([list(_repeated(space)) for space in spaces])


def _mixed(families: Sequence[Sequence[Configuration]]) -> list[Configuration]:
    places = [
        ((at + 0.5) / len(family), configuration.name, configuration)
        for family in families
        for at, configuration in enumerate(family)
    ]
    return [configuration for *_, configuration in sorted(places, key=lambda place: place[:2])]


def _once(space: SubSpace) -> Iterator[Configuration]:
    for number, values in enumerate(draws(space, COUNTS[space.name])):
        yield Configuration(space.name, number, values)
        if number < SHORTENED and values["schedule"] != "frozen":
            yield Configuration(space.name, number, values, "short")


def _repeated(space: SubSpace) -> Iterator[Configuration]:
    for number, values in enumerate(draws(space, REPEATED)):
        for more in range(MORE_SEEDS):
            yield Configuration(space.name, number, values, f"seed{more + 1}")
