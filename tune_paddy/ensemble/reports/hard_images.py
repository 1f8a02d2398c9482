"""Find the images that an ensemble gets wrong, and those that it is least sure of."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tune_paddy.core.metrics import true_class
from tune_paddy.core.predictions import Pool
from tune_paddy.core.scores.decided import decided
from tune_paddy.core.tasks.arrays import Labels

GUESSES = 3
"""Number of classes to show for each image."""


@dataclass(frozen=True)
class HardImage:
    """One image and its predicted classes.

    Attributes:
        name: Id of the image.
        truth: True class, or true labels; None in the test set.
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
    right = (decided(select, pool.labels) == pool.labels).reshape(len(select), -1).all(axis=1)
    truth = _sureness(select, pool.labels)
    wrong, unsure = np.flatnonzero(~right), np.flatnonzero(right)
    texts = pool.task.decode(pool.labels, pool.classes)

    def of_select(rows: NDArray[np.intp]) -> tuple[HardImage, ...]:
        return tuple(
            _image(pool, str(pool.select_ids[row]), select[row], texts[row]) for row in rows[:most].tolist()
        )

    doubtful = np.argsort(_sureness(test, decided(test, pool.labels)), kind="stable")[:most]
    return HardImages(
        wrong=of_select(wrong[np.argsort(truth[wrong], kind="stable")]),
        n_wrong=len(wrong),
        unsure=of_select(unsure[np.argsort(truth[unsure], kind="stable")]),
        test=tuple(_image(pool, str(pool.test_ids[row]), test[row], None) for row in doubtful),
    )


def _sureness(probs: NDArray[np.float64], labels: Labels) -> NDArray[np.float64]:
    """Return the probability of each image's labels, float64 [images]; of several the least one."""
    sure = true_class(probs, labels)
    return sure if sure.ndim == 1 else np.asarray(sure.min(axis=1, initial=1.0))


def _image(pool: Pool, name: str, probs: NDArray[np.float64], truth: str | None) -> HardImage:
    best: list[int] = np.argsort(-probs, kind="stable")[:GUESSES].tolist()
    if truth in pool.classes and pool.classes.index(truth) not in best:
        best[-1] = pool.classes.index(truth)
    shown = "no label" if truth == "" else truth
    return HardImage(name, shown, tuple((pool.classes[code], float(probs[code])) for code in best))
