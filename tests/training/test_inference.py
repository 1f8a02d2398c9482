"""A saved member predicts the test set as it did after its training."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.training.test_folds import with_folds
from tune_paddy.core.config import MemberConfig
from tune_paddy.core.errors import InputError
from tune_paddy.core.views import KINDS
from tune_paddy.data.member_data import Parts
from tune_paddy.training import inference
from tune_paddy.training.folds import train_folds
from tune_paddy.training.inference import InferenceSettings, TrainedMember
from tune_paddy.training.member import train_member
from tune_paddy.training.results import MemberResult
from tune_paddy.training.runtime import Runtime

CPU = InferenceSettings("cpu", threads=1)


@pytest.fixture(scope="module")
def trained(
    parts: Parts, make_config: Callable[..., MemberConfig], tmp_path_factory: pytest.TempPathFactory
) -> tuple[MemberResult, list[Path]]:
    """A member of two folds with every kind of view, and the folders of its models."""
    folder = tmp_path_factory.mktemp("trained")
    views = {
        "tta": 2,
        "flip": "dihedral",
        "flip_view": True,
        "large_view": 1.25,
        "zoom_view": 0.8,
        "ema": 0.9,
    }
    config = make_config(arch="test_resnet", schedule="one_cycle", epochs=1, **views)
    result = train_folds(config, with_folds(parts), Runtime(folder, allow_gpu=False))
    return result, [folder / "fold-0", folder / "fold-1"]


@pytest.mark.parametrize("batch_size", [3, 64])
def test_the_prediction_is_the_mean_of_all_folds_models_for_any_batch_size(
    parts: Parts, trained: tuple[MemberResult, list[Path]], batch_size: int
) -> None:
    result, folders = trained
    member = TrainedMember(folders, batch_size=batch_size, settings=CPU)
    views, broken = member.predict(parts.test.paths)
    assert not broken
    assert tuple(views) == KINDS
    for view, probs in views.items():
        np.testing.assert_allclose(probs, result.predictions.test[view], atol=1e-5)


def test_unreadable_files_are_recorded_and_do_not_affect_others(
    parts: Parts, trained: tuple[MemberResult, list[Path]], tmp_path: Path
) -> None:
    result, folders = trained
    (tmp_path / "text.png").write_text("no image")
    paths = [parts.test.paths[0], str(tmp_path / "text.png"), parts.test.paths[1], "/no/such.png"]
    counts: list[int] = []
    member = TrainedMember(folders, batch_size=4, settings=CPU)
    views, broken = member.predict(paths, kinds=("plain",), broken={3: "known"}, progress=counts.append)
    assert broken == {1: "is not an image of a known format", 3: "known"}
    assert views.keys() == {"plain"}
    np.testing.assert_allclose(views["plain"][[0, 2]], result.predictions.test["plain"][:2], atol=1e-5)
    assert counts == [3, 2]  # the second model opens neither


def test_a_batch_that_does_not_fit_in_memory_is_halved(
    parts: Parts, trained: tuple[MemberResult, list[Path]], monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = trained[1]
    tried: list[int] = []
    predict = inference.predict

    def short_of_memory(*args: object, batch_size: int, **more: object) -> object:
        tried.append(batch_size)
        if batch_size > 5:
            raise torch.OutOfMemoryError
        return predict(*args, batch_size=batch_size, **more)

    monkeypatch.setattr(inference, "predict", short_of_memory)
    member = TrainedMember(folders[:1], batch_size=16, settings=CPU)
    member.predict(parts.test.paths, kinds=("plain",))
    assert tried == [16, 8, 4]
    member.predict(parts.test.paths, kinds=("plain",))
    assert tried[3:] == [4]


@pytest.mark.parametrize("name", ["tpu", "cuda:99", "cuda:x", "cpu:1", ""])
def test_an_unknown_device_is_refused(name: str, trained: tuple[MemberResult, list[Path]]) -> None:
    message = f"device '{name}': this machine has no such device; use auto, or one of cpu"
    with pytest.raises(InputError, match=message):
        TrainedMember(trained[1], batch_size=4, settings=InferenceSettings(name))


def test_a_member_of_binary_losses_is_served_with_the_probabilities_that_selection_saw(
    parts: Parts, make_config: Callable[..., MemberConfig], tmp_path: Path
) -> None:
    """Its training had operations and erasing; its test-time augmentation has none."""
    strong = {"trivialaugment": True, "erasing": 1.0, "loss": "bce"}
    result = train_member(make_config(epochs=1, **strong), parts, Runtime(tmp_path, allow_gpu=False))
    views, _ = TrainedMember([tmp_path], batch_size=7, settings=CPU).predict(parts.test.paths)
    for view, probs in views.items():
        np.testing.assert_allclose(probs, result.predictions.test[view], atol=1e-5)
        np.testing.assert_allclose(probs.sum(axis=1), 1, atol=1e-5)
