"""Losses of members against those of torch, torchvision and timm."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from timm.loss import BinaryCrossEntropy
from torch import Tensor
from torchvision.ops import sigmoid_focal_loss

from tune_paddy.core.errors import InputError
from tune_paddy.core.tasks.task import Task
from tune_paddy.training.objective import objective_of

SEVERAL = Task.of("multilabel")
ONE_CLASS = ["cross_entropy", "focal", "bce"]
WEIGHTS = torch.tensor([0.5, 2.0, 1.0])


@pytest.fixture
def logits() -> Tensor:
    """Outputs of six images and three classes."""
    return torch.randn(6, 3, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def labels() -> Tensor:
    return torch.tensor([0, 1, 2, 1, 0, 2])


@pytest.fixture
def several() -> Tensor:
    """Three labels for each of six images."""
    return torch.tensor([[1, 0, 1], [0, 0, 0], [1, 1, 1], [0, 1, 0], [0, 0, 1], [1, 0, 0]])


@pytest.mark.parametrize("loss", ["auto", *ONE_CLASS])
def test_probabilities_of_exclusive_classes_sum_to_one_also_at_extreme_outputs(loss: str) -> None:
    logits = torch.tensor([[0.0, 1.0, -2.0], [90.0, -90.0, 0.0], [-200.0, -201.0, -199.0]])
    probs = objective_of(None, loss).probabilities(logits)
    assert torch.isfinite(probs).all()
    torch.testing.assert_close(probs.sum(1), torch.ones(3))


def test_probabilities_of_binary_losses_are_sigmoids_by_their_sum(logits: Tensor) -> None:
    sigmoids = torch.sigmoid(logits)
    expected = sigmoids / sigmoids.sum(1, keepdim=True)
    torch.testing.assert_close(objective_of(None, "bce").probabilities(logits), expected)


@pytest.mark.parametrize("loss", ["cross_entropy", "bce"])
def test_the_probabilities_are_those_at_which_the_loss_is_minimal(loss: str) -> None:
    """Of one image whose class is known by its shares alone, as images that look alike have them."""
    truth = torch.tensor([[0.7, 0.2, 0.1]])
    logits = torch.zeros(1, 3, requires_grad=True)
    objective = objective_of(None, loss)
    optimizer = torch.optim.LBFGS([logits], max_iter=50)

    def closure() -> Tensor:
        optimizer.zero_grad()
        value = objective.loss(logits, truth)
        value.backward()
        return value

    optimizer.step(closure)
    torch.testing.assert_close(objective.probabilities(logits.detach()), truth, atol=1e-3, rtol=0)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_binary_cross_entropy_of_one_class_is_timms(smoothing: float, logits: Tensor, labels: Tensor) -> None:
    expected = 6 * BinaryCrossEntropy(smoothing=smoothing)(logits, labels)
    torch.testing.assert_close(objective_of(None, "bce").loss(logits, labels, smoothing), expected)


def test_the_focal_loss_of_several_labels_is_torchvisions(logits: Tensor, several: Tensor) -> None:
    expected = sigmoid_focal_loss(logits, several.float(), alpha=-1, reduction="sum") / 3
    torch.testing.assert_close(objective_of(SEVERAL, "focal").loss(logits, several), expected)


def test_the_focal_loss_of_one_class_weighs_cross_entropy_by_the_squared_rest(
    logits: Tensor, labels: Tensor
) -> None:
    rest = 1 - torch.softmax(logits, 1)[torch.arange(6), labels]
    expected = (rest**2 * F.cross_entropy(logits, labels, reduction="none")).sum()
    torch.testing.assert_close(objective_of(None, "focal").loss(logits, labels), expected)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("weights", [None, WEIGHTS])
@pytest.mark.parametrize("loss", ONE_CLASS)
def test_labels_and_their_shares_have_one_loss(
    loss: str, weights: Tensor | None, smoothing: float, logits: Tensor, labels: Tensor
) -> None:
    objective = objective_of(None, loss, weights)
    shares = objective.shares(labels, 3, torch.float32)
    torch.testing.assert_close(
        objective.loss(logits, labels, smoothing), objective.loss(logits, shares, smoothing)
    )


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("loss", ONE_CLASS)
def test_a_weight_of_two_counts_an_image_twice(
    loss: str, smoothing: float, logits: Tensor, labels: Tensor
) -> None:
    twice = labels == 1
    expected = objective_of(None, loss).loss(
        torch.cat([logits, logits[twice]]), torch.cat([labels, labels[twice]]), smoothing
    )
    weighted = objective_of(None, loss, torch.tensor([1.0, 2.0, 1.0])).loss(logits, labels, smoothing)
    torch.testing.assert_close(weighted, expected)


@pytest.mark.parametrize("task", [None, SEVERAL])
@pytest.mark.parametrize("loss", ["bce", "focal"])
def test_a_large_weight_does_not_make_a_rare_class_likely_elsewhere(task: Task | None, loss: str) -> None:
    """With smoothing, the loss of an image of the common class is minimal where that class is likely."""
    objective = objective_of(task, loss, torch.tensor([1.0, 100.0]))
    label = torch.tensor([0]) if task is None else torch.tensor([[1, 0]])
    steps = torch.linspace(-6, 6, 121)
    losses = [objective.loss(torch.tensor([[-step, step]]), label, 0.1).item() for step in steps.tolist()]
    best = steps[int(np.argmin(losses))]
    assert objective.probabilities(torch.tensor([[-best, best]]))[0, 1] < 0.3


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("loss", ["bce", "focal"])
def test_a_label_weight_multiplies_the_terms_of_its_positive_images(
    loss: str, smoothing: float, logits: Tensor, several: Tensor
) -> None:
    def terms(weights: Tensor | None) -> Tensor:
        objective = objective_of(SEVERAL, loss, weights)
        alone = [
            objective_of(SEVERAL, loss, None if weights is None else weights[k : k + 1]).loss(
                logits[i : i + 1, k : k + 1], several[i : i + 1, k : k + 1], smoothing
            )
            for i in range(6)
            for k in range(3)
        ]
        total = torch.stack(alone).sum() / 3
        torch.testing.assert_close(objective.loss(logits, several, smoothing), total)
        return torch.stack(alone).view(6, 3)

    factor = torch.where(several == 1, WEIGHTS, torch.ones(3))
    torch.testing.assert_close(terms(WEIGHTS), terms(None) * factor)


def test_binary_cross_entropy_of_a_mixed_target_is_the_mixture_of_the_losses(logits: Tensor) -> None:
    """Of several labels without weights, a quarter of the way from all to none."""
    objective = objective_of(SEVERAL, "bce")
    none, mixed, every = (objective.loss(logits, torch.full((6, 3), share)) for share in (0.0, 0.75, 1.0))
    torch.testing.assert_close(mixed, 0.25 * none + 0.75 * every)


def test_the_focal_loss_of_an_even_target_is_a_quarter_of_binary_cross_entropy(logits: Tensor) -> None:
    """The probability of an even target is one half at any output, and the factor its square."""
    even = torch.full((6, 3), 0.5)
    focal, binary = (objective_of(SEVERAL, loss).loss(logits, even) for loss in ("focal", "bce"))
    torch.testing.assert_close(focal, binary / 4)


def test_a_loss_of_another_task_is_refused() -> None:
    with pytest.raises(
        InputError, match="cross_entropy does not serve any number of labels an image; set it to bce"
    ):
        objective_of(SEVERAL, "cross_entropy")
