from pathlib import Path

import pytest

from tests.ensemble.conftest import recorded
from tune_paddy.core.timing.gains import Expected
from tune_paddy.ensemble.reports.figures import write_figures
from tune_paddy.ensemble.reports.trial_figures import draw_costs, draw_footprint, draw_live
from tune_paddy.tracking.context.costs import trial_cost

pytestmark = pytest.mark.usefixtures("rasterised")

LIVE = {"log_loss": {1: 0.5, 2: 0.25}, "error_rate": {1: 0.1, 2: 0.05}}
SCORES = {"plain/error_rate": 0.04, "tta/error_rate": 0.01}  # figures show the plain error


def test_the_title_of_the_costs_has_the_lowest_error_and_its_cost(tmp_path: Path) -> None:
    """One member is in the ensemble, one is left out, and one was stopped early."""
    members = [
        recorded("0000-net.a-32", metrics=SCORES),
        recorded("0001-net.a-64", metrics={"plain/error_rate": 0.02}),
        recorded("0002-net.a-64", outcome="stopped", metrics={"error_rate": 0.2}),
    ]
    trials = [(member, "gpu_seconds", cost) for member, cost in zip(members, (100, 250, 50), strict=True)]
    figure = draw_costs(trials, {members[1].run_id: 1.0})
    assert figure.get_suptitle() == "The lowest error, 2.00%, took 250 of 400 GPU-seconds"
    legend = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert legend[1:] == ["in the ensemble", "finished, left out", "not finished, last error"]
    names = [text.get_text() for text in figure.axes[0].texts]
    assert names == ["0002-net-64", "0000-net-32", "0001-net-64"]
    write_figures({"cost": figure}, tmp_path)


def test_the_title_of_the_live_curve_has_the_first_and_the_last_loss(tmp_path: Path) -> None:
    figure = draw_live(LIVE, {1: 0.5, 2: 3.0})
    title = figure.get_suptitle()
    assert title == "As members finished, a greedy ensemble's log loss went from 0.5000 to 0.2500"
    write_figures({"live_ensemble": figure}, tmp_path)


@pytest.mark.parametrize(("last", "unit", "times"), [(1.5, "minutes", [30, 90]), (3.0, "hours", [0.5, 3])])
def test_the_live_curve_is_over_the_time_since_the_start(last: float, unit: str, times: list[float]) -> None:
    """In minutes below two hours; the points have the numbers of finished members."""
    upper, lower = draw_live(LIVE, {1: 0.5, 2: last}, pauses=True).axes
    assert lower.get_xlabel().startswith(f"{unit} since the search started")
    for axes in (upper, lower):
        assert axes.get_lines()[0].get_xdata().tolist() == times
    assert [text.get_text() for text in upper.texts] == ["1", "2"]


def test_forecasts_of_memory_are_compared_with_measurements(tmp_path: Path) -> None:
    members = [
        recorded(str(n), metrics={"memory/forecast_mib": 1000.0, "memory/measured_mib": measured})
        for n, measured in enumerate((900.0, 1000.0, 1100.0))
    ]
    figure = draw_footprint(members)
    assert "0.90 to 1.10 times their forecast" in figure.get_suptitle()
    write_figures({"footprint": figure}, tmp_path)


@pytest.mark.parametrize(
    ("share", "metrics", "expected"),
    [
        ("0.25", {"gpu_seconds": 7.0}, ("gpu_seconds", 7.0)),
        ("0.25", {}, ("gpu_seconds", 15.0)),  # a minute of a quarter
        ("0.0", {}, ("cpu_seconds", 120.0)),  # a minute of two CPUs
        ("0.0", {"train_seconds_total": 20.0}, ("cpu_seconds", 40.0)),
    ],
)
def test_a_trial_costs_its_share_of_the_time(
    share: str, metrics: dict[str, float], expected: tuple[str, float]
) -> None:
    search = recorded("night", "search", params={"cpus": "2.0"})
    member = recorded("0000-net", metrics=metrics, tags={"tune_paddy.gpu_share": share})
    assert trial_cost(search, member) == expected


def test_the_live_curve_goes_on_to_the_expected_loss() -> None:
    expected = Expected(3 * 3600.0, now=0.25, loss=0.2, low=0.18, high=0.22)
    upper, lower = draw_live(LIVE, {1: 0.5, 2: 1.0}, expected=expected).axes
    assert lower.get_xlabel().startswith("minutes of search")
    assert upper.get_lines()[1].get_xdata() == pytest.approx([60, 180])
    (label,) = (text.get_text() for text in upper.get_legend().get_texts())
    assert label == "expected: 0.2000 (0.1800 to 0.2200, 80 %)"
