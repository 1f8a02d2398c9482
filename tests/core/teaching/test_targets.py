"""Labels as shares of the classes, and their mixture with a teacher's probabilities."""

import numpy as np
import pytest

from tune_paddy.core.tasks.task import Task
from tune_paddy.core.teaching.targets import (
    better_half,
    hard_labels,
    mean_opinion,
    mixed_targets,
    shares_of,
)

ONE, SEVERAL = Task.of("classes"), Task.of("multilabel")


@pytest.mark.parametrize(
    ("task", "labels"),
    [
        (ONE, np.array([2, 0, 1])),
        (Task.of("ordered"), np.array([1, 2])),
        (SEVERAL, np.array([[1, 0], [1, 1]])),
    ],
    ids=["classes", "ordered", "multilabel"],
)
def test_a_hard_label_survives_the_way_to_shares_and_back(task: Task, labels: np.ndarray) -> None:
    shares = shares_of(labels, 3 if labels.ndim == 1 else 2)
    assert shares.dtype == np.float32
    np.testing.assert_array_equal(hard_labels(shares, task), labels)


def test_a_mixture_has_the_share_of_the_teacher() -> None:
    probs = np.array([[0.2, 0.8], [0.5, 0.5]])
    np.testing.assert_allclose(mixed_targets(np.array([0, 1]), probs, 0.25), [[0.8, 0.2], [0.125, 0.875]])
    np.testing.assert_array_equal(mixed_targets(np.array([0, 1]), probs, 0.0), np.eye(2))
    several = mixed_targets(np.array([[1, 1]]), np.array([[0.5, 0.9]]), 1.0)
    np.testing.assert_allclose(several, [[0.5, 0.9]], rtol=1e-6)


def test_the_mean_of_rounded_probabilities_sums_to_one_unless_labels_are_independent() -> None:
    rounded = [np.random.default_rng(seed).dirichlet(np.ones(7), 50).astype(np.float16) for seed in (0, 1)]
    np.testing.assert_allclose(mean_opinion(rounded, ONE).sum(axis=1), 1, atol=1e-12)
    high = [np.array([[0.9, 0.9]]), np.array([[0.7, 0.9]])]
    np.testing.assert_allclose(mean_opinion(high, SEVERAL), [[0.8, 0.9]])


def test_a_member_that_is_not_heard_for_an_image_does_not_change_its_mean() -> None:
    first, second = (np.random.default_rng(seed).dirichlet(np.ones(3), 2) for seed in (0, 1))
    mean = mean_opinion([first, second], ONE, np.array([[True, True], [True, False]]))
    np.testing.assert_allclose(mean, [(first[0] + second[0]) / 2, first[1]])


def test_of_an_odd_number_of_members_the_middle_one_counts_as_better() -> None:
    assert better_half([0.3]) == [0]
    assert better_half([0.5, 0.2, 0.2]) == [1, 2]
