"""A member trained once per fold: out-of-fold predictions of every image, resumed fold by fold."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from tune_paddy.core.config import MemberConfig
from tune_paddy.core.metrics import error_rate, log_loss
from tune_paddy.data.member_data import Part, Parts
from tune_paddy.training import folds
from tune_paddy.training.batches.loaders import subsample_rows
from tune_paddy.training.folds import RESULT, train_folds
from tune_paddy.training.member import train_member
from tune_paddy.training.results import EpochReport, MemberResult
from tune_paddy.training.runtime import Runtime


class KilledError(Exception):
    """Simulates the death of the process."""


@dataclass(frozen=True)
class Folded:
    """An uninterrupted member of two folds, its data and its folder."""

    config: MemberConfig
    parts: Parts
    folder: Path
    result: MemberResult
    epochs: list[int]


@pytest.fixture(scope="module")
def folded(
    parts: Parts, make_config: Callable[..., MemberConfig], tmp_path_factory: pytest.TempPathFactory
) -> Folded:
    config = make_config(arch="test_resnet", schedule="one_cycle", epochs=2, tta=1, subsample=0.8)
    dealt = with_folds(parts)
    folder = tmp_path_factory.mktemp("folded")
    epochs: list[int] = []
    result = train_folds(config, dealt, Runtime(folder), report=lambda done: epochs.append(done.epoch))
    return Folded(config, dealt, folder, result, epochs)


def with_folds(parts: Parts) -> Parts:
    """Return all labelled images in two interleaved folds."""
    every = Part(
        np.concatenate([parts.train.ids, parts.select.ids]),
        (*parts.train.paths, *parts.select.paths),
        np.concatenate([parts.train.labels, parts.select.labels]),
    )
    folds = np.random.default_rng(0).permutation(np.arange(len(every)) % 2)
    return replace(parts, train=every.take(folds < 0), select=every, folds=folds)


@dataclass(frozen=True)
class Alone:
    """A plain member trained on the images of one fold's model, and its folder."""

    result: MemberResult
    folder: Path


@pytest.fixture(scope="module")
def alone(folded: Folded, tmp_path_factory: pytest.TempPathFactory) -> list[Alone]:
    """A plain member for each fold."""
    folders = [tmp_path_factory.mktemp(f"alone-{fold}") for fold in (0, 1)]
    return [
        Alone(train_member(folded.config, folded.parts.fold(fold), Runtime(folder)), folder)
        for fold, folder in enumerate(folders)
    ]


@pytest.mark.parametrize("fold", [0, 1])
def test_a_fold_is_predicted_as_by_a_plain_member_trained_on_the_others(
    folded: Folded, alone: list[Alone], fold: int
) -> None:
    parts = folded.parts.fold(fold)
    assert not set(parts.train.ids) & set(parts.select.ids)
    rows = folded.parts.folds == fold
    assert set(folded.result.predictions.select) == {"plain", "tta"}
    for view, probs in alone[fold].result.predictions.select.items():
        assert np.array_equal(folded.result.predictions.select[view][rows], probs)
    weights = folded.folder / f"fold-{fold}" / "weights.safetensors"
    assert weights.read_bytes() == (alone[fold].folder / "weights.safetensors").read_bytes()


def test_the_test_set_is_predicted_by_the_mean_of_the_models(folded: Folded, alone: list[Alone]) -> None:
    models = [plain.result.predictions for plain in alone]
    for view, probs in folded.result.predictions.test.items():
        assert probs == pytest.approx((models[0].test[view] + models[1].test[view]) / 2, abs=1e-6)
    by_fold = folded.result.predictions.by_fold
    assert by_fold is not None
    assert by_fold.test == pytest.approx(np.stack([model.test["tta"] for model in models]), abs=1e-3)


def test_a_model_says_what_it_predicts_for_its_training_images_and_which_these_are(
    folded: Folded, tmp_path: Path
) -> None:
    by_fold = folded.result.predictions.by_fold
    assert by_fold is not None
    for fold in (0, 1):
        inside = folded.parts.folds == fold
        parts = folded.parts.fold(fold)
        swapped = replace(parts, test=replace(parts.train, labels=parts.train.labels[:0]))
        model = train_member(folded.config, swapped, Runtime(tmp_path / str(fold))).predictions
        assert by_fold.select[fold, ~inside] == pytest.approx(model.test["plain"], abs=1e-3)
        assert by_fold.select[fold, inside] == pytest.approx(model.select["plain"], abs=1e-3)
        rows = subsample_rows(parts.train.labels, folded.config)
        assert np.array_equal(np.flatnonzero(by_fold.trained[fold]), np.flatnonzero(~inside)[rows])


def test_scores_are_of_the_merged_predictions_and_costs_of_all_models(folded: Folded) -> None:
    predictions, metrics = folded.result.predictions, folded.result.metrics
    assert predictions.select_ids.tolist() == folded.parts.select.ids.tolist()
    assert metrics["tta/log_loss"] == log_loss(predictions.select["tta"], predictions.select_labels)
    assert metrics["plain/error_rate"] == error_rate(predictions.select["plain"], predictions.select_labels)
    assert metrics["train_images"] == pytest.approx(0.8 * len(predictions.select_ids) / 2)
    history = folded.result.history
    seconds = sum(epoch["train_seconds"] + epoch["eval_seconds"] for epoch in history)
    assert metrics["train_seconds_total"] == pytest.approx(seconds)


def test_the_time_of_a_fold_has_the_images_that_its_model_predicts_for_students(
    parts: Parts, make_config: Callable[..., MemberConfig], tmp_path: Path
) -> None:
    """What an image takes is measured without them: they are predicted in one view alone."""
    ticks = iter(range(1000))
    runtime = Runtime(tmp_path, clock=lambda: float(next(ticks)))
    fold = with_folds(parts).fold(0)
    metrics = train_member(make_config(schedule="one_cycle", epochs=1), fold, runtime).metrics
    assert metrics["predict_seconds"] == 2
    assert metrics["predict_ms_per_image"] == pytest.approx(1000 / (len(fold.select) + len(fold.test)))


def test_epochs_are_counted_over_all_folds(folded: Folded) -> None:
    assert folded.epochs == [1, 2, 3, 4]
    assert len(folded.result.history) == 4


def test_a_member_killed_in_its_second_fold_resumes_there_and_ends_alike(
    folded: Folded, tmp_path: Path
) -> None:
    def kill(done: EpochReport) -> None:
        if done.epoch == 3:
            raise KilledError

    with pytest.raises(KilledError):
        train_folds(folded.config, folded.parts, Runtime(tmp_path), report=kill)
    epochs: list[int] = []
    resumed: list[int] = []
    runtime = Runtime(tmp_path, resumes=lambda last: resumed.append(last.epoch))
    again = train_folds(folded.config, folded.parts, runtime, report=lambda done: epochs.append(done.epoch))
    assert (resumed, epochs) == ([3], [4])
    for part in ("select", "test"):
        for view, probs in getattr(folded.result.predictions, part).items():
            assert np.array_equal(getattr(again.predictions, part)[view], probs)
    scores = {name for name in folded.result.metrics if "/" in name}
    assert {name: again.metrics[name] for name in scores} == {
        name: folded.result.metrics[name] for name in scores
    }


def test_a_fold_killed_before_its_result_is_saved_repeats_no_epoch(
    folded: Folded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_: object) -> None:
        raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr(folds, "_save", die)
        with pytest.raises(KilledError):
            train_folds(folded.config, folded.parts, Runtime(tmp_path), report=lambda done: None)
    epochs: list[int] = []
    train_folds(folded.config, folded.parts, Runtime(tmp_path), report=lambda done: epochs.append(done.epoch))
    assert epochs == [3, 4]
    assert not list(tmp_path.rglob("checkpoint-*"))


def test_a_saved_fold_is_used_only_for_the_same_member_and_if_complete(
    folded: Folded, tmp_path: Path
) -> None:
    runtime = Runtime(tmp_path)
    for fold in (0, 1):
        (tmp_path / f"fold-{fold}").mkdir()
        kept = (folded.folder / f"fold-{fold}" / RESULT).read_bytes()
        (tmp_path / f"fold-{fold}" / RESULT).write_bytes(kept[: len(kept) // (1 + fold)])
    epochs: list[int] = []
    train_folds(folded.config, folded.parts, runtime, report=lambda done: epochs.append(done.epoch))
    assert epochs == [3, 4]
    other = folded.config.model_copy(update={"seed": 7})
    epochs.clear()
    train_folds(other, folded.parts, runtime, report=lambda done: epochs.append(done.epoch))
    assert epochs == [1, 2, 3, 4]
