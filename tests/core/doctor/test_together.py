from itertools import product

import numpy as np
import pytest

from tune_paddy.core.doctor.together import together

GROUPS = np.array([7, 3, 7, 3, 7, 1])


def drawn(seed, n_classes=3):
    rng, n = np.random.default_rng(seed), len(GROUPS)
    own, heard = rng.dirichlet(np.ones(n_classes), n), rng.random((n, n_classes))
    return own, heard, rng.integers(n_classes, size=n)


def joint(own, heard, shares, agreement, case):
    """The probability of the labels of a group's images, of their true classes and of the group's class."""
    *truth, held = case
    truth = np.array(truth)
    of_group = agreement * (truth == held) + (1 - agreement) * shares[truth]
    rows = np.arange(len(truth))
    return shares[held] * np.prod(of_group * own[rows, truth] / shares[truth] * heard[rows, truth])


@pytest.mark.parametrize("agreement", [0.0, 0.3, 0.95])
def test_labels_and_true_classes_have_the_probabilities_of_all_cases_added_up(agreement):
    own, heard, labels = drawn(0)
    grouped = together(GROUPS, labels, 3)
    told, truth = 0.0, np.zeros_like(own)
    for name in np.unique(GROUPS):
        rows = np.flatnonzero(name == GROUPS)
        totals = {"labelled": 0.0, "unlabelled": 0.0}
        for *cases, held in product(range(3), repeat=len(rows) + 1):
            weight = joint(own[rows], heard[rows], grouped.shares, agreement, (*cases, held))
            totals["labelled"] += weight
            totals["unlabelled"] += joint(
                own[rows], np.ones((len(rows), 3)), grouped.shares, agreement, (*cases, held)
            )
            truth[rows, cases] += weight
        truth[rows] /= totals["labelled"]
        told += np.log(totals["labelled"] / totals["unlabelled"])
    assert grouped.log_likelihoods(own, heard, agreement).sum() == pytest.approx(told)
    np.testing.assert_allclose(grouped.true_classes(own, heard, agreement), truth)


def test_without_groups_or_agreement_every_image_is_alone():
    own, heard, labels = drawn(1)
    alone, grouped = together(None, labels, 3), together(GROUPS, labels, 3)
    assert (alone.divided, grouped.divided) == (False, True)
    apart, joined = alone.log_likelihoods(own, heard, 0.9), grouped.log_likelihoods(own, heard, 0.0)
    assert apart.sum() == pytest.approx(joined.sum())
    expected = own * heard / (own * heard).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(alone.true_classes(own, heard, 0.9), expected)
    np.testing.assert_allclose(grouped.true_classes(own, heard, 0.0), expected)
