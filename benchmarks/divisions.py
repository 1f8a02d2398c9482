"""Labelled images of a dataset, divided into training, select and test images.

Benchmarks that train members share it. The largest classes count. Whole groups stay in one part, and large
images are replaced with small copies: decoding is not what is measured. A division is kept in a file, so that
all members of a benchmark have the same one.
"""

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd

    from tune_paddy.data.member_data import Parts

CLASSES = 12
"""Number of classes that count, the largest ones."""

SIDE = 160
"""Side of the copies of large images, in px, at most."""


def labelled_images(data: Path, group: str | None) -> "pd.DataFrame":
    """Return the images of the largest classes: columns `id`, `path`, `label` and `group`."""
    import pandas as pd  # noqa: PLC0415

    from tune_paddy.data.dataset import Dataset  # noqa: PLC0415

    table = data / "train.csv"
    grouped = group and table.exists() and group in pd.read_csv(table, nrows=1)
    dataset = Dataset.open(data, group=group if grouped else None, skip_corrupt=True, skip_conflicts=True)
    frame = dataset.labelled.assign(group=dataset.groups)
    return frame[frame["label"].isin(frame["label"].value_counts().index[:CLASSES])]


def write_division(
    file: Path, frame: "pd.DataFrame", seed: int, wanted: Mapping[str, int], copies: Path
) -> None:
    """Divide images at random, and write the division.

    Args:
        file: File of the division.
        frame: Images, see `labelled_images`.
        seed: Seed of the division.
        wanted: Part → number of its images, at most: train, select and test.
        copies: Folder of the copies of large images.
    """
    cut = cut_at_random(frame, seed, wanted)
    paths = [small_copy(Path(path), copies) for path in cut["path"]]
    file.parent.mkdir(parents=True, exist_ok=True)
    np.savez(
        file,
        part=cut["part"].to_numpy(dtype=str),
        id=cut["id"].to_numpy(dtype=str),
        path=np.array(paths),
        label=cut["label"].to_numpy(dtype=str),
        group=cut["group"].to_numpy(np.int64),
    )


def cut_at_random(frame: "pd.DataFrame", seed: int, wanted: Mapping[str, int]) -> "pd.DataFrame":
    """Return the images of the three parts, with a column `part`; whole groups stay together."""
    import pandas as pd  # noqa: PLC0415
    from sklearn.model_selection import GroupShuffleSplit  # noqa: PLC0415

    rest, parts = frame, []
    for name in ("test", "select"):
        cut = GroupShuffleSplit(1, test_size=min(wanted[name] / len(rest), 0.34), random_state=seed)
        ((others, taken),) = cut.split(rest, groups=rest["group"])
        parts.append(rest.iloc[taken].assign(part=name))
        rest = rest.iloc[others]
    parts.append(rest.sample(min(wanted["train"], len(rest)), random_state=seed).assign(part="train"))
    return pd.concat(parts)


def read_division(file: Path, seed: int) -> "tuple[Parts, NDArray[np.int64]]":
    """Return the parts of a division, and the labels of its test part."""
    from tune_paddy.data.member_data import Part, Parts  # noqa: PLC0415

    with np.load(file, allow_pickle=False) as read:
        columns = {name: read[name] for name in read.files}
    classes = tuple(np.unique(columns["label"]).tolist())
    labels = np.searchsorted(classes, columns["label"]).astype(np.int64)

    def part(name: str, *, known: bool = True) -> Part:
        rows = columns["part"] == name
        nothing = np.empty(0, np.int64)
        return Part(
            columns["id"][rows],
            tuple(columns["path"][rows].tolist()),
            labels[rows] if known else nothing,
            columns["group"][rows] if known else nothing,
        )

    parts = Parts(classes, f"seed {seed}", part("train"), part("select"), part("test", known=False))
    return parts, labels[columns["part"] == "test"]


def small_copy(path: Path, folder: Path) -> str:
    """Return the path of an image of at most `SIDE` px: its own, or that of a copy."""
    from PIL import Image  # noqa: PLC0415

    from tune_paddy.data.images import load_rgb  # noqa: PLC0415

    with Image.open(path) as opened:
        if max(opened.size) <= SIDE:
            return str(path)
    copy = folder / f"{hashlib.sha256(str(path).encode()).hexdigest()[:24]}.png"
    if not copy.exists():
        folder.mkdir(parents=True, exist_ok=True)
        image = load_rgb(str(path))
        image.thumbnail((SIDE, SIDE))
        partial = copy.with_suffix(f".{os.getpid()}.png")
        image.save(partial)
        partial.replace(copy)
    return str(copy)
