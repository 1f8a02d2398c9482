import pytest

from tests.ensemble.conftest import make_pool
from tune_paddy.core.selection.plain import fixed_select
from tune_paddy.search.watchers.contributors import Contributors


def test_members_with_a_weight_come_in_its_order_each_with_all_its_views() -> None:
    pool = make_pool()  # three members with two views each
    chosen = Contributors()
    assert chosen.weights() == {}
    chosen.take(pool, fixed_select(pool.select, pool.labels, [3, 0, 0, 0, 2, 2]))
    assert list(chosen.weights().items()) == [
        ("0002-net", pytest.approx(4 / 7)),
        ("0000-net", pytest.approx(3 / 7)),
        ("0001-net", 0.0),
    ]
