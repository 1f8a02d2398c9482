"""The select split: made once per dataset and seed, stored, and shared by every member."""

import hashlib
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from tune_paddy.core.errors import InputError
from tune_paddy.core.splits import stratified_group_split
from tune_paddy.data.dataset import Dataset


@dataclass(frozen=True)
class SelectSplit:
    """Which labelled images members train on, and which they are selected with.

    Attributes:
        select_ids: Sorted.
        train_ids: Sorted.
        fingerprint: 16 hex digits of the dataset's fingerprint and the select ids.
        dataset: Fingerprint of the dataset.
        share: What was asked for.
        seed: Likewise.
    """

    select_ids: tuple[str, ...]
    train_ids: tuple[str, ...]
    fingerprint: str
    dataset: str
    share: float
    seed: int

    def save(self, path: Path) -> None:
        """Write the split, whole or not at all."""
        partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
        partial.write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="utf-8")
        partial.replace(path)

    @classmethod
    def load(cls, path: Path, dataset: Dataset) -> "SelectSplit":
        """Read a split back.

        Raises:
            InputError: The file is no split, or belongs to other images than the dataset's.
        """
        try:
            stored = _StoredSplit.model_validate_json(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, ValidationError) as error:
            raise InputError(f"{path}: not a readable split: {str(error).splitlines()[0]}") from error
        split = cls(**stored.model_dump())
        if split.dataset != dataset.fingerprint:
            raise InputError(
                f"{path}: the split was made for other images or labels (dataset {split.dataset}, here "
                f"{dataset.fingerprint}); restore them, or start a search of another name"
            )
        if {*split.select_ids, *split.train_ids} != set(dataset.labelled["id"]):
            raise InputError(f"{path}: the split names other images than the dataset has")
        return split


class _StoredSplit(BaseModel):
    model_config = ConfigDict(extra="forbid")

    select_ids: tuple[str, ...]
    train_ids: tuple[str, ...]
    fingerprint: str
    dataset: str
    share: float
    seed: int


def make_select_split(dataset: Dataset, *, share: float, seed: int) -> SelectSplit:
    """Choose the select split: a share of each class, equal images on one side.

    Raises:
        InputError: A class has too few different images to stand on both sides.
    """
    labelled = dataset.labelled
    _require_enough(dataset)
    codes = labelled["label"].map({name: code for code, name in enumerate(dataset.classes)})
    ordered = np.argsort(labelled["id"].to_numpy(dtype=np.str_), kind="stable")
    chosen = stratified_group_split(
        codes.to_numpy()[ordered], _by_first_id(labelled["group"].to_numpy()[ordered]), share=share, seed=seed
    )
    ids = labelled["id"].to_numpy(dtype=np.str_)[ordered]
    select, train = tuple(ids[chosen].tolist()), tuple(ids[~chosen].tolist())
    text = "\n".join((dataset.fingerprint, *select))
    fingerprint = hashlib.sha256(text.encode()).hexdigest()[:16]
    return SelectSplit(select, train, fingerprint, dataset.fingerprint, share, seed)


def _by_first_id(
    groups: "np.ndarray[tuple[int], np.dtype[np.int64]]",
) -> "np.ndarray[tuple[int], np.dtype[np.int64]]":
    """Number groups by their first image, so that the order of files on disk does not matter."""
    _, first, inverse = np.unique(groups, return_index=True, return_inverse=True)
    return first[inverse]


def _require_enough(dataset: Dataset) -> None:
    counts = dataset.labelled.groupby("label")["group"].nunique()
    small = counts[counts < 2]  # noqa: PLR2004 one for either side
    if len(small):
        raise InputError(
            f"{dataset.root}: class {small.index[0]!r} has {small.iloc[0]} image that differs from others, and "
            f"needs 2 to stand on both sides of the select split; add images, or remove the class"
        )
    if len(counts) < 2:  # noqa: PLR2004 nothing to tell apart
        raise InputError(
            f"{dataset.root}: all images have the label {counts.index[0]!r}; there is nothing to learn"
        )
