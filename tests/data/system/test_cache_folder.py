from pathlib import Path

import pytest

from tune_paddy.data.system.files import cache_folder


def test_the_folder_is_the_users_unless_the_environment_names_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TUNE_PADDY_CACHE", raising=False)
    assert cache_folder("footprints") == Path.home() / ".cache" / "tune-paddy" / "footprints"
    monkeypatch.setenv("TUNE_PADDY_CACHE", "/elsewhere")
    assert cache_folder("footprints") == Path("/elsewhere/footprints")
