"""The three parts of a dataset as a member meets them: images to train on, to select with, to predict."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tune_paddy.data.dataset import Dataset
from tune_paddy.data.split import SelectSplit


@dataclass(frozen=True)
class Part:
    """Images in a fixed order.

    Attributes:
        ids: str [images].
        paths: Absolute path of each image file.
        labels: int64 [images], indices into the classes; empty where labels are not known.
    """

    ids: NDArray[np.str_]
    paths: tuple[str, ...]
    labels: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.paths)


@dataclass(frozen=True)
class Parts:
    """What training one member needs to know of the data.

    Attributes:
        classes: Class names, sorted.
        split: Fingerprint of the select split.
        train: Images that a member may train on.
        select: The select split.
        test: The test set in the submission's order, without labels; may be empty.
    """

    classes: tuple[str, ...]
    split: str
    train: Part
    select: Part
    test: Part


def make_parts(dataset: Dataset, split: SelectSplit) -> Parts:
    """Cut a dataset along its select split."""
    codes = {name: code for code, name in enumerate(dataset.classes)}
    by_id = dataset.labelled.set_index("id", drop=False)
    return Parts(
        classes=dataset.classes,
        split=split.fingerprint,
        train=_part(by_id.loc[list(split.train_ids)], codes),
        select=_part(by_id.loc[list(split.select_ids)], codes),
        test=_part(dataset.test, None),
    )


def _part(frame: pd.DataFrame, codes: dict[str, int] | None) -> Part:
    labels = [] if codes is None else [codes[label] for label in frame["label"]]
    return Part(
        ids=np.array(frame["id"].tolist(), dtype=np.str_),
        paths=tuple(frame["path"]),
        labels=np.array(labels, dtype=np.int64),
    )
