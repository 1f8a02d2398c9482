from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tune_paddy.core.config import MemberConfig
from tune_paddy.core.errors import TunePaddyError
from tune_paddy.data.member_data import Parts
from tune_paddy.data.storage.storage import Storage
from tune_paddy.training.member import train_member
from tune_paddy.training.results import EpochReport
from tune_paddy.training.runtime import Runtime
from tune_paddy.training.saved.mirror import MemberMirror


class KilledError(Exception):
    """Simulates the death of the process."""


@pytest.fixture
def copy(tmp_path: Path) -> Storage:
    return Storage.at(str(tmp_path / "storage"))


def write(folder: Path, *names: str) -> Path:
    """Write files with their own names as content."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    return folder


def files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def epochs(*numbers: int, fold: str = "") -> list[str]:
    return [f"{fold}checkpoint-{number:05d}.safetensors" for number in numbers]


def test_a_member_that_moves_after_every_epoch_equals_one_that_stays(
    parts: Parts, make_config: Callable[..., MemberConfig], copy: Storage, tmp_path: Path
) -> None:
    config = make_config(epochs=2)
    stayed = train_member(config, parts, Runtime(tmp_path / "one"))

    def die(report: EpochReport) -> None:
        if report.epoch == len(began):
            raise KilledError

    began: list[Path] = []
    for number in range(config.total_epochs):
        began.append(tmp_path / f"node-{number}")
        mirror = MemberMirror(began[-1], copy)
        mirror.pull()
        with pytest.raises(KilledError):
            train_member(config, parts, Runtime(began[-1], saved=mirror.push), report=die)
    MemberMirror(tmp_path / "last", copy).pull()
    moved = train_member(config, parts, Runtime(tmp_path / "last"))
    for view, probs in stayed.predictions.test.items():
        assert np.array_equal(moved.predictions.test[view], probs)
    assert [epoch["train_loss"] for epoch in moved.history] == [
        epoch["train_loss"] for epoch in stayed.history
    ]


def test_a_push_copies_what_a_resume_and_an_export_need_and_removes_what_is_gone(
    copy: Storage, tmp_path: Path
) -> None:
    folder = write(tmp_path / "m", *epochs(1, 2), "stalled.txt", ".checkpoint-00003.safetensors.7.partial")
    mirror = MemberMirror(folder, copy)
    mirror.push()
    assert set(copy.files()) == {*epochs(1, 2)}
    (folder / epochs(1)[0]).unlink()
    write(folder, *epochs(3), "weights.safetensors", "ema.safetensors", "member.json", "fold-1/fold.npz")
    mirror.push()
    weights = {"weights.safetensors", "ema.safetensors", "member.json", "fold-1/fold.npz"}
    assert set(copy.files()) == {*epochs(2, 3)} | weights


def test_files_that_say_that_others_are_complete_are_copied_last(
    copy: Storage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write(tmp_path / "m", "fold-0/fold.npz", "fold-0/member.json", "fold-0/weights.safetensors")
    order: list[str] = []
    upload = Storage.upload

    def upload_noted(storage: Storage, file: Path, name: str) -> None:
        order.append(file.name)
        upload(storage, file, name)

    monkeypatch.setattr(Storage, "upload", upload_noted)
    MemberMirror(folder, copy).push()
    assert order == ["weights.safetensors", "member.json", "fold.npz"]


@pytest.mark.parametrize(
    ("here", "stored", "expected"),
    [
        (epochs(1, 2), epochs(2, 3), epochs(2, 3)),
        (epochs(2, 3), epochs(1, 2), epochs(2, 3)),
        ([], epochs(1), epochs(1)),
        (epochs(1), [], epochs(1)),
        (epochs(9, fold="fold-0/"), ["fold-0/fold.npz"], ["fold-0/fold.npz"]),
        (["fold-0/fold.npz"], epochs(9, fold="fold-0/"), ["fold-0/fold.npz"]),
        (["fold-0/fold.npz"], epochs(1, fold="fold-1/"), epochs(1, fold="fold-1/")),
    ],
)
def test_the_state_that_is_further_replaces_the_other(
    here: list[str], stored: list[str], expected: list[str], copy: Storage, tmp_path: Path
) -> None:
    folder = write(tmp_path / "m", *here)
    write(tmp_path / "storage", *stored)
    MemberMirror(folder, copy).pull()
    assert files(folder) == set(copy.files()) == set(expected)


def test_a_copy_of_this_folder_is_not_pushed_again(
    copy: Storage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "storage", *epochs(1))
    mirror = MemberMirror(tmp_path / "m", copy)
    mirror.pull()

    def fail(*_: object) -> None:
        raise TunePaddyError("pushed")

    monkeypatch.setattr(Storage, "upload", fail)
    mirror.push()
