import numpy as np
import pytest

from tests.core.conftest import random_pool
from tune_paddy.core.metrics import class_balance
from tune_paddy.core.selection.greedy_error import ErrorScorer
from tune_paddy.core.selection.greedy_log_loss import true_class_rows


def make_scorer(seed: int, weights: str) -> tuple[ErrorScorer, np.ndarray, np.ndarray, np.ndarray]:
    """Return a scorer and its arguments."""
    probs, labels = random_pool(seed, views=12, images=80)
    image_weights = np.full(80, 1 / 80) if weights == "equal" else class_balance(labels)
    return (
        ErrorScorer(probs, labels, true_class_rows(probs, labels), image_weights),
        probs,
        labels,
        image_weights,
    )


@pytest.mark.parametrize("weights", ["equal", "balanced"])
@pytest.mark.parametrize("seed", range(5))
def test_scores_are_exact_or_excluded_candidates_are_worse(seed: int, weights: str) -> None:
    """No excluded candidate is the best one."""
    scorer, probs, labels, image_weights = make_scorer(seed, weights)
    total = np.zeros(probs.shape[1:])
    for view in (3, 1, 3, 7):
        scorer.add(view)
        total += probs[view]
        scores = scorer._later_scores()
        exact = np.array([image_weights @ ((total + p).argmax(axis=1) != labels) for p in probs])
        given = np.isfinite(scores)
        np.testing.assert_allclose(scores[given], exact[given], atol=1e-12)
        assert exact[~given].min(initial=1) > exact.min()
        assert scores.min() == pytest.approx(exact.min(), abs=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_the_first_class_wins_a_tie(seed: int) -> None:
    """As with argmax, a tied view is right only if the true class comes first."""
    scorer, probs, labels, image_weights = make_scorer(seed, "equal")
    exact = [image_weights @ (view.argmax(axis=1) != labels) for view in probs]
    np.testing.assert_allclose(scorer._first_scores(), exact, atol=1e-12)
