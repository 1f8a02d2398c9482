import numpy as np
import pytest

from tests.core.conftest import RealPool
from tune_paddy.core.estimate import assess, compare_paired, cross_fit, estimate
from tune_paddy.core.metrics import METRICS, error_rate, log_loss
from tune_paddy.core.selection.log_linear import log_linear_select
from tune_paddy.core.selection.plain import best_single, greedy_select, uniform_select


@pytest.mark.parametrize("select", [greedy_select, log_linear_select])
def test_the_estimate_is_less_optimistic_and_covers_the_truth(real_pool: RealPool, select) -> None:
    """The score on the select split is lower than the estimate; new images score within its interval."""
    selection = select(real_pool.probs, real_pool.labels)
    honest = estimate(cross_fit(real_pool.probs, real_pool.labels, select), real_pool.labels)
    truth = log_loss(selection.blend(real_pool.test_probs), real_pool.test_labels)
    assert honest.score > selection.score
    assert honest.low < truth < honest.high
    assert honest.low < honest.score < honest.high


def test_cross_fitting_does_not_change_the_uniform_mean(real_pool: RealPool) -> None:
    """Nothing is fitted, so the predictions are the same."""
    predictions = cross_fit(real_pool.probs, real_pool.labels, uniform_select)
    np.testing.assert_allclose(
        predictions, uniform_select(real_pool.probs, real_pool.labels).blend(real_pool.probs)
    )


def test_every_image_is_predicted_without_itself(real_pool: RealPool) -> None:
    """Each image is held out exactly once."""
    sizes = []

    def fit(probs, labels):
        sizes.append(len(labels))
        return best_single(probs, labels)

    cross_fit(real_pool.probs, real_pool.labels, fit)
    assert len(sizes) == 5
    assert sum(len(real_pool.labels) - size for size in sizes) == len(real_pool.labels)


@pytest.mark.parametrize("metric", ["log_loss", "error_rate", "balanced_error", "macro_f1"])
def test_the_standard_error_is_that_of_fresh_samples(real_pool: RealPool, metric: str) -> None:
    """Scores of disjoint sets of 100 images scatter roughly as the estimate on one of them predicts."""
    probs = np.concatenate([real_pool.probs[16], real_pool.test_probs[16]])
    labels = np.concatenate([real_pool.labels, real_pool.test_labels])
    parts = np.array_split(np.random.default_rng(0).permutation(len(labels)), 9)
    scores = [METRICS[metric](probs[part], labels[part]) for part in parts]
    claimed = estimate(probs[parts[0]], labels[parts[0]], metric=metric).standard_error
    assert 0.4 < claimed / np.std(scores, ddof=1) < 2.5


def test_no_errors_seen_is_not_certainty() -> None:
    """Fifty images without an error are compatible with a few percent."""
    labels = np.tile([0, 1], 25)
    honest = estimate(np.eye(2)[labels], labels, metric="error_rate")
    assert honest.score == honest.low == 0
    assert 0.05 < honest.high < 0.1
    assert honest.standard_error > 0.01


def test_a_perfect_log_loss_is_not_certainty() -> None:
    """Fifty images predicted with certainty may hide one mistake; for 2,000 its effect is smaller."""
    few, many = (estimate(np.eye(2)[np.tile([0, 1], n // 2)], np.tile([0, 1], n // 2)) for n in (50, 2000))
    assert few.low == few.score == 0
    assert few.high == pytest.approx(1.96 * np.log(100) / 50, rel=1e-3)
    assert many.high == pytest.approx(few.high / 40)


def test_the_wilson_interval_has_its_nominal_coverage() -> None:
    """Of 2,000 samples of 100 images with an error rate of 5 %, 95 % of the intervals contain it."""
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(2000):
        wrong = rng.random(100) < 0.05
        honest = estimate(np.eye(2)[wrong.astype(int)], np.zeros(100, int), metric="error_rate")
        covered += honest.low <= 0.05 <= honest.high
    assert 0.93 < covered / 2000 < 0.98


def test_a_rival_that_is_the_same_is_neither_better_nor_worse(real_pool: RealPool) -> None:
    """The bootstrap is paired: all noise cancels."""
    probs = real_pool.probs[3].astype(np.float64)
    (comparison,) = compare_paired(probs, {"itself": probs}, real_pool.labels)
    assert (comparison.difference, comparison.low, comparison.high, comparison.better) == (0, 0, 0, 0.5)


def test_swapping_the_sides_negates_a_comparison(real_pool: RealPool) -> None:
    """The difference and its interval change sign."""
    one, two = (real_pool.probs[view].astype(np.float64) for view in (3, 10))
    (forth,) = compare_paired(one, {"two": two}, real_pool.labels)
    (back,) = compare_paired(two, {"one": one}, real_pool.labels)
    assert forth.difference == -back.difference
    assert forth.low == pytest.approx(-back.high)
    assert forth.better == pytest.approx(1 - back.better)


def test_pairing_sees_what_unpaired_intervals_hide(real_pool: RealPool) -> None:
    """A slightly blurred copy is clearly worse, although the two intervals overlap."""
    probs = real_pool.probs[14].astype(np.float64)
    blurred = 0.97 * probs + 0.03 / 10
    worse, better = sorted([probs, blurred], key=lambda p: -log_loss(p, real_pool.labels))
    (comparison,) = compare_paired(better, {"worse": worse}, real_pool.labels)
    one, two = estimate(better, real_pool.labels), estimate(worse, real_pool.labels)
    assert comparison.high - comparison.low < one.high - one.low
    assert one.high > two.low


def test_the_assessment_names_its_rivals(real_pool: RealPool) -> None:
    """The rivals are best single and uniform; the ensemble beats the uniform mean."""
    assessment = assess(real_pool.probs, real_pool.labels, log_linear_select, seed=3)
    by_name = {comparison.rival: comparison for comparison in assessment.comparisons}
    assert list(by_name) == ["best_single", "uniform"]
    assert by_name["uniform"].high < 0
    for comparison in by_name.values():
        expected = assessment.estimate.score - comparison.rival_score
        assert comparison.difference == pytest.approx(expected)
    assert by_name["uniform"].rival_score == pytest.approx(
        uniform_select(real_pool.probs, real_pool.labels).score
    )


def test_the_metric_is_passed_on(real_pool: RealPool) -> None:
    """An assessment of error rates reports error rates."""
    assessment = assess(real_pool.probs, real_pool.labels, log_linear_select, metric="error_rate")
    predictions = cross_fit(real_pool.probs, real_pool.labels, log_linear_select)
    assert assessment.estimate.score == error_rate(predictions, real_pool.labels)


def test_no_group_is_both_fitted_on_and_scored(real_pool):
    groups = np.arange(len(real_pool.labels)) // 4
    numbered = np.broadcast_to(groups[None, :, None] / groups.max(), (1, len(groups), 2)).astype(np.float32)
    seen = []

    def fit(probs, labels, together):
        seen.append(set(np.round(probs[0, :, 0] * groups.max()).astype(int)))
        assert set(together) == seen[-1]
        return uniform_select(probs, np.zeros(len(labels), int))

    cross_fit(numbered, np.zeros(len(groups), int), fit, groups=groups)
    scored = [set(groups) - fitted for fitted in seen]
    assert sorted(group for part in scored for group in part) == sorted(set(groups))


@pytest.mark.parametrize("metric", ["log_loss", "error_rate"])
def test_mistakes_that_come_in_groups_widen_the_interval(metric):
    """Ten images of each of thirty patients are right or wrong together."""
    rng = np.random.default_rng(0)
    right = np.repeat(rng.random(30) < 0.8, 10)
    predictions = np.where(right[:, None], [0.9, 0.1], [0.1, 0.9])
    labels, groups = np.zeros(300, int), np.repeat(np.arange(30), 10)
    alone = estimate(predictions, labels, metric=metric)
    together = estimate(predictions, labels, metric=metric, groups=groups)
    assert together.score == alone.score
    assert together.high - together.low > 2 * (alone.high - alone.low)
