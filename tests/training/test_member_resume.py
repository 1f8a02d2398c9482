"""A killed and resumed member equals an uninterrupted one, bit by bit, on the CPU."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from shutil import copytree

import numpy as np
import pytest
import torch

from tune_paddy.core.config import MemberConfig
from tune_paddy.data.member_data import Parts
from tune_paddy.training.accumulation import MemberLearner
from tune_paddy.training.member import train_member
from tune_paddy.training.results import EpochReport, MemberResult
from tune_paddy.training.runtime import Runtime

SCHEDULES: dict[str, dict[str, object]] = {
    "fine_tune": {
        "schedule": "fine_tune",
        "epochs": 2,
        "freeze_epochs": 2,
        "drop_path": 0.2,
        "class_weights": "effective",
    },
    "one_cycle": {
        "schedule": "one_cycle",
        "epochs": 3,
        "arch": "test_resnet",
        "optimizer": "sgd",
        "lr": 0.05,
        "mixup": 0.4,
        "drop_path": 0.1,
        "trivialaugment": True,
        "erasing": 0.5,
        "calm_epochs": 1,
        "loss": "focal",
        "sampler": "balanced",
    },
}


Killed = Callable[[int, Path], None]


class KilledError(Exception):
    """Simulates the death of the process."""


@dataclass(frozen=True)
class Uninterrupted:
    """Result of an uninterrupted member."""

    config: MemberConfig
    result: MemberResult
    weights: bytes
    on_disk: tuple[list[str], ...] = ()  # names of the files after each epoch


@pytest.fixture(scope="module", params=SCHEDULES)
def uninterrupted(
    request: pytest.FixtureRequest,
    parts: Parts,
    make_config: Callable[..., MemberConfig],
    tmp_path_factory: pytest.TempPathFactory,
) -> Uninterrupted:
    config = make_config(**SCHEDULES[request.param])
    folder = tmp_path_factory.mktemp("uninterrupted")
    seen: list[list[str]] = []

    def report(_report: EpochReport) -> None:
        seen.append(sorted(path.name for path in folder.iterdir()))

    result = train_member(config, parts, Runtime(folder), report=report)
    return Uninterrupted(config, result, (folder / "weights.safetensors").read_bytes(), tuple(seen))


@pytest.fixture(scope="module")
def killed(uninterrupted: Uninterrupted, parts: Parts, tmp_path_factory: pytest.TempPathFactory) -> Killed:
    """Return a function that fills a folder with what a member leaves that is killed after an epoch."""

    @cache
    def leftovers(epoch: int) -> Path:
        folder = tmp_path_factory.mktemp("killed")
        with pytest.raises(KilledError):
            train_member(uninterrupted.config, parts, Runtime(folder), report=kill_after(epoch))
        return folder

    def fill(epoch: int, folder: Path) -> None:
        copytree(leftovers(epoch), folder, dirs_exist_ok=True)

    return fill


def kill_after(epoch: int) -> Callable[[EpochReport], None]:
    def report(done: EpochReport) -> None:
        if done.epoch == epoch:
            raise KilledError

    return report


def kill_in_step(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """Kill the process before the optimizer's step `number`, counted from 1."""
    step, taken = MemberLearner._step, iter(range(1, 1000))

    def counted(learner: MemberLearner) -> None:
        if next(taken) == number:
            raise KilledError
        step(learner)

    monkeypatch.setattr(MemberLearner, "_step", counted)


def assert_ends_alike(folder: Path, parts: Parts, expected: Uninterrupted) -> None:
    """Resume the member in `folder` with another random state, and compare."""
    torch.manual_seed(999)
    result = train_member(expected.config, parts, Runtime(folder))
    for part in ("select", "test"):
        for view, probs in getattr(expected.result.predictions, part).items():
            assert np.array_equal(getattr(result.predictions, part)[view], probs), (part, view)
    assert (folder / "weights.safetensors").read_bytes() == expected.weights
    scores = ("train_loss", "log_loss", "error_rate", "lr")
    for ours, theirs in zip(result.history, expected.result.history, strict=True):
        assert [ours[name] for name in scores] == [theirs[name] for name in scores]
    assert sorted(path.name for path in folder.iterdir()) == ["member.json", "weights.safetensors"]


@pytest.mark.parametrize("epoch", [1, 2, 3])
def test_killed_after_an_epoch(
    uninterrupted: Uninterrupted, parts: Parts, tmp_path: Path, epoch: int, killed: Killed
) -> None:
    """In a frozen or unfrozen phase, between phases, and (one_cycle) after training before prediction."""
    killed(epoch, tmp_path)
    assert_ends_alike(tmp_path, parts, uninterrupted)


@pytest.mark.parametrize("step", [1, 8])
def test_killed_within_an_epoch(
    uninterrupted: Uninterrupted,
    parts: Parts,
    tmp_path: Path,
    step: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """There are three steps per epoch; the interrupted epoch is trained again."""
    with monkeypatch.context() as patch:
        kill_in_step(patch, step)
        with pytest.raises(KilledError):
            train_member(uninterrupted.config, parts, Runtime(tmp_path))
    assert_ends_alike(tmp_path, parts, uninterrupted)


def test_killed_after_every_epoch(uninterrupted: Uninterrupted, parts: Parts, tmp_path: Path) -> None:
    for epoch in range(1, uninterrupted.config.total_epochs + 1):
        with pytest.raises(KilledError):
            train_member(uninterrupted.config, parts, Runtime(tmp_path), report=kill_after(epoch))
    assert_ends_alike(tmp_path, parts, uninterrupted)


@pytest.mark.parametrize("where", ["save_member", "remove_checkpoints"])
def test_killed_after_training(
    *,
    uninterrupted: Uninterrupted,
    parts: Parts,
    tmp_path: Path,
    where: str,
    monkeypatch: pytest.MonkeyPatch,
    killed: Killed,
) -> None:
    """Before the weights file is written, and after."""

    def kill(*_args: object, **_options: object) -> None:
        raise KilledError

    killed(uninterrupted.config.total_epochs, tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(f"tune_paddy.training.attempt.{where}", kill)
        with pytest.raises(KilledError):
            train_member(uninterrupted.config, parts, Runtime(tmp_path))
    assert_ends_alike(tmp_path, parts, uninterrupted)


def test_a_damaged_newest_checkpoint_costs_one_epoch(
    uninterrupted: Uninterrupted, parts: Parts, tmp_path: Path, killed: Killed
) -> None:
    killed(3, tmp_path)
    older, newest = sorted(tmp_path.iterdir())
    newest.write_bytes(newest.read_bytes()[: newest.stat().st_size // 2])
    epochs: list[int] = []
    with pytest.raises(KilledError):
        train_member(
            uninterrupted.config,
            parts,
            Runtime(tmp_path),
            report=lambda report: (epochs.append(report.epoch), kill_after(3)(report))[0],
        )
    assert (older.name, epochs) == ("checkpoint-00002.safetensors", [3])
    assert_ends_alike(tmp_path, parts, uninterrupted)


def test_at_most_two_checkpoints_are_on_disk(uninterrupted: Uninterrupted) -> None:
    numbers = range(1, uninterrupted.config.total_epochs + 1)
    expected = [[f"checkpoint-{n:05d}.safetensors" for n in (last - 1, last) if n] for last in numbers]
    assert list(uninterrupted.on_disk) == expected


def test_killed_while_its_result_is_recorded(
    uninterrupted: Uninterrupted, parts: Parts, tmp_path: Path, killed: Killed
) -> None:
    """If the caller keeps checkpoints and dies before recording the result, no epoch is repeated."""
    killed(uninterrupted.config.total_epochs, tmp_path)
    keeping = Runtime(tmp_path, keep_checkpoints=True)
    train_member(uninterrupted.config, parts, keeping)
    epochs: list[int] = []
    again = train_member(
        uninterrupted.config, parts, keeping, report=lambda report: epochs.append(report.epoch)
    )
    assert epochs == []
    for view, probs in uninterrupted.result.predictions.test.items():
        np.testing.assert_array_equal(again.predictions.test[view], probs)
