"""The select split: made once for a dataset and a seed, stored, shared by every member."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tune_paddy.core.errors import InputError
from tune_paddy.core.splits import stratified_group_split
from tune_paddy.data.atomic import write_atomically
from tune_paddy.data.dataset import Dataset
from tune_paddy.data.wording import listed, shown


@dataclass(frozen=True)
class SelectSplit:
    """Which labelled images no member trains on.

    Attributes:
        select_ids: The select split, sorted.
        train_ids: All other labelled images, sorted.
        fingerprint: 16 hex digits of the dataset's fingerprint and the select split.
        share: Of the labelled images that was asked for.
        seed: Of the choice.
    """

    select_ids: tuple[str, ...]
    train_ids: tuple[str, ...]
    fingerprint: str
    share: float
    seed: int

    def save(self, path: Path) -> None:
        """Write the split as JSON, atomically.

        Raises:
            TunePaddyError: The file cannot be written.
        """
        stored = {
            "format": 1,
            "fingerprint": self.fingerprint,
            "share": self.share,
            "seed": self.seed,
            "select_ids": self.select_ids,
        }
        write_atomically(path, (json.dumps(stored, indent=1, ensure_ascii=False) + "\n").encode())

    @classmethod
    def load(cls, path: Path, dataset: Dataset) -> "SelectSplit":
        """Read the split of a dataset.

        Raises:
            InputError: The file is no split, or belongs to a dataset with other images or labels.
        """
        stored = _read(path)
        split = _make(dataset, stored.select_ids, stored.share, stored.seed)
        unknown = set(stored.select_ids).difference(dataset.labelled["id"])
        if unknown or split.fingerprint != stored.fingerprint:
            seen = f", such as {shown(min(unknown))} no longer being there" if unknown else ""
            raise InputError(
                f"{shown(path)}: was made for other images or labels than {shown(dataset.root)} now holds"
                f"{seen}: bring them back, or start a search under a new name"
            )
        return split


class _Stored(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    format: int = Field(ge=1, le=1)
    fingerprint: str = Field(pattern="^[0-9a-f]{16}$")
    share: float = Field(gt=0, lt=1)
    seed: int = Field(ge=0)
    select_ids: list[str]


def make_select_split(dataset: Dataset, *, share: float, seed: int) -> SelectSplit:
    """Choose the select split: the same share of every class, copies on one side.

    Args:
        dataset: What to divide; the order of its rows does not matter.
        share: Of the labelled images that the select split takes, within (0, 1).
        seed: Of the choice.

    Raises:
        InputError: A class has fewer than two images that are no copies of each other.
    """
    _check_enough(dataset)
    frame = dataset.labelled.assign(group=dataset.groups).sort_values("id")
    _, labels = np.unique(frame["label"].to_numpy(np.str_), return_inverse=True)
    # Groups are renamed after their first id: their numbers depend on the order of the files.
    first_ids = frame.groupby("group")["id"].transform("min").to_numpy(np.str_)
    groups = np.unique(first_ids, return_inverse=True)[1]
    chosen = stratified_group_split(labels, groups, share=share, seed=seed)
    return _make(dataset, frame["id"][chosen].tolist(), share, seed)


def _make(dataset: Dataset, select_ids: Sequence[str], share: float, seed: int) -> SelectSplit:
    select = set(select_ids)
    train = sorted(name for name in dataset.labelled["id"] if name not in select)
    text = json.dumps([dataset.fingerprint, sorted(select_ids)])
    fingerprint = hashlib.sha256(text.encode()).hexdigest()[:16]
    return SelectSplit(tuple(sorted(select_ids)), tuple(train), fingerprint, share, seed)


def _check_enough(dataset: Dataset) -> None:
    frame = dataset.labelled.assign(group=dataset.groups)
    counts = frame.groupby("label").agg(images=("id", "size"), groups=("group", "nunique"))
    small = counts[counts["groups"] < 2]  # noqa: PLR2004 one for each side
    if len(small):
        lines = [
            f"{shown(str(row.Index))}: {row.images} images, {row.groups} without copies"
            for row in small.itertuples()
        ]
        raise InputError(
            f"{shown(dataset.root)}: a class needs two images that are no copies of each other, one for the "
            f"select split and one to train on; add images or remove the class{listed(lines, len(lines))}"
        )


def _read(path: Path) -> _Stored:
    try:
        return _Stored.model_validate_json(path.read_bytes())
    except OSError as error:
        raise InputError(f"{shown(path)}: cannot be read: {error.strerror}") from error
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"])) or "the file"
        raise InputError(
            f"{shown(path)}: is no stored split: {shown(key)}: {first['msg']}; remove it to make a new one"
        ) from error
