"""A search without a space: the command shows what it builds for its time."""

from pathlib import Path

import pytest

from tests.cli.conftest import Call
from tune_paddy.spaces.space import SearchSpace


@pytest.mark.documents("search DATA --minutes 480")
def test_a_dry_run_prints_the_whole_space_that_is_built_for_the_time(
    small_digits: Path, tmp_path: Path, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a network and pretrained weights; what is printed can be saved and used."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    printed = call("search", str(small_digits), "--minutes", "480", "--dry-run", "--gpu", "0", "--seed", "7")
    text = printed[printed.index("# Built by tune-paddy") : printed.index("Each trial:")]
    space = SearchSpace.parse(text, name="mine")
    assert (space.settings.minutes, space.settings.gpu, space.settings.seed) == (480, 0, 7)
    assert not list(tmp_path.glob("mlflow.db*"))
    assert "480 minutes, 7 h" in printed
    assert "have no pretrained weights on this machine" in printed
