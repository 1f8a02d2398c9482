"""Probabilities of a pool that say what to do when they are called like a method."""

from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from tune_paddy.core.arguments.checked import ArgumentError


class SelectProbabilities(np.ndarray[tuple[int, ...], np.dtype[np.float32]]):
    """Probabilities of the select split, float32 [views, images, classes]; they are not a method."""

    def __call__(self, *_args: object, **_options: object) -> NoReturn:
        """Refuse the call.

        Raises:
            InputError: Always; it names the function that selects.
        """
        raise ArgumentError(
            "select: `pool.select` holds the predictions of the select split; to select an ensemble, call "
            "`tune_paddy.select(pool)`"
        )


def as_select_probabilities(probs: NDArray[np.float32]) -> SelectProbabilities:
    """Return the same array, without a copy, as `SelectProbabilities`."""
    return probs.view(SelectProbabilities)
