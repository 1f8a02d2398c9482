"""The targets that teachers gave a search: made once, stored with it, and used by each of its sessions."""

import io
import zipfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tune_paddy.core.errors import InputError
from tune_paddy.core.predictions import rows_of
from tune_paddy.core.teaching.targets import Targets, shares_of
from tune_paddy.data.member_data import Parts
from tune_paddy.data.system.files import write_atomically

_NAMES = ("split", "classes", "ids", "labelled", "test_ids", "test")


@dataclass(frozen=True)
class TaughtTargets:
    """Targets of the images that the members of a search train on.

    Attributes:
        split: Fingerprint of the split of the search.
        classes: Class names, in the order of the targets.
        ids: Ids of the labelled images of the folds, str [images].
        labelled: Soft labels of these for the model of each fold, float32 [folds, images, classes]; empty:
            their labels are the targets.
        test_ids: Ids of the images to predict, str [test images].
        test: Pseudo-labels of these for the model of each fold, float32 [folds, test images, classes], with a
            select split [1, …]; empty: no model trains on them.
    """

    split: str
    classes: tuple[str, ...]
    ids: NDArray[np.str_]
    labelled: Targets
    test_ids: NDArray[np.str_]
    test: Targets

    def save(self, path: Path) -> None:
        """Write the targets atomically as arrays without pickles.

        Raises:
            TunePaddyError: The file cannot be written.
        """
        arrays = {name: np.array(getattr(self, name)) for name in _NAMES}
        file = io.BytesIO()
        np.savez(file, allow_pickle=False, **arrays)
        write_atomically(path, file.getvalue())

    @classmethod
    def parse(cls, content: bytes, name: str) -> "TaughtTargets":
        """Return the targets in the content of a file.

        Args:
            content: What `save` wrote.
            name: Name of the file, for the message.

        Raises:
            InputError: The content is damaged.
        """
        try:
            _check_size(content)
            with np.load(io.BytesIO(content), allow_pickle=False) as file:
                arrays = {entry: file[entry] for entry in _NAMES}
            return _from_arrays(arrays)
        except Exception as error:  # a damaged file may raise anything in the parsers of zip and .npy
            raise InputError(
                f"{name}: damaged, or no targets of a search ({' '.join(str(error).split())[:200]}); start a "
                "search under a new name"
            ) from error

    def taught(self, parts: Parts) -> Parts:
        """Return the data of a search with these targets.

        Raises:
            InputError: They were made for other images, classes or folds.
        """
        fits = self.split == parts.split and self.classes == parts.classes
        fits = fits and np.array_equal(self.test_ids, parts.test.ids)
        if not fits or (len(self.labelled) and not np.array_equal(self.ids, parts.select.ids)):
            raise _other_images()
        if len(self.labelled):
            parts = replace(parts, soft=self.labelled)
        if not len(self.test):
            return parts
        if parts.n_folds:
            return replace(parts, pseudo=self.test)
        return parts.with_pseudo_labels(self.test[0])

    def taught_again(self, parts: Parts) -> Parts:
        """Return the data of a refit: the mean of the targets of all folds, since nothing judges its members.

        Args:
            parts: Data that trains on all labelled images, from `make_refit_parts`.

        Raises:
            InputError: The targets were made for other images or classes.
        """
        known = set(self.ids.tolist()) <= set(parts.train.ids.tolist())
        if not known or self.classes != parts.classes or not np.array_equal(self.test_ids, parts.test.ids):
            raise _other_images()
        if len(self.labelled):
            targets = shares_of(parts.train.labels, len(parts.classes))
            targets[rows_of(parts.train.ids, self.ids)] = _mean(self.labelled)
            parts = replace(parts, train=replace(parts.train, targets=targets))
        if not len(self.test):
            return parts
        return parts.with_pseudo_labels(_mean(self.test))


def _mean(targets: Targets) -> Targets:
    """Return the mean over the folds."""
    mean: Targets = targets.mean(axis=0, dtype=np.float64).astype(np.float32)
    return mean


def _check_size(content: bytes) -> None:
    """Refuse a file that unpacks to more than its own size.

    Raises:
        ValueError: It does.
    """
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        if sum(entry.file_size for entry in archive.infolist()) > len(content):
            raise ValueError("it would unpack to more than its own size")


def _from_arrays(arrays: dict[str, NDArray[Any]]) -> TaughtTargets:
    """Return targets from arrays whose types and shapes fit each other.

    Raises:
        ValueError: They do not.
    """
    classes, ids, test_ids = arrays["classes"], arrays["ids"], arrays["test_ids"]
    labelled, test = arrays["labelled"], arrays["test"]
    texts = all(array.dtype.kind == "U" for array in (classes, ids, test_ids, arrays["split"]))
    soft = all(array.dtype == np.float32 for array in (labelled, test))
    shapes = len(labelled) == 0 or labelled.shape[1:] == (len(ids), len(classes))
    shapes &= len(test) == 0 or test.shape[1:] == (len(test_ids), len(classes))
    if not (texts and soft and shapes):
        raise ValueError("types or shapes differ")
    if not (np.all((labelled >= 0) & (labelled <= 1)) and np.all((test >= 0) & (test <= 1))):
        raise ValueError("shares are not between 0 and 1")
    return TaughtTargets(
        split=str(arrays["split"]),
        classes=tuple(classes.astype(np.str_).tolist()),
        ids=ids.astype(np.str_),
        labelled=labelled.astype(np.float32),
        test_ids=test_ids.astype(np.str_),
        test=test.astype(np.float32),
    )


def _other_images() -> InputError:
    return InputError(
        "the targets of the search were made for other images, classes or folds than the dataset now has: "
        "restore them, or start a search under a new name"
    )
