import numpy as np
import pytest

from tests.core.conftest import RealPool
from tune_paddy.core.metrics import METRICS
from tune_paddy.core.selection.methods import METHODS


@pytest.mark.parametrize("name", METHODS)
def test_every_method_follows_the_protocol(real_pool: RealPool, name: str) -> None:
    """It names itself in the selection, returns a distribution of weights, and is deterministic."""
    probs, labels = real_pool.probs, real_pool.labels
    first, second = (METHODS[name](probs, labels, metric="log_loss", seed=7) for _ in range(2))
    assert first.method == name
    assert first.weights.min() >= 0
    assert first.weights.sum() == pytest.approx(1)
    assert first.to_dict() == second.to_dict()


@pytest.mark.parametrize("name", METHODS)
def test_every_method_scores_on_the_metric(real_pool: RealPool, name: str) -> None:
    """The score uses the metric, whatever the method was fitted on."""
    probs, labels = real_pool.probs[::3], real_pool.labels
    selection = METHODS[name](probs, labels, metric="balanced_error", seed=0)
    assert selection.metric == "balanced_error"
    expected = METRICS["balanced_error"](selection.blend(probs), labels)
    assert selection.score == pytest.approx(expected, abs=1e-12)
    assert np.isfinite(selection.blend(real_pool.test_probs[::3])).all()
