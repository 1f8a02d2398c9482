from pathlib import Path

import pytest

from tests.conftest import Finished
from tune_paddy.ensemble.reports.figures import GREY
from tune_paddy.ensemble.reports.page.curves import draw_learning, read_curves
from tune_paddy.ensemble.reports.page.themed import svg

RISING, FALLING = {1: 0.4, 2: 0.5}, {1: 0.9, 2: 0.3}


def test_curves_are_those_of_finished_members_by_epoch_the_best_first(finished: Finished) -> None:
    curves = read_curves(finished.store, finished.members)
    done = [member for member in finished.members if member.outcome == "finished"]
    assert {name for name, _ in curves} == {member.name for member in done}
    assert all(sorted(curve) == [1, 2] for _, curve in curves)
    last = [curve[2] for _, curve in curves]
    assert last == sorted(last)


def test_the_title_counts_the_members_with_the_lowest_loss_in_the_last_epoch() -> None:
    figure = draw_learning([("a", FALLING), ("b", RISING), ("c", FALLING)], 3)
    assert figure.get_suptitle() == "2 of 3 members had their lowest log loss in the last epoch"


def test_curves_over_folds_say_that_they_start_anew() -> None:
    figure = draw_learning([("a", {1: 0.9, 2: 0.3, 3: 0.8, 4: 0.2})], 1, folded=True)
    assert figure.get_suptitle() == "Each member starts anew with each fold"
    assert figure.axes[0].get_xlabel() == "epoch, counted over all folds"


@pytest.mark.usefixtures("rasterised")
def test_the_best_four_are_highlighted_and_the_others_share_one_entry(tmp_path: Path) -> None:
    figure = draw_learning([(f"{n:04d}-net.tag-64", FALLING) for n in range(7)], 60)
    legend = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert legend == [f"{n:04d}-net-64, 0.3000" for n in range(4)] + ["other members"]
    grey = [line for line in figure.axes[0].get_lines() if line.get_color() == GREY]
    assert len(grey) == 3
    assert figure.axes[0].get_title().startswith("7 of 60 members")
    (tmp_path / "learning.svg").write_bytes(svg(figure))


def test_a_wide_range_of_losses_has_a_logarithmic_axis() -> None:
    assert draw_learning([("a", {1: 10.0, 2: 0.1})], 1).axes[0].get_yscale() == "log"
    assert draw_learning([("a", FALLING)], 1).axes[0].get_yscale() == "linear"
