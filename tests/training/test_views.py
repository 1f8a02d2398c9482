from collections.abc import Callable, Collection
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tune_paddy.core.config import MemberConfig
from tune_paddy.training.batches.augment import Draws, as_floats, augment, centre, draw, normalize
from tune_paddy.training.batches.loaders import ImageReader
from tune_paddy.training.devices import Device
from tune_paddy.training.views import flipped, predict

N_CLASSES = 4
STATS = ((0.5, 0.4, 0.3), (0.2, 0.3, 0.4))


class Network(nn.Module):
    """A network of every pixel, with dropout in training, that counts its images."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(3 * 32 * 32, N_CLASSES))
        self.passes: list[int] = []

    def forward(self, images: Tensor) -> Tensor:
        self.passes.append(len(images))
        logits: Tensor = self.layers(images)
        return logits


def views(
    reader: ImageReader,
    config: MemberConfig,
    *,
    model: nn.Module | None = None,
    batch_size: int = 8,
    kinds: Collection[str] | None = None,
    precision: str = "fp32",
) -> dict[str, np.ndarray]:
    return predict(
        model or Network(),
        reader,
        config,
        device=Device("cpu", precision),
        batch_size=batch_size,
        stats=STATS,
        n_classes=N_CLASSES,
        kinds=kinds,
    )


@pytest.fixture(scope="module")
def few(reader: ImageReader) -> ImageReader:
    """Thirteen images."""
    return ImageReader(reader.paths[:13], (32, 32), "squish", 2)


def test_the_plain_view_is_the_networks_softmax_in_order(
    few: ImageReader, make_config: Callable[..., MemberConfig]
) -> None:
    model = Network()
    images = torch.stack([torch.tensor(few.read(row)) for row in range(13)])
    with torch.no_grad():
        logits = model.layers[2](normalize(as_floats(images), *STATS).flatten(1))
    plain = views(few, make_config(), model=model)["plain"]
    np.testing.assert_allclose(plain, logits.softmax(1).numpy(), atol=1e-6)


def test_the_tta_view_is_fastais_three_quarters_augmented_one_quarter_plain(
    few: ImageReader, make_config: Callable[..., MemberConfig], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in `Learner.tta(beta=0.25)`: the mean over the passes, moved by a quarter towards the plain view."""
    probs: dict[str, list[Tensor]] = {"augmented": [], "plain": []}
    model = Network()

    def seen(kind: str, images: Tensor) -> Tensor:
        logits = model.layers[2](normalize(images.clone(), *STATS).flatten(1))
        probs[kind].append(logits.softmax(1))
        return images

    monkeypatch.setattr("tune_paddy.training.views.augment", lambda *a: seen("augmented", augment(*a)))
    monkeypatch.setattr("tune_paddy.training.views.centre", lambda *a: seen("plain", centre(*a)))
    tta = views(few, make_config(tta=3), model=model, batch_size=13)["tta"]
    assert len(probs["augmented"]) == 3
    expected = 0.75 * torch.stack(probs["augmented"]).mean(0) + 0.25 * probs["plain"][0]
    np.testing.assert_allclose(tta, expected.numpy(), atol=1e-6)


def test_no_view_depends_on_the_batch_size(
    few: ImageReader, make_config: Callable[..., MemberConfig]
) -> None:
    """The ema view is the plain one of another network."""
    config = make_config(arch="test_resnet", flip="dihedral", flip_view=True, large_view=1.25, zoom_view=0.8)
    model = nn.Sequential(nn.AdaptiveAvgPool2d(32), Network())  # takes the larger images, too
    reference = views(few, config, model=model, batch_size=13)
    assert reference.keys() == {"plain", "tta", "flips", "large", "zoom"}
    for batch_size in (1, 5, 100):
        for view, probs in views(few, config, model=model, batch_size=batch_size).items():
            np.testing.assert_allclose(probs, reference[view], atol=1e-5)


def test_an_image_alone_is_predicted_as_among_others_in_any_order(
    few: ImageReader, make_config: Callable[..., MemberConfig]
) -> None:
    config = make_config(flip="dihedral", tta=3)
    together = views(few, config)
    backwards = views(ImageReader(few.paths[::-1], (32, 32), "squish", 1), config, batch_size=5)
    for row in (0, 7, 12):
        alone = views(ImageReader([few.paths[row]], (32, 32), "squish", 1), config)
        for view, probs in together.items():
            np.testing.assert_allclose(alone[view][0], probs[row], atol=1e-6)
            np.testing.assert_allclose(backwards[view][12 - row], probs[row], atol=1e-6)


def test_every_pass_has_its_own_augmentation(
    few: ImageReader, make_config: Callable[..., MemberConfig], monkeypatch: pytest.MonkeyPatch
) -> None:
    crops: list[np.ndarray] = []

    def seen(images: Tensor, draws: Draws, size: tuple[int, int]) -> Tensor:
        crops.append(draws.crop)
        return augment(images, draws, size)

    monkeypatch.setattr("tune_paddy.training.views.augment", seen)
    views(few, make_config(tta=3), batch_size=13)
    assert [len(set(crop.tolist())) for crop in crops] == [1, 1, 1]
    assert len({crop[0] for crop in crops}) == 3


def test_augmentation_depends_on_the_members_seed_alone(
    few: ImageReader, make_config: Callable[..., MemberConfig]
) -> None:
    first = views(few, make_config(seed=1))
    torch.rand(3)
    again, other = views(few, make_config(seed=1)), views(few, make_config(seed=2))
    assert np.array_equal(first["tta"], again["tta"])
    assert not np.allclose(first["tta"], other["tta"])
    assert np.array_equal(first["plain"], other["plain"])


@pytest.mark.parametrize(("tta", "kinds"), [(0, None), (3, ("plain",))])
def test_without_passes_there_is_no_tta_view(
    few: ImageReader, make_config: Callable[..., MemberConfig], tta: int, kinds: tuple[str, ...] | None
) -> None:
    model = Network()
    assert views(few, make_config(tta=tta), model=model, kinds=kinds).keys() == {"plain"}
    assert sum(model.passes) == 13


def test_each_image_is_read_once_for_all_passes(
    few: ImageReader, make_config: Callable[..., MemberConfig]
) -> None:
    reads: list[int] = []

    class Counting(ImageReader):
        def read(self, row: int, *args: Any) -> np.ndarray:
            reads.append(row)
            return super().read(row, *args)

    model = Network()
    views(Counting(few.paths, (32, 32), "squish", 1), make_config(tta=4), model=model)
    assert sorted(reads) == list(range(13))
    assert sum(model.passes) == 5 * 13


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_probabilities_are_float32_rows_that_sum_to_one(
    few: ImageReader, make_config: Callable[..., MemberConfig], precision: str
) -> None:
    for probs in views(few, make_config(), precision=precision).values():
        assert probs.dtype == np.float32
        assert probs.shape == (13, N_CLASSES)
        np.testing.assert_allclose(probs.sum(1), 1, atol=1e-6)


def test_no_images_give_empty_views_of_the_right_width(make_config: Callable[..., MemberConfig]) -> None:
    none = views(ImageReader([], (32, 32), "squish", 1), make_config())
    assert {view: probs.shape for view, probs in none.items()} == {"plain": (0, 4), "tta": (0, 4)}


def test_the_flips_view_is_the_mean_over_the_symmetries_of_the_augmentation(
    few: ImageReader, make_config: Callable[..., MemberConfig]
) -> None:
    model = Network().eval()
    for flip, codes in (("horizontal", 2), ("dihedral", 8)):
        found = views(few, make_config(flip=flip, flip_view=True), model=model, kinds=("flips",))
        (_, images), *_ = few.in_order(13)
        turned = [flipped(centre(images, (32, 32)), code) for code in range(codes)]
        with torch.inference_mode():
            expected = torch.stack([torch.softmax(model(normalize(i, *STATS)), 1) for i in turned]).mean(0)
        assert found.keys() == {"flips"}
        assert np.allclose(found["flips"], expected.numpy(), atol=1e-6)


def test_the_eight_symmetries_differ_and_the_first_is_the_image_itself() -> None:
    image = torch.arange(12.0).reshape(1, 1, 3, 4)
    turned = [flipped(image, code) for code in range(8)]
    assert torch.equal(turned[0], image)
    assert all(one.shape == image.shape for one in turned)
    assert len({tuple(one.flatten().tolist()) for one in turned}) == 8
    square = torch.arange(9.0).reshape(1, 1, 3, 3)
    assert torch.equal(flipped(square, 4), square.transpose(2, 3))


def test_a_symmetry_is_that_of_the_augmentation() -> None:
    image = torch.rand(1, 3, 16, 16).mul_(255)
    neutral = draw(
        MemberConfig(arch="any", min_scale=1, p_affine=0, p_lighting=0), 1, np.random.default_rng(0)
    )
    for code in range(8):
        warped = augment(image, replace(neutral, dihedral=np.array([code])), (16, 16))
        assert torch.allclose(warped, flipped(image, code) / 255, atol=1e-3), code


def test_the_zoom_view_is_the_plain_prediction_of_the_central_part(
    few: ImageReader, make_config: Callable[..., MemberConfig]
) -> None:
    model = Network().eval()
    found = views(few, make_config(zoom_view=0.75), model=model)
    (_, images), *_ = few.in_order(13)
    with torch.inference_mode():
        logits = model(normalize(centre(images[:, :, 4:28, 4:28], (32, 32)), *STATS))
    assert np.allclose(found["zoom"], torch.softmax(logits, 1).numpy(), atol=1e-6)


def test_the_large_view_is_a_prediction_at_the_larger_size_in_smaller_batches(
    few: ImageReader, make_config: Callable[..., MemberConfig]
) -> None:
    sizes: list[torch.Size] = []

    class AnySize(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            sizes.append(images.shape)
            return images.mean((2, 3)).repeat(1, 2)[:, :N_CLASSES]

    found = views(
        few,
        make_config(arch="test_resnet", large_view=1.25),
        model=AnySize(),
        batch_size=13,
        kinds=("plain", "large"),
    )
    assert [tuple(shape) for shape in sizes[:2]] == [(13, 3, 32, 32), (8, 3, 40, 40)]
    assert found.keys() == {"plain", "large"}
