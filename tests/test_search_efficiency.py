"""The arithmetic of `benchmarks/search_efficiency`: what replayed searches pay, keep and are compared by."""

import dataclasses
import importlib
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

FOLDER = Path(__file__).resolve().parent.parent / "benchmarks" / "search_efficiency"
LABELS = np.array([0, 1, 0, 1])


@pytest.fixture(scope="module")
def ours() -> Iterator[SimpleNamespace]:
    """Import the scripts of the folder, which import each other by their plain names."""
    before = list(sys.path)
    sys.path[:0] = [str(FOLDER), str(FOLDER.parent)]
    names = ("comparison", "configurations", "methods", "portfolio", "quote", "tables")
    yield SimpleNamespace(**{name: importlib.import_module(name) for name in names})
    sys.path[:] = before


def training(ours: SimpleNamespace, name: str, right: float, **changes: Any) -> Any:
    """Return a training of two stages, whose views give the true class a probability."""
    probs = np.full((1, 4, 2), 1 - right, np.float32)
    probs[:, np.arange(4), LABELS] = right
    values: dict[str, Any] = {
        "name": name,
        "origin": "scratch",
        "kind": name.rpartition("-")[2],
        "values": {},
        "config": {},
        "curve": np.array([2.0, 1.0, -np.log(right)]),
        "seconds": np.array([1.0, 2.0, 4.0]),
        "kept": (1, 3),
        "predicting": np.array([0.5, 0.5]),
        "select": (probs, probs),
        "test": (probs, probs),
        "features": "",
    }
    return ours.tables.Training(**values | changes)


def table(ours: SimpleNamespace, *trainings: Any, features: Mapping[str, float] | None = None) -> Any:
    """Return a table of some trainings."""
    return ours.tables.Table("one", {it.name: it for it in trainings}, LABELS, LABELS, features or {})


def test_a_training_that_goes_on_pays_only_for_the_further_epochs(ours: SimpleNamespace) -> None:
    one = training(ours, "scratch-00-full", 0.9)
    run = ours.tables.Run(table(ours, one), 100.0)
    run.train_to(one, 0)
    assert run.spent == 1.0
    run.train(one)
    assert run.spent == 4.5


def test_features_are_paid_once_for_all_members_that_share_them(ours: SimpleNamespace) -> None:
    frozen = {"features": "lite0-64", "kept": (3,), "predicting": np.array([0.5])}
    ones = [training(ours, f"frozen-0{n}-full", 0.9, **frozen) for n in range(2)]
    run = ours.tables.Run(table(ours, *ones, features={"lite0-64": 10.0}), 100.0)
    run.train(ones[0])
    assert (run.spent, run.cost_of(ones[1])) == (14.5, 4.5)


def test_a_stopped_member_is_in_the_pool_only_where_stopped_members_join(ours: SimpleNamespace) -> None:
    ones = [training(ours, f"scratch-0{n}-full", 0.9, curve=np.full(3, float(n))) for n in range(3)]
    pools = []
    for keep in (False, True):
        run, left = ours.tables.Run(table(ours, *ones), 100.0), iter(ones)
        source = SimpleNamespace(next=lambda left=left: next(left, None), tell=lambda *_: None)
        ours.methods.asynchronous_halving(run, source, keep=keep)
        pools.append(run.pool)
    assert pools[0] == [("scratch-00-full", 1)]
    assert pools[1] == [("scratch-00-full", 1), ("scratch-01-full", 0), ("scratch-02-full", 0)]


def test_a_portfolio_begins_with_the_largest_gain_per_second(ours: SimpleNamespace) -> None:
    slow = training(ours, "scratch-00-full", 0.95, seconds=np.array([10.0, 20.0, 90.0]))
    fast, poor = training(ours, "scratch-01-full", 0.9), training(ours, "scratch-02-full", 0.5)
    assert ours.portfolio.portfolio([table(ours, slow, fast, poor)], 2) == [fast.name, slow.name]


def test_a_curve_reaches_a_target_where_it_stays_below(ours: SimpleNamespace) -> None:
    seconds, loss = np.array([1.0, 2.0, 4.0, 8.0]), np.array([2.0, 0.5, 1.5, 0.5])
    assert ours.comparison.seconds_to(1.0, seconds, loss) == pytest.approx(4 * 2**0.5)
    assert ours.comparison.seconds_to(0.1, seconds, loss) == float("inf")


def test_a_method_is_compared_with_where_other_searches_end(ours: SimpleNamespace) -> None:
    points = np.array([1.0, 2.0, 4.0])
    curves = ours.comparison.Curves(points, np.array([[2.0, 1.5, 0.5]] * 2), points, points)
    reached = ours.comparison.ratio_to_ends(curves, np.array([1.0, 1.0]), np.array([8.0, 8.0]))
    assert (reached.value, reached.low, reached.high) == pytest.approx((8**0.5 / 8,) * 3)
    never = ours.comparison.ratio_to_ends(curves, np.array([0.1, 0.1]), np.array([8.0, 8.0]))
    assert str(never) == "never (never–never)"


def test_every_dataset_has_the_same_hundred_configurations(ours: SimpleNamespace) -> None:
    once, again = ours.configurations.configurations(), ours.configurations.configurations()
    assert [(it.name, it.values) for it in once] == [(it.name, it.values) for it in again]
    assert sum(it.kind == "full" for it in once) >= 100


def halving(rate: float) -> list[tuple[float, float]]:
    """Return a curve whose loss falls by the same share in each doubling of the seconds."""
    return [(2.0**n, (1 - rate) ** n) for n in range(9)]


def test_a_quote_is_judged_by_the_rest_of_its_curve(ours: SimpleNamespace) -> None:
    """Without decay and prior, such a curve goes on as expected: in the interval, without an error."""
    model = dataclasses.replace(ours.quote.MODEL, decay=1.0, prior_doublings=0.0)
    cases = ours.quote.cases([halving(0.1)], model)
    assert [case.factor for case in cases] == [1.5, 2.0, 4.0] * 4 + [1.5, 2.0]
    assert all(case.is_covered for case in cases)
    assert [case.error for case in cases] == pytest.approx([0.0] * len(cases))
    assert all(case.paid for case in cases)


def test_the_prior_rate_of_a_quote_comes_from_the_other_data_sets(ours: SimpleNamespace) -> None:
    curves = {"fast": [halving(0.3)], "slow": [halving(0.01)]}
    rates = {name: model.prior_rate for name, model, _ in ours.quote.left_out(curves, ours.quote.MODEL)}
    assert rates["fast"] == pytest.approx(-np.log(0.99))
    assert rates["slow"] == pytest.approx(-np.log(0.7))
    assert sum(row.startswith("| all |") for row in ours.quote.table(curves, ours.quote.MODEL)) == 3
