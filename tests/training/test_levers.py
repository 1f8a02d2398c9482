"""Members with averaged parameters, the best epoch's parameters, and every other lever of training."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file

from tune_paddy.core.config import MemberConfig
from tune_paddy.core.errors import InputError
from tune_paddy.data.member_data import Parts
from tune_paddy.training import attempt as attempt_module
from tune_paddy.training.folds import train_folds
from tune_paddy.training.inference import InferenceSettings, TrainedMember
from tune_paddy.training.keeping.best_epoch import CHOSEN_NOTE
from tune_paddy.training.member import train_member
from tune_paddy.training.results import EpochReport, MemberResult
from tune_paddy.training.runtime import Runtime
from tune_paddy.training.saved.weight_files import remove_weights, weights_bytes

Make = Callable[..., MemberConfig]

EVERYTHING = {
    "arch": "test_resnet",
    "epochs": 3,
    "freeze_epochs": 1,
    "optimizer": "lamb",
    "layer_decay": 0.7,
    "clip_grad": 1.0,
    "ema": 0.9,
    "keep": "best",
}


class KilledError(Exception):
    """Simulates the death of the process."""


@dataclass(frozen=True)
class Trained:
    """A member with every lever, and its folder."""

    result: MemberResult
    folder: Path


@pytest.fixture(scope="module")
def trained(parts: Parts, make_config: Make, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    folder = tmp_path_factory.mktemp("levers")
    return Trained(train_member(make_config(**EVERYTHING), parts, Runtime(folder)), folder)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def assert_equal(ours: MemberResult, theirs: MemberResult) -> None:
    for part in ("select", "test"):
        mine, other = getattr(ours.predictions, part), getattr(theirs.predictions, part)
        assert mine.keys() == other.keys()
        for view, probs in other.items():
            assert np.array_equal(mine[view], probs), (part, view)


def test_the_average_is_a_view_of_its_own_with_its_scores_in_every_epoch(trained: Trained) -> None:
    result = trained.result
    assert result.predictions.select.keys() == result.predictions.test.keys() == {"plain", "tta", "ema"}
    assert not np.array_equal(result.predictions.test["ema"], result.predictions.test["plain"])
    assert {"ema/log_loss", "ema/calibrated_log_loss", "ema/error_rate"} <= result.metrics.keys()
    assert all(np.isfinite(epoch["ema/log_loss"]) for epoch in result.history)


def test_the_best_epoch_predicts_and_a_note_says_that_the_select_split_chose_it(trained: Trained) -> None:
    result = trained.result
    losses = [epoch["calibrated_log_loss"] for epoch in result.history]
    best = result.history[losses.index(min(losses))]
    assert len(losses) == 4
    assert result.metrics["plain/calibrated_log_loss"] == min(losses)
    assert result.metrics["ema/log_loss"] == best["ema/log_loss"]
    assert result.metrics["best_epoch"] == 1 + losses.index(min(losses))
    assert CHOSEN_NOTE in result.notes


def test_a_member_killed_after_every_epoch_ends_as_an_uninterrupted_one(
    trained: Trained, parts: Parts, tmp_path: Path
) -> None:
    """Bit by bit: LAMB's steps, the average and the best epoch's checkpoint."""

    def kill(_report: EpochReport) -> None:
        raise KilledError

    config = trained.result.config
    for _ in range(config.total_epochs):
        with pytest.raises(KilledError):
            train_member(config, parts, Runtime(tmp_path), report=kill)
    assert_equal(train_member(config, parts, Runtime(tmp_path)), trained.result)
    assert names(tmp_path) == ["ema.safetensors", "member.json", "weights.safetensors"]
    for name in ("ema.safetensors", "weights.safetensors"):
        assert (tmp_path / name).read_bytes() == (trained.folder / name).read_bytes()


def test_a_saved_member_predicts_its_ema_view_when_asked(trained: Trained, parts: Parts) -> None:
    saved = TrainedMember([trained.folder], batch_size=64, settings=InferenceSettings("cpu", 1))
    views, broken = saved.predict(parts.test.paths, kinds=("plain", "ema"))
    assert (list(views), broken) == (["plain", "ema"], {})
    for view, probs in views.items():
        np.testing.assert_allclose(probs, trained.result.predictions.test[view], atol=1e-5)


def test_a_saved_member_without_averaged_weights_says_so(trained: Trained, tmp_path: Path) -> None:
    for name in ("member.json", "weights.safetensors"):
        (tmp_path / name).symlink_to(trained.folder / name)
    saved = TrainedMember([tmp_path], batch_size=64, settings=InferenceSettings("cpu", 1))
    with pytest.raises(InputError, match="has no averaged parameters"):
        saved.predict(["any"], kinds=("ema",))


def test_averaged_weights_count_and_go_with_the_others(trained: Trained, tmp_path: Path) -> None:
    for name in names(trained.folder):
        (tmp_path / name).write_bytes((trained.folder / name).read_bytes())
    sizes = [(tmp_path / name).stat().st_size for name in ("ema.safetensors", "weights.safetensors")]
    assert weights_bytes(tmp_path) == remove_weights(tmp_path) == sum(sizes)
    assert names(tmp_path) == []


def test_folds_merge_the_ema_view_as_any_other(parts: Parts, make_config: Make, tmp_path: Path) -> None:
    """Out-of-fold predictions in the order of the images, and the mean of the models for the test set."""
    config = make_config(arch="test_resnet", epochs=1, freeze_epochs=0, ema=0.9, keep="best", tta=0)
    folded = replace(parts, folds=np.arange(len(parts.select.ids)) % 2)
    result = train_folds(config, folded, Runtime(tmp_path))
    assert result.predictions.test.keys() == {"plain", "ema"}
    assert result.notes == (CHOSEN_NOTE,)
    alone = train_member(config, folded.fold(0), Runtime(tmp_path / "alone"))
    np.testing.assert_array_equal(result.predictions.select["ema"][::2], alone.predictions.select["ema"])


SCRIPT = (9.0, 1.0, 2.0, 3.0, 0.5, 0.1)
"""Losses of six epochs: the second one is the best until the fifth."""


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Members whose epochs have the calibrated losses of the script, whatever the machine."""
    scores = attempt_module.Attempt._scores

    def read(attempt: attempt_module.Attempt, probs: np.ndarray) -> dict[str, float]:
        epoch = min(len(attempt.history), len(SCRIPT) - 1)
        return scores(attempt, probs) | {"calibrated_log_loss": SCRIPT[epoch]}

    monkeypatch.setattr(attempt_module.Attempt, "_scores", read)


def record(folder: Path, epochs: list[int], stop: int | None = None) -> Callable[[EpochReport], None]:
    """Return a report that notes epochs, the fourth of which ends the training, and dies after `stop`."""

    def report(done: EpochReport) -> None:
        epochs.append(done.epoch)
        assert done.ends_early == (done.epoch == 4)
        if done.epoch == 2:
            for path in folder.glob("checkpoint-00002.*"):
                (folder.parent / "second").write_bytes(path.read_bytes())
        if done.epoch == stop:
            raise KilledError

    return report


@pytest.mark.usefixtures("scripted")
def test_a_training_ends_early_and_keeps_its_best_epoch_also_when_resumed(
    parts: Parts, make_config: Make, tmp_path: Path
) -> None:
    """With patience 2 the fourth of six epochs is the last; killed after the third or the last, too."""
    config = make_config(schedule="one_cycle", epochs=6, keep="best", patience=2, tta=0)
    epochs: list[int] = []
    folder = tmp_path / "member"
    whole = train_member(config, parts, Runtime(folder), report=record(folder, epochs))
    assert epochs == [1, 2, 3, 4]
    assert len(whole.history) == 4
    second = load_file(tmp_path / "second")
    for name, weight in load_file(folder / "weights.safetensors").items():
        assert (second[f"model/{name}"] == weight).all(), name
    killed: list[int] = []
    resumed = tmp_path / "resumed"
    for stop in (3, 4):
        with pytest.raises(KilledError):
            train_member(config, parts, Runtime(resumed), report=record(resumed, killed, stop))
    assert_equal(train_member(config, parts, Runtime(resumed), report=record(resumed, killed)), whole)
    assert killed == [1, 2, 3, 4]
    assert names(resumed) == ["member.json", "weights.safetensors"]


@pytest.mark.usefixtures("scripted")
def test_a_refit_trains_to_its_last_epoch(parts: Parts, make_config: Make, tmp_path: Path) -> None:
    """It trains on the select split, which can thus choose no epoch."""
    config = make_config(schedule="one_cycle", epochs=4, keep="best", patience=1, tta=0)
    refit = train_member(config, replace(parts, seen=True), Runtime(tmp_path / "refit"))
    last = train_member(
        config.model_copy(update={"keep": "last", "patience": 0}), parts, Runtime(tmp_path / "last")
    )
    assert_equal(refit, last)
    assert (len(refit.history), refit.notes) == (4, ())
    assert "best_epoch" not in refit.metrics


@pytest.mark.usefixtures("scripted")
def test_a_damaged_checkpoint_of_the_best_epoch_leaves_the_last_one_with_a_note(
    parts: Parts, make_config: Make, tmp_path: Path
) -> None:
    config = make_config(schedule="one_cycle", epochs=4, keep="best", tta=0)

    def damage(done: EpochReport) -> None:
        if done.epoch == 4:
            (tmp_path / "checkpoint-00002.safetensors").write_bytes(b"half")

    result = train_member(config, parts, Runtime(tmp_path), report=damage)
    assert result.notes == ("the checkpoint of the best epoch, 2, is damaged: the last epoch predicts",)
    assert result.metrics["best_epoch"] == 4
    assert names(tmp_path) == ["member.json", "weights.safetensors"]


def test_patience_needs_the_best_epoch(make_config: Make) -> None:
    with pytest.raises(ValueError, match="patience 3 needs keep: best"):
        make_config(patience=3)
