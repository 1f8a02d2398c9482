"""What do RandAugment, TrivialAugment and erasing add to the augmentation of an image?

    python benchmarks/augmentation.py

CPU milliseconds per image on one thread, batches of 32, beside torchvision's transforms of the same name
(image by image, on bytes, bilinear). Takes about half a minute.
"""

import time
from collections.abc import Callable

import numpy as np
import torch
from sklearn.datasets import load_sample_images
from torch import Tensor
from torchvision.transforms import v2

from tune_paddy.core.config import MemberConfig
from tune_paddy.training.batches.augment import augment, draw
from tune_paddy.training.batches.erasing import draw_boxes, erase
from tune_paddy.training.batches.operations import draw_operations

BATCH, BATCHES = 32, 12


def images(side: int) -> Tensor:
    """Return 32 crops of two photographs, uint8 [32, 3, side, side]."""
    photos = [torch.from_numpy(photo.copy()).permute(2, 0, 1) for photo in load_sample_images().images]
    crop = v2.RandomCrop(side)
    return torch.stack([crop(photos[row % 2]) for row in range(BATCH)])


def milliseconds(step: Callable[[int], object]) -> float:
    """Return the median CPU time of a step per image, in ms; each step gets a seed."""
    step(0)
    seconds = []
    for seed in range(BATCHES):
        started = time.process_time()
        step(seed)
        seconds.append(time.process_time() - started)
    return 1000 * float(np.median(seconds)) / BATCH


def augmented(batch: Tensor, side: int, **changes: object) -> Callable[[int], object]:
    """Return a step that draws and applies the augmentation of a batch."""
    config = MemberConfig(arch="resnet18", size=side, **changes)

    def step(seed: int) -> Tensor:
        rng = np.random.default_rng(seed)
        return augment(batch, draw(config, BATCH, rng), config.size, draw_operations(config, BATCH, rng))

    return step


def erased(side: int) -> Callable[[int], object]:
    """Return a step that erases a box of every image."""
    config, normalised = (
        MemberConfig(arch="resnet18", size=side, erasing=1.0),
        torch.randn(BATCH, 3, side, side),
    )

    def step(seed: int) -> Tensor:
        boxes = draw_boxes(config, BATCH, np.random.default_rng(seed))
        return normalised if boxes is None else erase(normalised, boxes)

    return step


def one_by_one(batch: Tensor, transform: v2.Transform) -> Callable[[int], object]:
    """Return a step that applies torchvision's transform to each image."""
    return lambda _: [transform(image) for image in batch]


def main() -> None:
    """Print one row for each size."""
    torch.set_num_threads(1)
    bilinear = v2.InterpolationMode.BILINEAR
    for side in (128, 224):
        batch = images(side * 8 // 7)
        small = batch[..., :side, :side].contiguous()
        plain = milliseconds(augmented(batch, side))
        added = {
            "randaugment 9": milliseconds(augmented(batch, side, randaugment=9)) - plain,
            "trivialaugment": milliseconds(augmented(batch, side, trivialaugment=True)) - plain,
            "erasing": milliseconds(erased(side)),
            "torchvision's RandAugment": milliseconds(
                one_by_one(small, v2.RandAugment(interpolation=bilinear))
            ),
            "torchvision's TrivialAugmentWide": milliseconds(
                one_by_one(small, v2.TrivialAugmentWide(interpolation=bilinear))
            ),
        }
        print(f"{side} px: warp and lighting {plain:.2f} ms; besides:")
        for name, ms in added.items():
            print(f"  {name:34} {ms:.2f} ms")


if __name__ == "__main__":
    main()
