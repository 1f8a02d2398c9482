from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tune_paddy.core.calibration import Calibration
from tune_paddy.core.errors import InputError
from tune_paddy.core.memory import (
    FRACTIONS,
    MIB,
    Footprint,
    MemoryBudget,
    accum_choices,
    allocator_mib,
    batch_norm_warning,
    plan_accum,
    plan_fraction,
)

EXACT = Calibration(name="exact", context_mib=0, slack=1)
# 1000 MiB of state; 10 MiB for each image of the micro-batch; 1 MiB for each of the batch
MEMBER = Footprint(
    parameters=1,
    state_bytes=1000 * MIB,
    saved_bytes=100 * MIB,
    saved_bytes_per_image=10 * MIB,
    input_bytes_per_image=MIB,
    eval_bytes=50 * MIB,
    eval_bytes_per_image=2 * MIB,
)


def test_a_step_holds_the_state_its_micro_batch_and_its_whole_batch() -> None:
    assert MEMBER.raw_mib(16, 64) == 1000 + 100 + 16 * 10 + 64


def test_a_batch_size_that_is_not_given_is_the_micro_batch() -> None:
    assert MEMBER.raw_mib(16) == MEMBER.raw_mib(16, 16)


def test_a_footprint_defaults_to_its_own_micro_batch() -> None:
    assert replace(MEMBER, micro_batch=16).raw_mib() == MEMBER.raw_mib(16)


def test_evaluation_decides_where_it_takes_more_than_a_step() -> None:
    """Twice as many images are evaluated at once as are trained on."""
    hungry = Footprint(1, 0, 0, MIB, 0, 0, 7 * MIB)
    assert hungry.raw_mib(10) == 2 * 10 * 7


def test_accum_is_the_smallest_that_fits() -> None:
    plan = plan_accum(MEMBER, EXACT, MemoryBudget(1400), 64)
    assert (plan.accum, plan.micro_batch, plan.fits) == (4, 16, True)
    assert plan.forecast_mib == 1324
    assert plan.margin_mib == 76
    assert not plan_accum(MEMBER, EXACT, MemoryBudget(1400), 64, max_accum=2).fits


def test_a_micro_batch_is_rounded_up() -> None:
    """A batch of 10 in 4 parts has parts of 3 images: the largest decides."""
    assert plan_accum(MEMBER, EXACT, MemoryBudget(1e6), 10, accum=4).micro_batch == 3


def test_a_member_that_fits_nowhere_is_planned_with_one_image_at_a_time() -> None:
    plan = plan_accum(MEMBER, EXACT, MemoryBudget(500), 48)
    assert (plan.accum, plan.micro_batch, plan.fits) == (48, 1, False)
    assert plan.margin_mib < 0


def test_a_fixed_accum_is_the_only_candidate() -> None:
    plan = plan_accum(MEMBER, EXACT, MemoryBudget(1400), 64, accum=2, max_accum=2)
    assert (plan.accum, plan.fits) == (2, False)


def test_plans_count_the_safety_margin_and_the_context() -> None:
    careful = Calibration(name="careful", context_mib=100, slack=2, margin=0.1)
    plan = plan_accum(MEMBER, careful, MemoryBudget(1e6), 64)
    assert plan.forecast_mib == pytest.approx(1.1 * (100 + 2 * plan.raw_mib))


def test_the_fraction_is_the_smallest_that_fits_the_requested_accum() -> None:
    plan = plan_fraction(MEMBER, EXACT, 4000, 64)
    assert (plan.accum, plan.fraction, plan.at_once) == (1, 0.5, 2)
    assert plan.budget_mib == 2000


def test_accum_rises_for_a_smaller_fraction_only_where_that_is_allowed() -> None:
    plan = plan_fraction(MEMBER, EXACT, 5400, 64, max_accum=8)
    assert (plan.accum, plan.fraction, plan.at_once) == (4, 0.25, 4)


def test_accum_rises_on_the_whole_gpu_if_the_requested_one_does_not_fit() -> None:
    plan = plan_fraction(MEMBER, EXACT, 1400, 64)
    assert (plan.accum, plan.fraction, plan.fits) == (4, 1.0, True)


def test_each_process_pays_for_its_own_context() -> None:
    """Four processes of a quarter each would fit without their contexts."""
    context = Calibration(name="context", context_mib=200, slack=1)
    quarter = 4 * MEMBER.raw_mib(64, 64)
    assert plan_fraction(MEMBER, EXACT, quarter, 64).at_once == 4
    assert plan_fraction(MEMBER, context, quarter, 64).at_once == 2


def test_the_allocator_stops_where_the_context_fills_the_rest_of_the_budget() -> None:
    calibration = Calibration(name="x", context_mib=500, slack=1)
    budget = MemoryBudget(16000, 0.25)
    assert allocator_mib(budget, calibration) + 500 == pytest.approx(budget.mib)
    assert allocator_mib(MemoryBudget(2000, 0.125), calibration) == 0


@pytest.mark.parametrize(("images", "accum", "warned"), [(7, 2, True), (8, 2, False), (4, 1, False)])
def test_batch_norm_gets_a_warning_if_accum_leaves_few_images(images: int, accum: int, warned: bool) -> None:
    assert (batch_norm_warning(images, accum) is not None) is warned


@given(
    batch_size=st.integers(1, 300),
    gpu_mib=st.floats(1, 1e5),
    fraction=st.sampled_from(FRACTIONS),
)
def test_no_smaller_accum_would_have_fitted(batch_size: int, gpu_mib: float, fraction: float) -> None:
    budget = MemoryBudget(gpu_mib, fraction)
    plan = plan_accum(MEMBER, EXACT, budget, batch_size)
    smaller = [accum for accum in accum_choices(batch_size) if accum < plan.accum]
    assert not any(
        plan_accum(MEMBER, EXACT, budget, batch_size, accum=accum, max_accum=accum).fits for accum in smaller
    )
    assert plan.fits or plan.micro_batch == 1


@pytest.mark.parametrize(
    ("batch_size", "least", "most", "choices"),
    [
        (64, 1, None, (1, 2, 4, 8, 16, 32, 64)),
        (48, 1, None, (1, 2, 4, 8, 16, 32, 48)),
        (64, 2, 6, (2, 4, 6)),
        (64, 3, None, (3, 6, 12, 24, 48, 64)),
        (1, 1, None, (1,)),
        (8, 1, 100, (1, 2, 4, 8)),
    ],
)
def test_accum_doubles_up_to_the_largest_allowed(
    batch_size: int, least: int, most: int | None, choices: tuple[int, ...]
) -> None:
    assert accum_choices(batch_size, least=least, most=most) == choices


def test_contradictions_are_refused() -> None:
    with pytest.raises(InputError, match=r"accum 65 is not in 1\.\.64"):
        accum_choices(64, least=65)
    with pytest.raises(InputError, match="max_accum 2 is below accum 4"):
        accum_choices(64, least=4, most=2)
    with pytest.raises(InputError, match="MiB"):
        MemoryBudget(0)
    with pytest.raises(InputError, match=r"must be in \(0, 1\]"):
        MemoryBudget(1000, 1.5)
