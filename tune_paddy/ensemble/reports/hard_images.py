"""Find the images that an ensemble gets wrong, and those that it is least sure of."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tune_paddy.core.errors import InputError
from tune_paddy.core.predictions import Pool
from tune_paddy.data.layouts.detect import list_dataset
from tune_paddy.data.options import DETECTED, ReadOptions

GUESSES = 3
"""Number of classes to show for each image."""


@dataclass(frozen=True)
class HardImage:
    """One image and its predicted classes.

    Attributes:
        name: Id of the image.
        truth: True class; None in the test set.
        guesses: Classes and their probabilities, most likely first, always with the true class if known.
    """

    name: str
    truth: str | None
    guesses: tuple[tuple[str, float], ...]


@dataclass(frozen=True)
class HardImages:
    """The hard images of a pool.

    Attributes:
        wrong: Misclassified images of the select split, lowest probability of the true class first.
        n_wrong: Number of all misclassified images.
        unsure: Correctly classified images of the select split, least sure first.
        test: Images of the test set, least sure first.
    """

    wrong: tuple[HardImage, ...]
    n_wrong: int
    unsure: tuple[HardImage, ...]
    test: tuple[HardImage, ...]


def find_hard_images(
    pool: Pool, select: NDArray[np.float64], test: NDArray[np.float64], *, most: int
) -> HardImages:
    """Find the hard images of a pool.

    Args:
        pool: Pool with ids, labels and classes.
        select: The ensemble's predictions of the select split, float64 [images, classes].
        test: The ensemble's predictions of the test set, float64 [images, classes].
        most: Maximum number of images of each kind.
    """
    right = select.argmax(axis=1) == pool.labels
    truth = select[np.arange(len(select)), pool.labels]
    wrong, unsure = np.flatnonzero(~right), np.flatnonzero(right)

    def of_select(rows: NDArray[np.intp]) -> tuple[HardImage, ...]:
        return tuple(
            _image(pool, str(pool.select_ids[r]), select[r], int(pool.labels[r])) for r in rows[:most]
        )

    doubtful = np.argsort(test.max(axis=1, initial=0), kind="stable")[:most]
    return HardImages(
        wrong=of_select(wrong[np.argsort(truth[wrong], kind="stable")]),
        n_wrong=len(wrong),
        unsure=of_select(unsure[np.argsort(truth[unsure], kind="stable")]),
        test=tuple(_image(pool, str(pool.test_ids[row]), test[row], None) for row in doubtful),
    )


def _image(pool: Pool, name: str, probs: NDArray[np.float64], label: int | None) -> HardImage:
    best: list[int] = np.argsort(-probs, kind="stable")[:GUESSES].tolist()
    if label is not None and label not in best:
        best[-1] = label
    truth = None if label is None else pool.classes[label]
    return HardImage(name, truth, tuple((pool.classes[code], float(probs[code])) for code in best))


def find_files(
    dataset: Path, options: ReadOptions = DETECTED
) -> tuple[Mapping[str, Path], Mapping[str, Path]]:
    """Return id → file of a dataset's labelled images and of its test set.

    Both are empty if the dataset is not at its path: it may have moved, or be on another machine.

    Args:
        dataset: Path that the dataset was opened from.
        options: Options that it was read with.
    """
    try:
        listing = list_dataset(dataset, options)
    except InputError:
        return {}, {}
    return _files(listing.labelled["id"], listing.labelled["path"]), _files(
        listing.test["id"], listing.test["path"]
    )


def _files(names: Iterable[str], paths: Sequence[str] | Iterable[str]) -> dict[str, Path]:
    return {str(name): Path(path) for name, path in zip(names, paths, strict=True)}
