"""Searches of earlier versions, which accepted several GPUs for a trial."""

from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from tests.conftest import SPACE, Finished
from tune_paddy.core.config import MemberConfig
from tune_paddy.search.refit import RefitMember, refit_plan
from tune_paddy.search.resuming import recorded_space
from tune_paddy.search.resuming.plan import resumed_plan
from tune_paddy.spaces.space import SearchSpace, SpaceError
from tune_paddy.tracking.context.reproduction import member_space
from tune_paddy.tracking.runs import RecordedRun, get_search
from tune_paddy.tracking.schema import SearchRecord

TWO_GPUS = SPACE.replace("{trials: 4,", "{gpu: 2, trials: 4,")


@pytest.fixture
def earlier(finished: Finished, monkeypatch: pytest.MonkeyPatch) -> RecordedRun:
    """The shared search as if it had been recorded with two GPUs a trial."""
    search = get_search(finished.store, "first")
    settings = {**(SearchRecord.from_run(search).settings or {}), "gpu": 2.0}
    tags = {**search.tags, **SearchRecord.tags_of(settings=settings)}
    monkeypatch.setattr(recorded_space, "read_file", lambda *arguments, **options: TWO_GPUS.encode())
    return replace(search, tags=tags, params={**search.params, "gpu": "2.0"})


def test_they_are_resumed_and_refitted_with_one_gpu(
    earlier: RecordedRun, finished: Finished, tmp_path: Path
) -> None:
    resumed = resumed_plan(earlier, finished.store, settings={})
    assert resumed.settings == finished.plan.settings.override({"gpu": 1.0})
    assert resumed.space.fingerprint == finished.plan.space.fingerprint
    members = (RefitMember("again", MemberConfig(arch="test_resnet"), "run"),)
    assert refit_plan(earlier, finished.plan.dataset, members, runs=tmp_path).settings.gpu == 1


def test_their_members_are_repeated_with_one_gpu(earlier: RecordedRun) -> None:
    text = member_space("net", {"arch": "test_resnet"}, earlier.params)
    assert yaml.safe_load(text)["search"]["gpu"] == 1
    SearchSpace.parse(text, name="member")


def test_a_file_with_two_gpus_is_refused() -> None:
    with pytest.raises(SpaceError, match=r"search.gpu: 2 should be"):
        SearchSpace.parse(TWO_GPUS, name="file")
