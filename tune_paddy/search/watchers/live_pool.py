"""The pool of a running search: members are checked and aligned once, as they arrive."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from tune_paddy.core.predictions import Pool, Predictions, View, align
from tune_paddy.core.selection.greedy_log_loss import true_class_rows
from tune_paddy.core.selection.growing import GrowingGreedy
from tune_paddy.core.selection.result import Selection


class LivePool:
    """Members of a running search and their greedy ensemble, in the order of their arrival.

    A file holds the probabilities, of which a selection reads a part: ten thousand members on two thousand
    images of ten classes take a gigabyte. Memory holds the probabilities of the true classes.

    Args:
        file: Path of the file, which the caller removes.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._first: tuple[View, Predictions] | None = None
        self._empty: Pool | None = None
        self._views: list[View] = []
        self._greedy: GrowingGreedy | None = None

    def add(self, view: View, predictions: Predictions) -> bool:
        """Add a member, and repeat the rounds of the greedy selection that it changes.

        Args:
            view: A view with the member's metadata; its `kind` is ignored.
            predictions: Its predictions; those of the test set are ignored.

        Returns:
            Whether the member matches the first one, see `align`.

        Raises:
            OSError: The file could not be written.
        """
        member = view, without_test(predictions)
        # The first member is the reference; its name sorts before any other.
        first = self._first or member
        pool = align([(replace(first[0], member="", run_id=""), first[1]), member])
        rows = [row for row, known in enumerate(pool.views) if known.run_id == view.run_id]
        if not rows:
            return False
        new = pool.select[rows]
        self._write(new)
        if self._greedy is None or self._empty is None:
            self._first, self._greedy = member, GrowingGreedy(pool.task.name)
            self._empty = replace(pool, views=(), select=new[:0], test=pool.test[:0])
        self._views += [pool.views[row] for row in rows]
        self._greedy.add(true_class_rows(new, pool.labels))
        return True

    def __len__(self) -> int:
        """Return the number of members."""
        return len({view.run_id for view in self._views})

    def selected(self) -> tuple[Pool, Selection] | None:
        """Return the pool, whose probabilities are memory-mapped, and its ensemble; None: no member."""
        if self._greedy is None or self._empty is None:
            return None
        shape = (len(self._views), *self._empty.select.shape[1:])
        select = np.memmap(self._file, np.float32, mode="r", shape=shape)
        return replace(self._empty, views=tuple(self._views), select=select), self._greedy.selection()

    def _write(self, new: np.ndarray) -> None:
        # At its place: a write that failed may have left a part of an array. A file that is written through
        # its map would end the process where the disk is full.
        with self._file.open("r+b" if self._views else "wb") as file:
            file.seek(len(self._views) * new[0].nbytes)
            file.write(np.ascontiguousarray(new, np.float32).tobytes())


def without_test(predictions: Predictions) -> Predictions:
    """Drop predictions of the test set, which take most of the memory and have no score."""
    none = {view: probs[:0] for view, probs in predictions.test.items()}
    return replace(predictions, test_ids=predictions.test_ids[:0], test=none, by_fold=None)
