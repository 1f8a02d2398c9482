"""The select split or the folds of a search: made once per dataset and seed, stored, shared by every member.

`core/splits.py` has the arithmetic, `data/sides` what a person says: groups, and columns that define a split.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tune_paddy.core.errors import InputError
from tune_paddy.core.splits import group_folds, stratified_group_split
from tune_paddy.data.sides.parts import GivenSplit
from tune_paddy.data.system.files import read_file, write_atomically
from tune_paddy.data.system.text import counted, listed, shown

if TYPE_CHECKING:  # a selection reads the groups of a split, and opens no dataset
    from tune_paddy.data.dataset import Dataset

MAX_MIB = 256
"""Maximum size of a stored split, in MiB."""
FEW = 3
"""Number of images of a class below which its recall means little: one image is a third of it."""
_NAMED = 5
"""Maximum number of classes that a sentence names; it counts the rest."""


@dataclass(frozen=True)
class SelectSplit:
    """Labelled images that no model trains on; with folds, the images held out from each model.

    Attributes:
        select_ids: Ids of the select split, sorted; with folds, all images that a fold holds out.
        train_ids: Ids of all other labelled images, sorted; with folds, those of images in the only group
            of a class, which every fold trains on.
        fingerprint: Hash of the dataset's fingerprint, the select split and its folds, 16 hex digits.
        share: Requested share of the labelled images; with folds, the share of one fold.
        seed: Seed of the split.
        folds: Fold of each select image, from 0; empty: one split for all models.
        groups: Number of the group of each select image, equal for images that belong together; empty: every
            image is alone.
    """

    select_ids: tuple[str, ...]
    train_ids: tuple[str, ...]
    fingerprint: str
    share: float
    seed: int
    folds: tuple[int, ...] = ()
    groups: tuple[int, ...] = ()

    @property
    def n_folds(self) -> int:
        """Number of folds; 0 without folds."""
        return max(self.folds, default=-1) + 1

    def save(self, path: Path) -> None:
        """Write the split as JSON, atomically.

        Raises:
            TunePaddyError: The file cannot be written.
        """
        stored: dict[str, Any] = {
            "format": 1,
            "fingerprint": self.fingerprint,
            "share": self.share,
            "seed": self.seed,
            "select_ids": self.select_ids,
        }
        if self.folds:
            stored["folds"] = self.folds
        if self.groups:
            stored["groups"] = self.groups
        write_atomically(path, (json.dumps(stored, indent=1, ensure_ascii=False) + "\n").encode())

    @classmethod
    def load(cls, path: Path, dataset: "Dataset") -> "SelectSplit":
        """Load the split of a dataset.

        Raises:
            InputError: The file is not a split, or belongs to a dataset with other images or labels.
        """
        stored = _read(path)
        if stored.folds and len(stored.folds) != len(stored.select_ids):
            raise InputError(
                f"{shown(path)}: is not a stored split: {len(stored.folds)} folds for "
                f"{len(stored.select_ids)} images; remove it to make a new one"
            )
        split = _make(dataset, stored.select_ids, stored.share, stored.seed, stored.folds)
        unknown = set(stored.select_ids).difference(dataset.labelled["id"])
        if unknown or split.fingerprint != stored.fingerprint:
            seen = f"; for example, {shown(min(unknown))} is missing" if unknown else ""
            raise InputError(
                f"{shown(path)}: was made for other images or labels than {shown(dataset.root)} now holds"
                f"{seen}: restore them, or start a search under a new name"
            )
        return split


class _Stored(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    format: int = Field(ge=1, le=1)
    fingerprint: str = Field(pattern="^[0-9a-f]{16}$")
    share: float = Field(gt=0, lt=1)
    seed: int = Field(ge=0)
    select_ids: list[str]
    folds: list[int] = []
    groups: list[int] = []


def read_groups(content: bytes, split: str) -> dict[str, int]:
    """Return id → group of the select images of a stored split, from the content of its file.

    Args:
        content: Content of the file.
        split: Fingerprint that the split must have.

    Returns:
        The groups; empty if every image is alone, or the file is no such split.
    """
    try:
        stored = _Stored.model_validate_json(content)
    except ValidationError:
        return {}
    same = stored.fingerprint == split and len(stored.groups) == len(stored.select_ids)
    return dict(zip(stored.select_ids, stored.groups, strict=True)) if same else {}


def make_split(dataset: "Dataset", *, folds: int, share: float, seed: int) -> SelectSplit:
    """Split a dataset as its column `split_column` says, otherwise into folds, or at random by a share.

    Args:
        dataset: Dataset to split.
        folds: Number of folds; 0: one split for all models.
        share: Share of the labelled images in the select split, within (0, 1).
        seed: Seed of the split.

    Raises:
        InputError: The classes cannot be split, or a given split leaves a class without images to train on.
    """
    given = dataset.given
    if given is not None and given.n_folds == folds:
        return _make_given(dataset, given, share=1 / folds if folds else share, seed=seed)
    if folds:
        return make_folds(dataset, k=folds, seed=seed)
    return make_select_split(dataset, share=share, seed=seed)


def folds_of(dataset: "Dataset", folds: int, *, chosen: bool) -> int:
    """Return the number of folds of a dataset's split; a column that defines the split decides.

    Args:
        dataset: Dataset to split.
        folds: Number of folds in the settings.
        chosen: Whether a person chose that number.

    Raises:
        InputError: The settings contradict the column.
    """
    given = dataset.given
    if given is None or given.n_folds == folds:
        return folds
    if chosen:
        what = f"{given.n_folds} folds" if given.n_folds else "one select split"
        raise InputError(
            f"`folds={folds}` contradicts the column {shown(given.column)} (`split_column`), which defines "
            f"{what}: leave one of them out",
            options=("folds", "split_column"),
        )
    return given.n_folds


def make_select_split(dataset: "Dataset", *, share: float, seed: int) -> SelectSplit:
    """Choose the select split: the same share of every class, copies on one side.

    Args:
        dataset: Dataset to split; the order of its rows does not matter.
        share: Share of the labelled images in the select split, within (0, 1).
        seed: Seed of the split.

    Raises:
        InputError: No class has two distinct images, or copies of each other tie the classes together.
    """
    ids, labels, groups = _sorted_images(dataset)
    with _told_of(dataset):
        chosen = stratified_group_split(labels, groups, share=share, seed=seed)
    return _make(dataset, ids[chosen].tolist(), share, seed)


def make_folds(dataset: "Dataset", *, k: int, seed: int) -> SelectSplit:
    """Distribute the labelled images over k folds: each class evenly, copies in one fold.

    A class with fewer than k distinct images is missing from some folds. The only image of a class is in no
    fold: every model trains on it.

    Args:
        dataset: Dataset to split; the order of its rows does not matter.
        k: Number of folds, at least 2.
        seed: Seed of the folds.

    Raises:
        InputError: There are fewer than k distinct images to hold out, or copies of each other tie the
            classes together.
    """
    ids, labels, groups = _sorted_images(dataset)
    with _told_of(dataset):
        folds = group_folds(labels, groups, k=k, seed=seed)
    held = folds >= 0
    return _make(dataset, ids[held].tolist(), 1 / k, seed, folds[held].tolist())


def _make_given(dataset: "Dataset", given: GivenSplit, *, share: float, seed: int) -> SelectSplit:
    """Return the split of a column; every class must have images to train on."""
    frame = dataset.labelled
    held = np.array(given.selected)
    for fold in range(max(1, given.n_folds)):
        out = np.array(given.folds) == fold if given.folds else held
        left = _counts(dataset, frame["label"][~out].tolist())
        lost = [name for name in dataset.classes if not left[name]]
        if lost:
            where = f"fold {shown(given.names[fold])}" if given.folds else "the select split"
            raise InputError(
                f"{shown(dataset.root)}: column {shown(given.column)} (`split_column`) puts every image of "
                f"class {shown(lost[0])} into {where}: a model would train without it; correct the column, "
                "or leave the option out",
                options=("split_column",),
            )
    return _make(dataset, frame["id"][held].tolist(), share, seed, given.folds)


def describe_limits(dataset: "Dataset", split: SelectSplit) -> tuple[str, ...]:
    """Return what a split cannot judge, one sentence per finding, with the classes' names and the remedy."""
    held = set(split.select_ids)
    labels = dataset.labelled["label"]
    judged = _counts(dataset, labels[dataset.labelled["id"].isin(held)].tolist())
    counts = _counts(dataset, labels.tolist())
    alone = _only_values(dataset)
    unjudged = [name for name in dataset.classes if not judged[name]]
    thin = [name for name in dataset.classes if 0 < judged[name] < FEW]
    notes = []
    notes += [
        f"class {shown(name)}: all {counted(counts[name], 'image')} are in one group, so none of them is "
        "left to judge by; add images of another group, or merge the class with another"
        for name in unjudged
        if name in alone
    ]
    unjudged = [name for name in unjudged if name not in alone]
    if unjudged:
        notes.append(
            f"no distinct image is left to judge by: {_named(unjudged, counts)}; add images, or merge the "
            "class with another"
        )
    if thin:
        more = "" if split.folds else "; with folds, every image judges"
        notes.append(f"few images in the select split to judge by: {_named(thin, judged)}{more}")
    return tuple(notes)


def _counts(dataset: "Dataset", labels: Sequence[str]) -> dict[str, int]:
    """Return the number of images of each class; an image with several labels counts for each of them."""
    encoded = dataset.task.encode(labels, dataset.classes)
    counts = dataset.task.counts(encoded, len(dataset.classes))
    return dict(zip(dataset.classes, counts.tolist(), strict=True))


def _only_values(dataset: "Dataset") -> set[str]:
    """Return the classes all of whose images are in one group, although they are several different images."""
    if dataset.options.group is None:
        return set()
    return {name for name, images, groups in _sizes(dataset) if groups == 1 < images}


def _sizes(dataset: "Dataset") -> list[tuple[str, int, int]]:
    """Return each class with its numbers of images and of groups, in the order of the classes.

    An image with several labels counts for each of them.
    """
    groups = np.unique(dataset.groups, return_inverse=True)[1]
    labels = dataset.labelled["label"].tolist()
    pairs = {
        (name, group)
        for label, group in zip(labels, groups.tolist(), strict=True)
        for name in dataset.task.classes_of([label])
    }
    n_groups = Counter(name for name, _ in pairs)
    return [(name, images, n_groups[name]) for name, images in _counts(dataset, labels).items()]


def _named(names: Sequence[str], counts: Mapping[str, int]) -> str:
    """Return class names with their numbers of images; count the rest of a long list."""
    words = [f"{shown(name)} ({counted(counts[name], 'image')})" for name in names[:_NAMED]]
    rest = [f"{len(names) - _NAMED} more"] if names[_NAMED:] else []
    return f"{'class' if len(names) == 1 else 'classes'} {', '.join(words + rest)}"


@contextmanager
def _told_of(dataset: "Dataset") -> Iterator[None]:
    """Name the dataset and its smallest classes in an error of the division."""
    try:
        yield
    except InputError as error:
        kind = "distinct" if dataset.options.group is None else "in different groups"
        lines = [
            f"{shown(name)}: {counted(images, 'image')}, {distinct} {kind}"
            for distinct, name, images in sorted(
                (groups, name, images) for name, images, groups in _sizes(dataset)
            )
        ]
        raise InputError(
            f"{shown(dataset.root)}: {error}{listed(lines, len(lines))}", options=error.options
        ) from None


def _sorted_images(dataset: "Dataset") -> tuple[NDArray[np.str_], NDArray[np.int64], NDArray[np.int64]]:
    """Return ids, numeric labels and groups of all labelled images, independent of file order."""
    frame = dataset.labelled.assign(group=dataset.groups).sort_values("id")
    strata = dataset.task.strata(dataset.task.encode(frame["label"].tolist(), dataset.classes))
    labels = np.unique(strata, return_inverse=True)[1]
    # Groups are renamed after their first id: their numbers depend on the order of the files.
    first_ids = frame.groupby("group")["id"].transform("min").to_numpy(np.str_)
    groups = np.unique(first_ids, return_inverse=True)[1]
    return frame["id"].to_numpy(np.str_), labels, groups


def _make(
    dataset: "Dataset", select_ids: Sequence[str], share: float, seed: int, folds: Sequence[int] = ()
) -> SelectSplit:
    select = set(select_ids)
    train = sorted(name for name in dataset.labelled["id"] if name not in select)
    order = sorted(range(len(select_ids)), key=select_ids.__getitem__)
    ids = [select_ids[row] for row in order]
    dealt = [folds[row] for row in order] if folds else []
    text = json.dumps([dataset.fingerprint, ids, *([dealt] if dealt else [])])
    fingerprint = hashlib.sha256(text.encode()).hexdigest()[:16]
    groups = _groups_of(dataset, ids)
    return SelectSplit(tuple(ids), tuple(train), fingerprint, share, seed, tuple(dealt), groups)


def _groups_of(dataset: "Dataset", ids: Sequence[str]) -> tuple[int, ...]:
    """Return the numbers of the groups of images, in the order of their first ids; () if each is alone."""
    group_of = dict(zip(dataset.labelled["id"], dataset.groups.tolist(), strict=True))
    numbers: dict[int, int] = {}
    groups = tuple(numbers.setdefault(group_of.get(name, -1), len(numbers)) for name in ids)
    return groups if len(numbers) < len(groups) else ()


def _read(path: Path) -> _Stored:
    try:
        return _Stored.model_validate_json(read_file(path, most=MAX_MIB, what="a stored split"))
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"])) or "the file"
        raise InputError(
            f"{shown(path)}: is not a stored split: {shown(key)}: {first['msg']}; remove it to make a new one"
        ) from error
