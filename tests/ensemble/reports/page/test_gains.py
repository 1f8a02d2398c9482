from dataclasses import replace

import numpy as np
import pytest

from tests.ensemble.conftest import ensemble_of, first_view, make_pool
from tune_paddy.core.estimate import cross_fit
from tune_paddy.core.selection.plain import best_single, fixed_select
from tune_paddy.ensemble.options import SelectionOptions
from tune_paddy.ensemble.reports.page.class_figure import draw_gains
from tune_paddy.ensemble.reports.page.gains import ClassGains, changed_classes, class_gains, find_gains


def gains_of(corrected: list[int], broken: list[int], images: int = 100) -> ClassGains:
    """Return gains of equally large classes."""
    up, down = np.array(corrected), np.array(broken)
    classes = tuple(f"class {code}" for code in range(len(up)))
    single = images - 40 + down
    return ClassGains(classes, np.full(len(up), images), single + up - down, single, up, down)


def test_the_counts_are_those_of_both_cross_fitted_predictions() -> None:
    """The images that are right are those of the rival, with the corrected and without the broken ones."""
    pool = make_pool(members=4, classes=4, images=80)
    predictions = cross_fit(pool.select, pool.labels, lambda p, y: fixed_select(p, y, np.ones(8)))
    gains = class_gains(pool, predictions)
    right = predictions.argmax(axis=1) == pool.labels
    np.testing.assert_array_equal(gains.ensemble, np.bincount(pool.labels[right], minlength=4))
    np.testing.assert_array_equal(gains.single + gains.corrected - gains.broken, gains.ensemble)
    np.testing.assert_array_equal(gains.images, np.bincount(pool.labels))
    rival = cross_fit(pool.select, pool.labels, best_single).argmax(axis=1) == pool.labels
    assert gains.single.sum() == rival.sum()


def test_a_class_is_named_only_if_chance_would_rarely_give_its_difference() -> None:
    many = gains_of([20, 1, 0], [2, 0, 0])
    assert many.finding == (
        "Against the best single member, the ensemble corrects 21 and breaks 2 of 300 images; "
        "clearest for 'class 0' (+18)"
    )
    one = gains_of([1, 0, 0], [0, 0, 0])
    assert one.finding == (
        "Against the best single member, the ensemble corrects 1 and breaks 0 of 300 images: "
        "no clear difference"
    )
    assert gains_of([0, 0], [0, 0]).finding.endswith("get the same images right")


def test_a_loss_is_told_like_a_gain() -> None:
    assert "'class 1' (-15)" in gains_of([0, 1], [0, 16]).finding


def test_the_figure_shows_the_largest_gain_first_and_leaves_out_classes_without_difference() -> None:
    gains = gains_of([1, 0, 5, 2], [3, 0, 0, 0])
    assert changed_classes(gains, 40) == [2, 3, 0]
    assert changed_classes(gains, 2) == [2, 0]
    figure = draw_gains(gains)
    names = [text.get_text() for text in figure.axes[0].get_yticklabels()]
    assert names == ["class 2 (100)", "class 3 (100)", "class 0 (100)"]
    assert figure.axes[0].get_title().endswith("no difference in 1 of 4 classes")


@pytest.mark.parametrize("assessed", [True, False])
def test_an_ensemble_without_rival_or_estimate_has_no_gains(assessed: bool) -> None:
    """A single view is its own best single member."""
    pool = make_pool() if not assessed else first_view(make_pool())
    chosen = fixed_select(pool.select, pool.labels, np.ones(len(pool.views)))
    ensemble = replace(ensemble_of(pool, chosen, assessed=assessed))
    assert find_gains(ensemble, SelectionOptions()) is None
