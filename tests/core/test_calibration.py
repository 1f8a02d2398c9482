import numpy as np
import pytest

from tune_paddy.core.calibration import (
    LEAST_MARGIN,
    SLACK,
    Calibration,
    CalibrationPoint,
    calibrate,
    fit_calibration,
    largest_underestimate,
)
from tune_paddy.core.errors import InputError


def measured(*pairs: tuple[float, float]) -> list[CalibrationPoint]:
    return [CalibrationPoint(raw_mib=raw, process_mib=process) for raw, process in pairs]


def test_two_points_are_fitted_exactly() -> None:
    context, slack = fit_calibration(measured((1000, 1600), (10_000, 11_500)))
    assert slack == pytest.approx(1.1)
    assert context == pytest.approx(500)


def test_a_known_line_is_recovered_under_noise() -> None:
    rng = np.random.default_rng(0)
    raw = rng.uniform(500, 15_000, 60)
    noisy = (450 + 1.07 * raw) * rng.normal(1, 0.01, 60)
    context, slack = fit_calibration(measured(*zip(raw, noisy, strict=True)))
    assert slack == pytest.approx(1.07, abs=0.01)
    assert context == pytest.approx(450, abs=60)


def test_runs_that_ended_early_do_not_move_the_line() -> None:
    sound = [(raw, 450 + 1.07 * raw) for raw in (1000, 2000, 4000, 6000, 8000, 12_000, 15_000)]
    broken = [(9000.0, 700.0), (14_000.0, 900.0)]
    context, slack = fit_calibration(measured(*sound, *broken))
    assert slack == pytest.approx(1.07, abs=0.001)
    assert context == pytest.approx(450, abs=10)


def test_similar_footprints_determine_only_the_context() -> None:
    context, slack = fit_calibration(measured((5000, 5900), (5100, 5800)))
    assert slack == SLACK
    assert context == pytest.approx(np.mean([5900 - SLACK * 5000, 5800 - SLACK * 5100]))


def test_an_implausible_slope_is_rejected() -> None:
    assert fit_calibration(measured((1000, 5000), (9000, 5100)))[1] == SLACK


def test_one_point_is_enough_for_a_context() -> None:
    assert fit_calibration(measured((1000, SLACK * 1000 + 600))) == (pytest.approx(600), SLACK)


def test_an_empty_measurement_is_refused() -> None:
    with pytest.raises(InputError, match="at least one run"):
        fit_calibration([])


def test_the_margin_covers_the_largest_underestimate() -> None:
    """With the margin, no measured point exceeds its forecast."""
    points = measured((1000, 1500), (2000, 2570), (4000, 5100), (8000, 8990), (12_000, 13_200))
    calibration = calibrate(points, name="x", gpu="GPU", versions={"torch": "2"}, source="test")
    assert calibration.margin > LEAST_MARGIN
    for point in points:
        assert calibration.process_mib(point.raw_mib, with_margin=True) >= 0.999 * point.process_mib
    assert calibration.points == tuple(points)


def test_a_perfect_fit_still_keeps_a_margin() -> None:
    points = measured((1000, 1600), (10_000, 11_500))
    assert largest_underestimate(points, 500, 1.1) == pytest.approx(0)
    assert calibrate(points, name="x", gpu=None, versions={}, source="").margin == LEAST_MARGIN


def test_a_calibration_survives_json() -> None:
    points = measured((1000, 1600), (10_000, 11_500))
    calibration = calibrate(points, name="x", gpu="GPU", versions={"torch": "2"}, source="test")
    assert Calibration.model_validate_json(calibration.model_dump_json()) == calibration
