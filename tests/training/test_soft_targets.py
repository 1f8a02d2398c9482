"""Members that train on shares of the classes instead of labels."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tune_paddy.core.config import MemberConfig
from tune_paddy.core.tasks.task import Task
from tune_paddy.core.teaching.targets import shares_of
from tune_paddy.data.member_data import Part, Parts
from tune_paddy.training.accumulation import MemberLearner
from tune_paddy.training.batches.loaders import TrainLoader
from tune_paddy.training.devices import pick_device
from tune_paddy.training.member import train_member
from tune_paddy.training.objective import objective_of
from tune_paddy.training.runtime import Runtime

Make = Callable[..., MemberConfig]


def with_shares(parts: Parts) -> Parts:
    """Return the data whose training images have their labels as shares."""
    return replace(
        parts, train=replace(parts.train, targets=shares_of(parts.train.labels, len(parts.classes)))
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"label_smoothing": 0.1, "class_weights": "balanced"},
        {"cutmix": 1.0, "loss": "bce", "sampler": "balanced"},
    ],
    ids=["smoothed", "mixed"],
)
def test_a_member_of_one_hot_targets_equals_one_of_labels(
    parts: Parts, make_config: Make, tmp_path: Path, changes: dict[str, object]
) -> None:
    """Within rounding: torch sums the terms of shares in another order than that of an index."""
    config = make_config(epochs=1, tta=0, arch="test_vit", **changes)
    hard = train_member(config, parts, Runtime(tmp_path / "hard"))
    soft = train_member(config, with_shares(parts), Runtime(tmp_path / "soft"))
    for name, probs in hard.predictions.test.items():
        np.testing.assert_allclose(soft.predictions.test[name], probs, atol=1e-4)
    assert soft.metrics["train_images"] == hard.metrics["train_images"]


@pytest.mark.parametrize("loss", ["cross_entropy", "bce", "focal"])
def test_one_hot_targets_have_the_loss_and_the_gradient_of_labels(loss: str) -> None:
    logits = torch.randn(16, 5, generator=torch.Generator().manual_seed(0)).requires_grad_()
    labels = torch.arange(16) % 5
    objective = objective_of(Task.of("classes"), loss, torch.linspace(0.5, 2, 5))
    found = []
    for targets in (labels, torch.from_numpy(shares_of(labels.numpy(), 5))):
        value = objective.loss(logits, targets, 0.1)
        found.append((value, torch.autograd.grad(value, logits)[0]))
    torch.testing.assert_close(found[0], found[1], rtol=1e-5, atol=1e-6)


def test_batches_hold_the_targets_of_their_images_and_mix_them(
    parts: Parts, make_config: Make, reader: object
) -> None:
    """Rows of the balanced sampler follow the labels, and each has the target of its own image."""
    n, config = len(parts.train), make_config(sampler="balanced", mixup=1.0)
    targets = np.random.default_rng(0).dirichlet(np.ones(10), n).astype(np.float32)
    hard = TrainLoader(reader, parts.train.labels, config)  # type: ignore[arg-type]
    soft = TrainLoader(reader, parts.train.labels, config, targets)  # type: ignore[arg-type]
    numbered = TrainLoader(reader, parts.train.labels, config, np.arange(n, dtype=np.float32)[:, None])  # type: ignore[arg-type]
    learner = MemberLearner(
        soft, torch.nn.Flatten(), config, n_classes=10, device=pick_device("fp32", allow_gpu=False)
    )
    for one, other, rows in zip(hard, soft, numbered, strict=True):
        numbers = rows.labels[:, 0].long()
        torch.testing.assert_close(one.images, other.images, rtol=0, atol=0)
        np.testing.assert_array_equal(parts.train.labels[numbers], one.labels)
        torch.testing.assert_close(other.labels, torch.from_numpy(targets[numbers]), rtol=0, atol=0)
        _, mixed = learner._prepare(other)
        assert other.mix is not None
        weight = torch.from_numpy(other.mix.weight).float()[:, None]
        expected = other.labels * weight + other.labels[other.mix.partner] * (1 - weight)
        torch.testing.assert_close(mixed, expected, rtol=0, atol=1e-6)


def test_targets_replace_the_labels(parts: Parts, make_config: Make, tmp_path: Path) -> None:
    """Wrong labels beside right targets train the member of the right labels."""
    config = make_config(epochs=1, tta=0, subsample=1.0)
    right = train_member(config, parts, Runtime(tmp_path / "right"))
    soft = with_shares(parts)
    wrong = replace(soft, train=replace(soft.train, labels=(soft.train.labels + 1) % 10))
    taught = train_member(config, wrong, Runtime(tmp_path / "taught"))
    np.testing.assert_allclose(
        taught.predictions.select["plain"], right.predictions.select["plain"], atol=1e-4
    )


def test_pseudo_labelled_images_are_trained_on_and_never_judge(
    parts: Parts, make_config: Make, tmp_path: Path
) -> None:
    targets = np.random.default_rng(0).dirichlet(np.ones(10), len(parts.test)).astype(np.float32)
    taught = parts.with_pseudo_labels(targets)
    config = make_config(epochs=1, tta=0, subsample=1.0, class_weights="balanced", loss="focal")
    member = train_member(config, taught, Runtime(tmp_path))
    assert member.metrics["train_images"] == len(parts.train) + len(parts.test)
    assert member.predictions.select_ids.tolist() == parts.select.ids.tolist()
    assert isinstance(taught.test, Part)
    assert not len(taught.test.labels)


@pytest.mark.parametrize(
    "changes", [{"label_smoothing": 0.1}, {"flip": "horizontal"}], ids=["smoothed", "flips"]
)
def test_a_frozen_member_of_one_hot_targets_equals_one_of_labels(
    parts: Parts, make_config: Make, tmp_path: Path, changes: dict[str, object]
) -> None:
    config = make_config(schedule="frozen", **changes)
    hard = train_member(config, parts, Runtime(tmp_path / "hard"))
    soft = train_member(config, with_shares(parts), Runtime(tmp_path / "soft"))
    for name, probs in hard.predictions.select.items():
        np.testing.assert_allclose(soft.predictions.select[name], probs, atol=1e-3)
    flat = replace(
        parts, train=replace(parts.train, targets=np.full((len(parts.train), 10), 0.1, np.float32))
    )
    taught = train_member(config, flat, Runtime(tmp_path / "flat"))
    np.testing.assert_allclose(taught.predictions.select["plain"], 0.1, atol=1e-3)


def test_a_frozen_model_of_a_fold_predicts_the_others_from_its_features(
    parts: Parts, make_config: Make, tmp_path: Path
) -> None:
    """As the network itself predicts them."""
    images = replace(parts.train, labels=parts.train.labels[:0])
    config = make_config(schedule="frozen", subsample=0.5, tta=0)
    member = train_member(config, replace(parts, others=parts.train, test=images), Runtime(tmp_path))
    assert member.others is not None
    np.testing.assert_allclose(member.others, member.predictions.test["plain"], atol=1e-5)
