"""Find the images that an ensemble gets wrong, and those that it is least sure of."""

from collections.abc import Sequence
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
    pool: Pool,
    select: NDArray[np.float64],
    test: NDArray[np.float64],
    decisions: NDArray[np.float64] | None = None,
    *,
    most: int,
) -> HardImages:
    """Find the hard images of a pool.

    Args:
        pool: Pool with ids, labels and classes.
        select: The ensemble's predictions of the select split, float64 [images, classes].
        test: The ensemble's predictions of the test set, float64 [images, classes].
        decisions: Decisions of the select split as 0 and 1; None: those of the predictions.
        most: Maximum number of images of each kind.
    """
    made = decided(select if decisions is None else decisions, pool.labels)
    right = (made == pool.labels).reshape(len(select), -1).all(axis=1)
    truth = _sureness(select, pool.labels)
    wrong, unsure = np.flatnonzero(~right), np.flatnonzero(right)
    texts = pool.task.decode(pool.labels, pool.classes)

    def of_select(rows: NDArray[np.intp]) -> tuple[HardImage, ...]:
        return tuple(
            _image(pool, str(pool.select_ids[row]), select[row], texts[row], _odd(made, pool, row))
            for row in rows[:most].tolist()
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


def _odd(made: Labels, pool: Pool, row: int) -> list[int]:
    """Return the classes that an image has and is not decided for, or the labels that are decided wrongly."""
    if pool.task.independent:
        return np.flatnonzero(made[row] != pool.labels[row]).tolist()
    return [int(pool.labels[row])]


def _image(
    pool: Pool, name: str, probs: NDArray[np.float64], truth: str | None, odd: Sequence[int] = ()
) -> HardImage:
    """Return an image with its likeliest classes, and those of `odd`, which are never left out."""
    ranking: list[int] = np.argsort(-probs, kind="stable").tolist()
    kept = {*sorted(odd, key=ranking.index)[:GUESSES]}
    kept |= {*[code for code in ranking if code not in kept][: GUESSES - len(kept)]}
    best = [code for code in ranking if code in kept]
    shown = "no label" if truth == "" else truth
    return HardImage(name, shown, tuple((pool.classes[code], float(probs[code])) for code in best))
