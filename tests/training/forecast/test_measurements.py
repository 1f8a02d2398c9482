import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tune_paddy.training.forecast import measurements
from tune_paddy.training.forecast.measurements import ForwardCache, ForwardMemory, Subject

SUBJECT = Subject("resnet50", (224, 192), 10, "fp16")
MEMORY = ForwardMemory(25, 100, (10, 20), (3, 4))


@pytest.fixture
def cache(tmp_path: Path) -> ForwardCache:
    cache = ForwardCache(tmp_path / "footprints")
    cache.put(SUBJECT, MEMORY)
    return cache


def entry(tmp_path: Path) -> Path:
    (path,) = (tmp_path / "footprints").iterdir()
    return path


def test_an_entry_round_trips(cache: ForwardCache) -> None:
    assert cache.get(SUBJECT) == MEMORY


@pytest.mark.parametrize(
    "other",
    [
        replace(SUBJECT, arch="resnet34"),
        replace(SUBJECT, size=(192, 224)),
        replace(SUBJECT, n_classes=11),
        replace(SUBJECT, precision="bf16"),
        replace(SUBJECT, channels_last=True),
        replace(SUBJECT, unfused=True),
    ],
    ids=lambda subject: f"{subject.arch} {subject.size} {subject.precision}",
)
def test_another_subject_is_a_cache_miss(cache: ForwardCache, other: Subject) -> None:
    assert cache.get(other) is None


@pytest.mark.parametrize("library", ["torch", "timm", "fastai"])
def test_another_version_is_a_cache_miss(
    cache: ForwardCache, library: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = measurements.version
    monkeypatch.setattr(measurements, "version", lambda name: "0.1" if name == library else installed(name))
    assert cache.get(SUBJECT) is None


def test_another_format_is_a_cache_miss(cache: ForwardCache, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measurements, "FORMAT", measurements.FORMAT + 1)
    assert cache.get(SUBJECT) is None


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", '{"key": 1}', "\x00\x01"],
    ids=["empty", "cut", "list", "null", "other", "noise"],
)
def test_a_damaged_entry_counts_as_missing(cache: ForwardCache, tmp_path: Path, text: str) -> None:
    entry(tmp_path).write_text(text, "utf-8")
    assert cache.get(SUBJECT) is None


@pytest.mark.parametrize("value", [{"parameters": "many"}, {"saved": [1]}, {}], ids=str)
def test_an_entry_of_the_wrong_shape_counts_as_missing(
    cache: ForwardCache, tmp_path: Path, value: dict[str, object]
) -> None:
    path = entry(tmp_path)
    whole = json.loads(path.read_text("utf-8"))
    whole["value"] = {**whole["value"], **value} if value else value
    path.write_text(json.dumps(whole), "utf-8")
    assert cache.get(SUBJECT) is None


def test_an_entry_is_replaced(cache: ForwardCache, tmp_path: Path) -> None:
    newer = replace(MEMORY, parameters=26)
    cache.put(SUBJECT, newer)
    assert cache.get(SUBJECT) == newer
    assert len(list((tmp_path / "footprints").iterdir())) == 1


def test_a_folder_that_cannot_be_written_is_ignored(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("in the way", "utf-8")
    cache = ForwardCache(blocked)
    cache.put(SUBJECT, MEMORY)
    assert cache.get(SUBJECT) is None


def test_a_cached_forecast_needs_no_torch() -> None:
    """A plan whose members are all cached starts at once."""
    code = (
        "import sys, tune_paddy.training.forecast.footprint\n"
        "assert not {'torch', 'timm', 'fastai'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=600)
