"""Members of independent labels: the digits by what their numbers have, such as being even."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from tune_paddy.core.config import MemberConfig
from tune_paddy.core.metrics import error_rate, log_loss
from tune_paddy.core.predictions import check
from tune_paddy.core.tasks.task import Task
from tune_paddy.data.member_data import Part, Parts
from tune_paddy.training.batches.mixing import Mix, mix_batch
from tune_paddy.training.folds import train_folds
from tune_paddy.training.inference import InferenceSettings, TrainedMember
from tune_paddy.training.member import train_member
from tune_paddy.training.objective import objective_of
from tune_paddy.training.results import EpochReport
from tune_paddy.training.runtime import Runtime
from tune_paddy.training.scores import member_scores

TASK = Task.of("multilabel")
CLASSES = ("even", "prime", "round")
OF_DIGIT = np.array([[d % 2 == 0, d in (2, 3, 5, 7), d in (0, 6, 8, 9)] for d in range(10)]).astype(np.int64)

Make = Callable[..., MemberConfig]


@pytest.fixture
def labelled(parts: Parts) -> Parts:
    """The digits with three labels each; 1 has none of them."""

    def part(images: Part) -> Part:
        return replace(images, labels=OF_DIGIT[images.labels])

    return replace(parts, classes=CLASSES, task=TASK, train=part(parts.train), select=part(parts.select))


class StoppedError(Exception):
    """Simulates the end of a process."""


def stop(report: EpochReport) -> None:
    if report.epoch == 1:
        raise StoppedError


def test_a_resumed_member_equals_an_uninterrupted_one(
    labelled: Parts, make_config: Make, tmp_path: Path
) -> None:
    """With mixup and smoothing, in micro-batches; its predictions are valid, and its file says its task."""
    config = make_config(mixup=0.4, label_smoothing=0.1, accum=3)
    whole = train_member(config, labelled, Runtime(tmp_path / "whole"))
    with pytest.raises(StoppedError):
        train_member(config, labelled, Runtime(tmp_path / "cut"), report=stop)
    resumed = train_member(config, labelled, Runtime(tmp_path / "cut"))
    assert check(whole.predictions) is None
    for view, probs in whole.predictions.select.items():
        np.testing.assert_array_equal(resumed.predictions.select[view], probs)
        assert whole.metrics[f"{view}/log_loss"] == log_loss(probs, labelled.select.labels)
        assert whole.metrics[f"{view}/error_rate"] == error_rate(probs, labelled.select.labels)
    saved = TrainedMember([tmp_path / "whole"], batch_size=8, settings=InferenceSettings("cpu", 1))
    served, _ = saved.predict(labelled.test.paths)
    assert saved.task is TASK
    for view, probs in whole.predictions.test.items():
        np.testing.assert_allclose(served[view], probs, atol=1e-5)


def test_folds_predict_every_image_out_of_fold(labelled: Parts, make_config: Make, tmp_path: Path) -> None:
    """Merged predictions have a column per label, and further metrics are scored on them."""
    folds = np.arange(len(labelled.select)) % 2
    config = make_config(epochs=1)
    result = train_folds(config, replace(labelled, folds=folds), Runtime(tmp_path, metrics=("samples_f1",)))
    probs = result.predictions.select["plain"]
    assert check(result.predictions) is None
    assert result.predictions.task is TASK
    expected = member_scores(probs, labelled.select.labels, ("samples_f1",))["one_minus_samples_f1"]
    assert result.metrics["plain/one_minus_samples_f1"] == expected


def test_the_loss_is_torchs_with_smoothed_targets() -> None:
    """The mean over the labels of each image; 0.1 of smoothing makes 0.95 and 0.05 of 1 and 0."""
    logits, labels = torch.randn(6, 3), torch.randint(0, 2, (6, 3))
    own = objective_of(TASK).loss(logits, labels, 0.1)
    expected = F.binary_cross_entropy_with_logits(logits, labels * 0.9 + 0.05, reduction="none")
    torch.testing.assert_close(own, expected.mean(dim=1).sum())


def test_mixed_images_have_shares_of_both_images_labels() -> None:
    """Shares of several labels need not sum to 1."""
    shares = objective_of(TASK).shares(torch.tensor([[1, 1, 0], [0, 1, 0]]), 3, torch.float32)
    mix = Mix(np.array([1, 0]), np.array([0.75, 0.5]), None)
    _, targets = mix_batch(torch.zeros(2, 3, 4, 4), shares, mix)
    assert targets.tolist() == [[0.75, 1.0, 0.0], [0.5, 1.0, 0.0]]
