"""Forecasts of a running search by the operations of its networks."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.conftest import SPACE, make_plan
from tests.spaces.building.facts import cpus, facts
from tune_paddy.core.config import MemberConfig
from tune_paddy.core.timing.workload import workload
from tune_paddy.data.member_data import make_parts
from tune_paddy.search.plan import new_split
from tune_paddy.search.timing.by_operations import member_paces
from tune_paddy.spaces.building.estimates import RECORDING, Estimates

ARCH = "test_resnet.r160_in1k"


@pytest.mark.parametrize("cache_limit", [None, 0.0])
@pytest.mark.parametrize("config", [MemberConfig(arch=ARCH), MemberConfig(arch=ARCH, schedule="frozen")])
def test_a_running_search_forecasts_a_member_as_its_space_was_built(
    small_digits: Path, tmp_path: Path, cache_limit: float | None, config: MemberConfig
) -> None:
    """Without a cache, with the time to read the files."""
    plan, machine, decode = make_plan("one", small_digits, tmp_path, SPACE), cpus(), 0.05
    settings = plan.settings.override({"cache_limit": cache_limit, "cpus": 2})
    plan = replace(plan, settings=settings, timed=machine.timed, decode=decode)
    split = new_split(plan)
    select, test = len(split.select_ids), len(plan.dataset.test)
    load = workload(settings, len(plan.dataset.labelled), select=select, test=test, decode=decode)
    built = Estimates(replace(facts(machine), load=load)).of(**dict(config))
    paces = member_paces(plan, make_parts(plan.dataset, split), limited=True)
    assert built is not None
    assert paces.seconds(config) == pytest.approx(built.seconds - RECORDING)
