"""Memory of the view at a larger size."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tune_paddy.core.config import MemberConfig
from tune_paddy.core.memory import Footprint
from tune_paddy.training.forecast.footprint import forecast
from tune_paddy.training.forecast.planning import find_gpu, member_footprint

Forecast = Callable[..., Footprint]


@pytest.fixture(scope="module")
def frozen(tmp_path_factory: pytest.TempPathFactory) -> Forecast:
    """Return a function that forecasts a frozen member at 64 px, to which evaluation is everything."""
    folder: Path = tmp_path_factory.mktemp("footprints")
    return lambda arch, side=64, **options: forecast(arch, (side, side), frozen=True, cache=folder, **options)


def test_an_image_at_a_time_takes_the_memory_of_its_own_size(frozen: Forecast) -> None:
    """Its forward pass is that of a network for images of this size."""
    here, there = frozen("test_resnet", large_view=1.25), frozen("test_resnet", side=80)
    assert here.large is not None
    assert (here.large.pixels, here.large.large_pixels) == (64 * 64, 80 * 80)
    inputs_held_by_the_other = 3 * 80 * 80
    assert here.large.bytes_per_image == there.eval_bytes_per_image - inputs_held_by_the_other


@pytest.mark.parametrize("micro_batch", [1, 2, 3, 8, 64])
def test_smaller_batches_of_a_convolutional_network_take_no_more_memory(
    frozen: Forecast, micro_batch: int
) -> None:
    """Its memory is proportional to the pixels, and two images at least are evaluated at a time."""
    with_view, without = (frozen("test_resnet", large_view=factor) for factor in (1.4, 1.0))
    assert with_view.raw_mib(micro_batch) == pytest.approx(without.raw_mib(micro_batch), rel=0.02)


def test_attention_without_fused_kernels_takes_more_memory(frozen: Forecast) -> None:
    """Its matrices grow with the square of the pixels."""
    with_view, without = (
        frozen("test_vit", side=320, large_view=factor, unfused=True) for factor in (1.25, 1.0)
    )
    assert with_view.raw_mib(8) > without.raw_mib(8)


def test_a_member_with_the_view_is_planned_with_it() -> None:
    config = MemberConfig(arch="test_resnet", size=64, large_view=1.25, schedule="frozen")
    assert member_footprint(config, find_gpu(mib=16280), n_classes=10).large is not None
