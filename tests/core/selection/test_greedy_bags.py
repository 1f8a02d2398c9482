import numpy as np
import pytest
from numpy.typing import NDArray

from tests.core.conftest import RealPool, random_pool
from tune_paddy.core.metrics import METRICS, per_image
from tune_paddy.core.selection import bagging
from tune_paddy.core.selection.bagging import bagged_select
from tune_paddy.core.selection.greedy import run_greedy
from tune_paddy.core.selection.greedy_bags import ErrorBags, LogLossBags, run_bags
from tune_paddy.core.selection.greedy_log_loss import true_class_rows
from tune_paddy.core.selection.plain import image_weights, make_scorer
from tune_paddy.core.tasks.arrays import Floats, Labels

FAST = ("log_loss", "error_rate", "balanced_error")


def _views(n_views: int, candidates: int) -> NDArray[np.intp]:
    rng = np.random.default_rng(7)
    return np.array([np.sort(rng.permutation(n_views)[:candidates]) for _ in range(5)])


def _compare(probs: Floats, labels: Labels, metric: str, views: NDArray[np.intp]) -> None:
    rows = true_class_rows(probs, labels)
    if metric == "log_loss":
        paths = run_bags(LogLossBags(rows, views), 20)
    else:
        paths = run_bags(ErrorBags(probs, labels, rows, image_weights(labels, metric), views), 20)
    for own, path in zip(views, paths, strict=True):
        alone = run_greedy(make_scorer(probs, labels, rows, metric, own), 20)
        assert [pick.view for pick in path.picks] == [pick.view for pick in alone.picks]
        assert path.kept == alone.kept
        for what in ("score", "log_loss"):
            expected = [getattr(pick, what) for pick in alone.picks]
            assert [getattr(pick, what) for pick in path.picks] == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("metric", FAST)
@pytest.mark.parametrize("seed", range(5))
def test_runs_side_by_side_pick_what_each_picks_alone_among_ties_and_zeros(seed: int, metric: str) -> None:
    probs, labels = random_pool(seed, views=12, images=80, classes=3 + seed % 3)
    _compare(probs, labels, metric, _views(12, 6))


@pytest.mark.parametrize("metric", FAST)
def test_runs_side_by_side_pick_what_each_picks_alone_on_a_real_pool(
    real_pool: RealPool, metric: str
) -> None:
    _compare(real_pool.probs, real_pool.labels, metric, _views(24, 12))


@pytest.mark.parametrize("metric", FAST)
def test_bagging_gives_the_same_weights_whichever_way_it_runs(
    real_pool: RealPool, monkeypatch: pytest.MonkeyPatch, metric: str
) -> None:
    together = bagged_select(real_pool.probs, real_pool.labels, metric=metric)
    monkeypatch.setattr(bagging, "LARGEST", 0)
    apart = bagged_select(real_pool.probs, real_pool.labels, metric=metric)
    np.testing.assert_allclose(together.weights, apart.weights, atol=1e-12)


@pytest.mark.parametrize("metric", METRICS)
def test_a_metric_that_has_a_loss_for_each_image_is_their_mean(real_pool: RealPool, metric: str) -> None:
    losses = per_image(metric, real_pool.probs[0], real_pool.labels)
    assert (losses is not None) == (metric in {"log_loss", "error_rate"})
    if losses is not None:
        assert losses.mean() == METRICS[metric](real_pool.probs[0], real_pool.labels)
