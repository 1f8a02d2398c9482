"""The table of measured networks."""

from pathlib import Path

import pytest

from tune_paddy.core.config import MemberConfig
from tune_paddy.spaces.building.build import source_spaces
from tune_paddy.spaces.building.networks import known_network, measured_networks
from tune_paddy.training.forecast.planning import find_gpu, member_footprint
from tune_paddy.training.timing.kinds import member_operations


def test_every_network_of_the_source_spaces_was_measured() -> None:
    wanted = {arch for space in source_spaces().values() for arch in space.architectures()}
    assert wanted <= measured_networks().keys()


@pytest.mark.parametrize(("side", "tolerance"), [(128, 0.0), (224, 0.06)])
def test_the_table_has_what_the_forecast_measures(side: int, tolerance: float, footprints: Path) -> None:
    """Exactly at the measured size, and nearly at another."""
    config = MemberConfig(arch="test_resnet.r160_in1k", size=side, pretrained=False)
    known = known_network(config.arch, config.size)
    assert known is not None
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TUNE_PADDY_CACHE", str(footprints))
        measured = member_footprint(config, find_gpu(mib=16_280), n_classes=10)
    assert known.operations == pytest.approx(member_operations(config, 10), rel=tolerance)
    assert known.footprint(frozen=False).raw_mib(8, 64) == pytest.approx(
        measured.raw_mib(8, 64), rel=tolerance
    )


def test_a_frozen_member_takes_no_more_than_one_that_trains() -> None:
    for networks in measured_networks().values():
        frozen, trained = (networks[0].footprint(frozen=frozen).raw_mib(8, 64) for frozen in (True, False))
        assert frozen <= trained
