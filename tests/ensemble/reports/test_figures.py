from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.ensemble.conftest import first_view, make_pool
from tune_paddy.core.estimate import assess
from tune_paddy.core.predictions import Pool
from tune_paddy.core.selection.log_linear import log_linear_select
from tune_paddy.core.selection.plain import fixed_select, greedy_select
from tune_paddy.core.selection.result import Selection
from tune_paddy.ensemble.frontier import find_frontier
from tune_paddy.ensemble.options import SelectionOptions
from tune_paddy.ensemble.reports.caveats import caveats
from tune_paddy.ensemble.reports.figures import (
    NAMES,
    draw_confusion,
    draw_disagreement,
    draw_figures,
    draw_path,
    draw_recall,
    draw_reliability,
    write_figures,
)

pytestmark = pytest.mark.usefixtures("rasterised")


def equal_weights(pool: Pool) -> Selection:
    """Return the mean of all views, as a selection with fixed weights."""
    return fixed_select(pool.select, pool.labels, np.ones(len(pool.views)))


def title(figure) -> str:
    """Return the title of a figure."""
    return figure.get_suptitle()


def test_classes_without_images_get_figures_and_are_named_as_not_judged() -> None:
    pool = make_pool()
    kept = pool.labels != pool.labels[0]
    part = replace(
        pool, select=pool.select[:, kept], labels=pool.labels[kept], select_ids=pool.select_ids[kept]
    )
    absent = pool.classes[pool.labels[0]]
    figures = draw_figures(part, equal_weights(part))
    assert {"confusion", "recall", "reliability"} <= set(figures)
    assert absent not in title(figures["recall"])
    (sentence, *_) = caveats(part)
    assert sentence == f"Not judged, without an image in the select split: 1 class ({absent})."


def test_scores_of_members_whose_epoch_the_select_split_chose_are_called_optimistic() -> None:
    pool = make_pool()
    views = tuple(replace(view, params={**view.params, "keep": "best"}) for view in pool.views[:1])
    words = "The select split also chose the epoch of 1 member (keep: best)"
    assert not any(words in sentence for sentence in caveats(pool))
    assert any(words in sentence for sentence in caveats(replace(pool, views=views + pool.views[1:])))


def test_a_pool_gets_every_figure_at_a_thousand_pixels(tmp_path: Path) -> None:
    pool = make_pool()
    selection = log_linear_select(pool.select, pool.labels)
    assessment = assess(pool.select, pool.labels, log_linear_select)
    frontier = find_frontier(pool, selection, SelectionOptions())
    write_figures(draw_figures(pool, selection, assessment, frontier), tmp_path / "figures")
    assert sorted(path.stem for path in tmp_path.glob("figures/*.png")) == sorted(NAMES)
    for path in tmp_path.glob("figures/*.png"):
        with Image.open(path) as image:
            assert image.width == 1000
            assert len(image.convert("L").getcolors()) > 20


@pytest.mark.parametrize("classes", [2, 60])
def test_a_single_view_gets_the_figures_that_compare_no_views(tmp_path: Path, classes: int) -> None:
    """With two classes, and with too many to show their names."""
    pool = first_view(make_pool(1, classes=classes, images=240, tests=0))
    figures = draw_figures(pool, equal_weights(pool))
    assert sorted(figures) == ["confusion", "recall", "reliability"]
    write_figures(figures, tmp_path)


def test_two_images_are_enough(tmp_path: Path) -> None:
    """They are the smallest split that can be selected from."""
    pool = make_pool(1, classes=2, images=2)
    write_figures(draw_figures(pool, equal_weights(pool)), tmp_path)


def test_many_views_are_reduced_with_the_weighted_ones_first(tmp_path: Path) -> None:
    pool = make_pool(members=20)
    weights = np.zeros(40)
    weights[[37, 5]] = 2, 1
    figure = draw_disagreement(pool, fixed_select(pool.select, pool.labels, weights))
    names = [text.get_text() for text in figure.axes[0].get_yticklabels()]
    assert len(names) == 30
    assert names[:2] == ["0018-net/tta  1", "0002-net/tta  2"]
    write_figures({"disagreement": figure}, tmp_path)


def test_figures_of_an_earlier_selection_are_deleted_and_other_files_kept(tmp_path: Path) -> None:
    (tmp_path / "frontier.png").write_bytes(b"old")
    (tmp_path / "mine.png").write_bytes(b"mine")
    pool = make_pool(tests=0)
    write_figures(draw_figures(pool, equal_weights(pool)), tmp_path)
    assert not (tmp_path / "frontier.png").exists()
    assert (tmp_path / "mine.png").read_bytes() == b"mine"


def test_subtitles_name_the_kind_of_predictions() -> None:
    """They are cross-fitted with an assessment, and optimistic without."""
    pool = make_pool()
    selection = log_linear_select(pool.select, pool.labels)
    honest = draw_figures(pool, selection, assess(pool.select, pool.labels, log_linear_select))
    optimistic = draw_figures(pool, selection)
    for name in ("confusion", "recall", "reliability"):
        assert "cross-fitted" in honest[name].axes[0].get_title()
        assert "optimistic" in optimistic[name].axes[0].get_title()


def test_titles_state_the_result() -> None:
    """Ten images of three classes, one of them misclassified and none of them with certainty.

    A class with an error more than the others is no finding.
    """
    labels = np.array([0, 0, 0, 0, 1, 1, 1, 2, 2, 2])
    probs = np.full((10, 3), 0.1)
    probs[np.arange(10), labels] = 0.8
    probs[4] = 0.1, 0.1, 0.8
    names = ("blast", "hispa", "tungro")
    assert title(draw_confusion(probs, labels, names, "")) == (
        "One image is wrong: 'hispa' taken for 'tungro'"
    )
    worst = title(draw_recall(probs, labels, names, ""))
    assert worst == (
        "No class has a clearly lower recall than the others; 2 classes are within one image of the lowest"
    )
    assert title(draw_reliability(probs, labels, "")) == (
        "The ensemble claims 80.0% and is right for 90.0% (59.6% to 98.2%): calibration error (ECE) 10.0%"
    )
    right = np.eye(3)[labels]
    assert title(draw_confusion(right, labels, names, "")) == "No image is taken for another class"


def test_the_path_is_the_selections_own_or_greedys_for_comparison() -> None:
    pool = make_pool()
    greedy = greedy_select(pool.select, pool.labels)
    own, context = draw_path(pool, greedy), draw_path(pool, log_linear_select(pool.select, pool.labels))
    for figure in (own, context):
        scores = figure.axes[0].get_lines()[0].get_ydata()
        np.testing.assert_array_equal(scores, greedy.trajectory[: len(scores)])
        assert len(scores) >= greedy.kept
    labels = [line.get_label() for line in context.axes[0].get_lines()]
    assert labels[-1] == "the selected ensemble (log_linear)"
    assert len(own.axes[0].get_lines()) == len(labels) - 1


def test_a_path_through_many_views_is_shortened(tmp_path: Path) -> None:
    """The views after the twelfth share a row."""
    pool = make_pool(members=15)
    path = replace(equal_weights(pool), order=tuple(range(30)), trajectory=(0.5,) * 30, kept=30)
    figure = draw_path(pool, path)
    rows = [text.get_text() for text in figure.axes[1].get_yticklabels()]
    assert len(rows) == 12
    assert rows[-1] == "19 others"
    write_figures({"selection_path": figure}, tmp_path)


def test_dollar_signs_of_class_names_are_no_formulas(tmp_path: Path) -> None:
    """Matplotlib would fail on this one."""
    labels = np.array([0, 0, 1, 1])
    figure = draw_recall(np.eye(2)[labels], labels, ("$\\frac{$", "$b$"), "")
    write_figures({"recall": figure}, tmp_path)
    assert [text.get_text() for text in figure.axes[0].get_yticklabels()] == [r"\$\frac{\$ (2)", r"\$b\$ (2)"]
