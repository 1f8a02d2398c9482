from dataclasses import replace

import numpy as np
import pytest

from tests.core.conftest import RealPool, random_labels
from tune_paddy.core.explain import marginal_contributions, redundancies
from tune_paddy.core.metrics import log_loss
from tune_paddy.core.scores.f1 import samples_f1_loss
from tune_paddy.core.selection.decisions import fit_decisions
from tune_paddy.core.selection.log_linear import log_linear_select
from tune_paddy.core.selection.plain import best_single, fixed_select, greedy_select
from tune_paddy.core.tasks.task import Task


def test_a_contribution_is_the_loss_without_the_member(real_pool: RealPool) -> None:
    """The other weights are scaled up; members without weight have no contribution."""
    weights = np.zeros(24)
    weights[[3, 9, 14]] = 2, 1, 1
    selection = fixed_select(real_pool.probs, real_pool.labels, weights)
    found = marginal_contributions(selection, real_pool.probs, real_pool.labels, np.arange(24))
    assert sorted(found) == [3, 9, 14]
    without = real_pool.probs[[3, 14]].astype(np.float64)
    rest = log_loss((2 * without[0] + without[1]) / 3, real_pool.labels)
    assert found[9] == pytest.approx(rest - selection.score)


def test_views_of_a_member_are_removed_together(real_pool: RealPool) -> None:
    """A member's contribution is that of all its views, so a twin does not hide it."""
    weights = np.zeros(24)
    weights[[14, 15, 3]] = 1
    selection = fixed_select(real_pool.probs, real_pool.labels, weights)
    groups = np.arange(24)
    groups[15] = 14
    found = marginal_contributions(selection, real_pool.probs, real_pool.labels, groups)
    rest = log_loss(real_pool.probs[3], real_pool.labels)
    assert sorted(found) == [3, 14]
    assert found[14] == pytest.approx(rest - selection.score)


def test_the_only_member_has_no_contribution(real_pool: RealPool) -> None:
    """No ensemble would remain."""
    selection = best_single(real_pool.probs, real_pool.labels)
    assert marginal_contributions(selection, real_pool.probs, real_pool.labels, np.arange(24)) == {}


@pytest.mark.parametrize("select", [greedy_select, log_linear_select])
def test_every_view_left_out_gets_its_reason(real_pool: RealPool, select) -> None:
    """No chosen view gets one."""
    selection = select(real_pool.probs, real_pool.labels)
    found = redundancies(selection, real_pool.probs, real_pool.labels)
    assert sorted(found) == np.flatnonzero(selection.weights == 0).tolist()
    assert all(selection.weights[redundancy.view] > 0 for redundancy in found.values())


def test_a_copy_is_redundant_with_its_original(real_pool: RealPool) -> None:
    """Its losses correlate fully; those of constant predictions correlate with none."""
    probs = np.concatenate([real_pool.probs, real_pool.probs[14:15], np.full((1, 400, 10), 0.1, np.float32)])
    weights = np.zeros(26)
    weights[[3, 14]] = 1
    found = redundancies(fixed_select(probs, real_pool.labels, weights), probs, real_pool.labels)
    assert found[24].view == 14
    assert found[24].correlation == pytest.approx(1)
    assert found[25].correlation == pytest.approx(0)


def test_a_contribution_counts_decisions_where_thresholds_decide() -> None:
    """Without a member, the decisions by the ensemble's thresholds are judged, not those at one half."""
    probs, labels = random_labels(4)
    selection = fit_decisions(
        fixed_select(probs, labels, np.ones(8), metric="samples_f1"), probs, labels, Task.of("multilabel")
    )
    found = marginal_contributions(selection, probs, labels, np.arange(8))
    others = replace(selection, weights=np.array([0.0] + [1 / 7] * 7))
    rest = samples_f1_loss(others.decide(others.blend(probs)).astype(float), labels)
    assert found[0] == pytest.approx(rest - selection.score)
