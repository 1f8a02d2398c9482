"""The space of a search, from its images, this machine and its time."""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.spaces.building.facts import cpus
from tune_paddy.core.errors import InputError
from tune_paddy.data.dataset import Dataset
from tune_paddy.search.building import plan as building
from tune_paddy.search.building.plan import RESIZINGS, PlannedSpace, plan_space_here
from tune_paddy.spaces.building.build import BuiltSpace, build_space
from tune_paddy.spaces.building.facts import Facts

DECODE = 0.05
"""Time to read one image on the known machine, in s."""


def divided(digits: Path, folder: Path, values: Sequence[str]) -> Dataset:
    """Return the digits with a column that defines their split: values that take turns."""
    shutil.copytree(digits, folder)
    table = pd.read_csv(folder / "train.csv", dtype=str)
    table["part"] = [values[row % len(values)] for row in range(len(table))]
    table.to_csv(folder / "train.csv", index=False)
    return Dataset.open(folder, split_column="part")


@pytest.fixture
def _known_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine of known speed, without a network and pretrained weights."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(building, "machine_here", lambda *_: cpus())
    monkeypatch.setattr(building, "timed_machine", lambda facts, *_, **__: (facts.machine, DECODE))


def planned(dataset: Dataset, settings: Mapping[str, Any]) -> PlannedSpace:
    """Build a space for ten minutes, of which the start has taken none."""
    return plan_space_here(
        dataset, {"minutes": 10, "cpus": 1, **settings}, started=0.0, imports=1.0, clock=lambda: 0.0
    )


def choices(plan: PlannedSpace) -> str:
    """Return the text of a space with its forecasts, without its settings."""
    return plan.space.text.partition("defaults:")[2]


def test_a_time_that_the_start_alone_has_used_up_is_refused_before_anything_is_timed(
    small_digits: Path,
) -> None:
    dataset = Dataset.open(small_digits)
    with pytest.raises(
        InputError, match=r"^`minutes=3`: the start alone has taken 4\.0 min .*; give `minutes=40`"
    ):
        plan_space_here(dataset, {"minutes": 3}, started=0.0, imports=1.0, clock=lambda: 240.0)


@pytest.mark.usefixtures("_known_machine")
@pytest.mark.parametrize(
    ("values", "settings"),
    [("01234", {"folds": 5}), (("train", "valid"), {"select_share": 0.5})],
    ids=["folds", "one split"],
)
def test_a_split_that_a_column_defines_is_planned_like_the_same_one_by_settings(
    small_digits: Path, tmp_path: Path, values: Sequence[str], settings: dict[str, float]
) -> None:
    """Five folds train five models a member; of a split, the images that select are not trained on."""
    dataset = Dataset.open(small_digits)
    by_column = choices(planned(divided(small_digits, tmp_path / "divided", values), {}))
    assert by_column == choices(planned(dataset, settings))
    assert by_column != choices(planned(dataset, {}))


@pytest.mark.usefixtures("_known_machine")
def test_folds_that_contradict_the_column_are_refused_before_anything_is_timed(
    small_digits: Path, tmp_path: Path
) -> None:
    dataset = divided(small_digits, tmp_path / "divided", "01234")
    with pytest.raises(InputError, match=r"^`folds=3` contradicts the column part"):
        planned(dataset, {"folds": 3})


@pytest.mark.usefixtures("_known_machine")
def test_without_a_cache_members_read_the_files_and_no_time_is_kept_to_fill_one(
    small_digits: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset, known = Dataset.open(small_digits), list[Facts]()

    def build_known(facts: Facts) -> BuiltSpace:
        known.append(facts)
        return build_space(facts)

    monkeypatch.setattr(building, "build_space", build_known)
    plans = [planned(dataset, settings) for settings in ({}, {"cache_limit": 0})]
    cached, uncached = known
    filling = RESIZINGS * (len(dataset.labelled) + len(dataset.test)) * DECODE / cached.machine.at_once
    assert (cached.load.decode, uncached.load.decode) == (0.0, DECODE)
    assert uncached.seconds == pytest.approx(cached.seconds + filling)
    assert [plan.decode for plan in plans] == [DECODE, DECODE]
    assert plans[0].lines != plans[1].lines
