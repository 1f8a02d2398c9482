"""Rows of members are the same in all reports."""

import math

import pytest

from tests.ensemble.conftest import ensemble_of, first_view, make_pool, recorded
from tune_paddy.core.metrics import error_rate, log_loss
from tune_paddy.core.selection.plain import fixed_select
from tune_paddy.ensemble.reports.member_rows import ensemble_rows, recorded_rows
from tune_paddy.ensemble.reports.wording import duration, formatted, signed


def test_the_members_of_an_ensemble_have_rows_with_their_views_the_largest_weight_first() -> None:
    pool = make_pool()
    ensemble = ensemble_of(pool, fixed_select(pool.select, pool.labels, [1, 1, 0, 0, 0, 6]))
    proposed = {"tune_paddy.proposed_by": "sampler", "tune_paddy.origin": "nets"}
    spent = recorded("0002-net", run_id="run 2", metrics={"cpu_seconds": 150.0}, tags=proposed)
    first, second, third = ensemble_rows(ensemble, [spent])
    assert [row.name for row in (first, second, third)] == ["0002-net", "0000-net", "0001-net"]
    assert [row.weight for row in (first, second, third)] == [0.75, 0.25, 0]
    assert (first.log_loss, first.tta_log_loss) == tuple(
        log_loss(probs, pool.labels) for probs in pool.select[4:]
    )
    assert first.error == error_rate(pool.select[4], pool.labels)
    assert [(view.kind, view.number, view.weight) for view in first.views] == [
        ("plain", 4, 0.0),
        ("tta", 5, 0.75),
    ]
    assert (first.cost, second.cost) == ("2.5 min CPU", "")
    assert (first.proposed_by, first.origin, second.proposed_by) == ("sampler", "nets", "")
    assert first.contribution == ensemble.contributions[2]
    assert third.contribution is None


def test_the_only_member_has_no_contribution() -> None:
    pool = first_view(make_pool())
    (row,) = ensemble_rows(ensemble_of(pool, fixed_select(pool.select, pool.labels, [1])))
    assert (row.weight, row.contribution, row.tta_log_loss) == (1, None, None)


def test_the_record_alone_has_the_same_rows_the_best_first() -> None:
    chosen = {"plain/log_loss": 0.5, "plain/error_rate": 0.25, "tta/log_loss": 0.4, "gpu_seconds": 9000.0}
    members = [
        recorded("0000-net"),  # recorded by another version, without scores
        recorded("0001-net", metrics={"plain/log_loss": 0.6, "ensemble_weight": 0, "train_seconds_total": 7}),
        recorded("0002-net", metrics=chosen | {"ensemble_weight": 1.0, "ensemble_contribution": 0.125}),
        recorded("0003-net", metrics=chosen | {"ensemble_weight": 1.0, "ensemble_contribution": math.nan}),
    ]
    rows = recorded_rows(members)
    assert [row.name for row in rows] == ["0002-net", "0003-net", "0001-net", "0000-net"]
    assert [row.contribution for row in rows] == [0.125, None, None, None]
    assert [row.cost for row in rows] == ["2.5 h GPU", "2.5 h GPU", "7 s", ""]
    assert (rows[0].log_loss, rows[0].tta_log_loss, rows[0].error, rows[0].weight) == (0.5, 0.4, 0.25, 1)
    assert rows[3].log_loss is rows[3].error is rows[3].weight is None


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (signed(0.01), "+0.0100"),
        (signed(-0.00001), "+0.0000"),
        (signed(None), ""),
        (formatted(0.0312, ".2%"), "3.12%"),
        (formatted(None, ".2%"), ""),
        (duration(7.4), "7 s"),
        (duration(150), "2.5 min"),
        (duration(200_000), "2.3 d"),
        (duration(-1), "0 s"),
    ],
)
def test_numbers_are_formatted(text: str, wanted: str) -> None:
    assert text == wanted
