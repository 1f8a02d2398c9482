"""Time of frozen members."""

import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tune_paddy.core.config import MemberConfig, SearchSettings
from tune_paddy.core.timing.cost import StepCost, Workload, epoch_seconds, member_seconds
from tune_paddy.core.timing.kinds import kind_of
from tune_paddy.core.timing.workload import workload
from tune_paddy.training.frozen.logistic import EVALUATIONS
from tune_paddy.training.timing.kinds import time_kinds
from tune_paddy.training.timing.steps import time_member

PRETRAINED: dict[str, Any] = {"schedule": "frozen", "pretrained": True}
"""Members whose features a cache may hold."""


@pytest.fixture
def paths(tmp_path: Path) -> list[str]:
    Image.fromarray(np.zeros((32, 32, 3), np.uint8)).save(tmp_path / "black.png")
    return [str(tmp_path / "black.png")]


def member(**values: object) -> MemberConfig:
    return MemberConfig(**{"arch": "test_resnet", "size": 32, "batch_size": 4, "pretrained": False, **values})


def test_a_frozen_member_embeds_once_and_predicts_the_select_split_twice() -> None:
    cost = StepCost(train=0.03, frozen=0.0, predict=0.02, tta_pass=0.03, build=2.0, fit=0.02)
    config, load = member(schedule="frozen", subsample=0.5, tta=2), Workload(100, 20, 10)
    expected = 2 + 50 * 0.1 + 20 * 0.02 + 30 * (0.02 + 2 * 0.03)
    assert member_seconds(config, cost, load) == pytest.approx(expected)
    assert epoch_seconds(config, cost, load) == pytest.approx(50 * 0.1 + 20 * 0.02)


def test_with_folds_a_frozen_member_embeds_each_image_once_and_fits_a_head_a_fold() -> None:
    cost = StepCost(train=0.035, frozen=0.0, predict=0.02, tta_pass=0.04, build=2.0, fit=0.015)
    load = Workload(80, 20, 10, models=5)
    for subsample, embedded in ((1.0, 100), (0.5, 100), (0.1, 40)):
        config = member(**PRETRAINED, subsample=subsample, tta=1)
        training = embedded * 0.07 + 5 * 80 * subsample * 0.03
        predictions = (100 - embedded + 10) * 0.02 + 5 * (20 + 10) * 0.04
        expected = 5 * 2 + training + predictions
        assert member_seconds(config, cost, load, start=3.0) == pytest.approx(3 + expected)


def test_views_that_need_other_features_are_computed_in_each_fold() -> None:
    cost, load = StepCost(0.035, 0.0, 0.02, 0.04, 2.0, 0.015), Workload(80, 20, 10, models=5)
    plain, flipped, zoomed = (
        member_seconds(member(**PRETRAINED, tta=0, flip="horizontal", **view), cost, load)
        for view in ({"flip_view": False}, {"flip_view": True}, {"flip_view": False, "zoom_view": 0.8})
    )
    assert flipped - plain == pytest.approx(10 * 0.02)
    assert zoomed - plain == pytest.approx(5 * 30 * 0.02)


@pytest.mark.parametrize("settings", [{"cache_limit": 0}, {}], ids=str)
def test_without_a_cache_or_pretrained_weights_each_fold_embeds_its_images_again(
    settings: dict[str, Any],
) -> None:
    cost = StepCost(0.035, 0.0, 0.02, 0.04, 2.0, 0.015)
    config = member(**PRETRAINED) if settings else member(schedule="frozen")
    folds = workload(SearchSettings(folds=5, **settings), 100, test=10)
    one = member_seconds(config, cost, replace(folds, models=1))
    assert member_seconds(config, cost, folds) == pytest.approx(5 * one)


def test_frozen_members_are_a_kind_for_each_set_of_symmetries() -> None:
    kinds = [kind_of(member(schedule="frozen", flip=flip, lr=0.1)) for flip in ("none", "dihedral")]
    assert kinds[0] != kinds[1]
    assert all(kind.frozen for kind in kinds)
    assert kind_of(member(flip="none")) == kind_of(member(flip="dihedral"))
    assert kind_of(member(head="linear")) != kind_of(member())


def test_frozen_and_trained_kinds_are_each_timed_whatever_the_limit(paths: list[str]) -> None:
    configs = [
        member(schedule=schedule, size=size, tta=0)
        for schedule in ("frozen", "fine_tune")
        for size in (32, 64)
    ]
    found = time_kinds(configs, paths, n_classes=3, allow_gpu=False, limit=0.0)
    assert {(kind.schedule, kind.size[0]) for kind in found.timed} == {("frozen", 32), ("fine_tune", 32)}
    small, large = (found.costs[kind_of(config)] for config in configs[:2])
    ratio = large.predict / small.predict
    assert large.train == pytest.approx(ratio * small.train)
    assert large.fit == small.fit > 0


def test_each_symmetry_costs_a_forward_pass_and_a_fit() -> None:
    cost, load = StepCost(0.03, 0.0, 0.02, 0.04, 2.0, fit=0.01), Workload(80, 20, 10)
    one, two, eight = (
        member_seconds(member(schedule="frozen", flip=flip, subsample=1.0), cost, load)
        for flip in ("none", "horizontal", "dihedral")
    )
    assert two - one == pytest.approx(80 * 0.04)
    assert eight - one == pytest.approx(7 * 80 * 0.04)


@pytest.mark.parametrize("how", [{"schedule": "frozen"}, {"head": "fitted"}, {}], ids=str)
def test_the_fit_of_a_head_is_timed_where_a_member_fits_one(paths: list[str], how: dict[str, Any]) -> None:
    """The clock advances by a second at each look, whatever a machine does in it."""
    seconds = itertools.count()
    cost, _ = time_member(
        member(**how, tta=0), paths, n_classes=3, allow_gpu=False, clock=lambda: float(next(seconds))
    )
    assert cost.fit == pytest.approx(EVALUATIONS / 1024 if how else 0.0)
    if "schedule" in how:
        assert (cost.train, cost.frozen) == (cost.predict, 0.0)
