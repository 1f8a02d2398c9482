import io
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console
from rich.table import Table

from tests.ensemble.conftest import ensemble_of, make_pool
from tune_paddy.core.estimate import Comparison
from tune_paddy.core.selection.auto import auto_select
from tune_paddy.core.selection.plain import best_single, fixed_select, greedy_select
from tune_paddy.core.selection.result import Selection
from tune_paddy.ensemble.ensemble import Ensemble
from tune_paddy.ensemble.reports.details import _blocks, print_details


def printed(ensemble: Ensemble, width: int = 120) -> str:
    """Return the detailed report as printed in a terminal of some width."""
    console = Console(file=io.StringIO(), width=width)
    print_details(console, ensemble)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_the_number_of_selected_views_of_each_kind_is_printed() -> None:
    pool = make_pool()
    text = printed(ensemble_of(pool, fixed_select(pool.select, pool.labels, [3, 1, 0, 2, 0, 4])))
    assert "plain views: 1 of 3 chosen, weights sum to 0.300\n" in text
    assert "tta views: 3 of 3 chosen, weights sum to 0.700\n" in text


def test_the_greedy_path_is_shortened_to_a_few_lines() -> None:
    """It shows the first rounds, and the last that is kept."""
    pool = make_pool()
    selection = greedy_select(pool.select, pool.labels)
    path = replace(selection, order=(5,) * 60, trajectory=tuple(0.5 - i / 1000 for i in range(60)), kept=40)
    lines = printed(ensemble_of(pool, path)).split("Greedy rounds: 40 of 60 kept")[1].splitlines()
    rows = [line.split() for line in lines[3:11]]
    assert [row[0] for row in rows] == ["1", "2", "3", "4", "5", "6", "…", "40"]
    assert rows[-1] == ["40", "0002-net/tta", "0.4610"]


def test_only_greedy_selections_have_a_path_and_plain_means_a_gap() -> None:
    pool = make_pool()
    greedy = printed(ensemble_of(pool, greedy_select(pool.select, pool.labels)))
    pooled = replace(fixed_select(pool.select, pool.labels, np.ones(6)), gap=None)
    assert "Greedy rounds" in greedy
    assert "Optimality gap" in greedy
    other = printed(ensemble_of(pool, pooled))
    assert "Greedy rounds" not in other
    assert "Optimality gap" not in other


def test_the_frontier_is_printed_with_the_ensemble_beside_it() -> None:
    """It has members, minutes, MiB and log loss; without a test set it is missing."""
    pool = make_pool()
    selection = fixed_select(pool.select, pool.labels, [1, 0, 1, 0, 1, 0])
    text = printed(ensemble_of(pool, selection))
    assert "What time buys: best means for 20 test images" in text
    (row,) = [line for line in text.splitlines() if line.startswith("the ensemble ")]
    assert row.split()[2:5] == ["3", "0.02", "17.2"]
    assert "What time buys" not in printed(ensemble_of(make_pool(tests=0), selection))


def test_views_left_out_refer_to_the_most_similar_selected_view() -> None:
    pool = make_pool()
    text = printed(ensemble_of(pool, fixed_select(pool.select, pool.labels, [0, 0, 0, 0, 0, 1])))
    (chosen,) = [line.split() for line in text.splitlines() if " 1.000 " in line]
    assert chosen[1:3] == ["0002-net", "tta"]
    assert text.count(f"#{chosen[0]} (") == 5


def test_an_ensemble_is_not_compared_with_itself() -> None:
    pool = make_pool()
    text = printed(ensemble_of(pool, best_single(pool.select, pool.labels)))
    assert "best single member" not in text
    assert "uniform average" in text


def test_0_after_rounding_has_no_minus() -> None:
    pool = make_pool()
    ensemble = ensemble_of(pool, greedy_select(pool.select, pool.labels))
    assert ensemble.assessment
    same = Comparison("uniform", 0.5, 0.0, 0.0, 0.00001, 0.5)
    text = printed(replace(ensemble, assessment=replace(ensemble.assessment, comparisons=(same,))))
    assert "+0.0000 (+0.0000 to +0.0000)" in text


@pytest.mark.parametrize(("metric", "method"), [("error_rate", greedy_select), ("log_loss", best_single)])
def test_a_gap_is_printed_only_if_the_selection_minimised_the_log_loss(
    metric: str, method: Callable[..., Selection]
) -> None:
    pool = make_pool()
    text = printed(ensemble_of(pool, method(pool.select, pool.labels, metric=metric)))
    assert "Optimality gap" not in text
    assert ("What time buys in log loss, whatever the metric" in text) == (metric != "log_loss")


def test_every_column_has_a_name() -> None:
    """In all tables, for a greedy ensemble and for one with an automatically chosen method."""
    pool = make_pool()
    for selection in (
        greedy_select(pool.select, pool.labels),
        auto_select(pool.select, pool.labels),
    ):
        ensemble = ensemble_of(pool, selection)
        tables = [block for block in _blocks(ensemble) if isinstance(block, Table)]
        assert len(tables) >= 4
        assert all(column.header for table in tables for column in table.columns)


def test_a_column_without_content_is_left_out() -> None:
    """If every view is selected, there is no view left out to compare."""
    pool = make_pool()
    assert "errs like" in printed(ensemble_of(pool, fixed_select(pool.select, pool.labels, [1] * 5 + [0])))
    assert "errs like" not in printed(ensemble_of(pool, fixed_select(pool.select, pool.labels, [1] * 6)))


@pytest.mark.parametrize("width", [80, 160])
def test_it_fits_the_terminal(width: int) -> None:
    """Long names are wrapped, nothing is cut off."""
    pool = make_pool()
    views = tuple(replace(v, member=v.member + "-convnext_large.fb_in22k-480x360") for v in pool.views)
    text = printed(ensemble_of(replace(pool, views=views), greedy_select(pool.select, pool.labels)), width)
    assert max(map(len, text.splitlines())) <= width
    if width == 160:
        assert "0002-net-convnext_large.fb_in22k-480x360" in text
