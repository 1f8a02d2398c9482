"""Contention of concurrent trials on CPUs."""

from tune_paddy.training.timing.contention import cpu_slowdown


def test_one_trial_is_slowed_by_none_and_several_are_never_faster() -> None:
    assert cpu_slowdown(1, 2) == 1.0
    assert cpu_slowdown(2, 1) >= 1.0
