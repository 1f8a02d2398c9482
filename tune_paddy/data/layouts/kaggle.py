"""Layout of Kaggle: a table of images and labels, and a folder of images per label."""

from collections.abc import Iterator, Sequence
from pathlib import Path, PurePath

from tune_paddy.core.errors import InputError
from tune_paddy.data.csv_table import CsvTable, read_csv
from tune_paddy.data.layouts.listing import (
    IMAGE_COLUMNS,
    LABEL_COLUMNS,
    Listing,
    is_image_name,
    is_passed_over,
    list_images,
    make_labelled,
    make_test,
    read_labels,
)
from tune_paddy.data.submission import SubmissionFormat
from tune_paddy.data.system.text import counted, listed, shown

NAME = "Kaggle's layout"
TABLE, IMAGES, TEST_IMAGES = "train.csv", "train_images", "test_images"


def fits_kaggle(root: Path) -> bool:
    """Return whether a folder has a table and an image folder with Kaggle's names."""
    return (root / TABLE).is_file() and (root / IMAGES).is_dir()


def read_kaggle(root: Path) -> Listing:
    """List the images of Kaggle's layout.

    Images in `train_images` that are not in the table are ignored, with a note.

    Raises:
        InputError: The table is invalid, names an image that is missing or in the folder of another label,
            or a name points outside the folder.
        OSError: A folder cannot be read.
    """
    table = read_csv(root / TABLE)
    ids, labels = read_labels(table)
    _check_plain(table, ids, "image")
    _check_plain(table, labels, "label")
    there = _files_by_label(root / IMAGES)
    _check_there(table, ids, labels, there)
    paths = [str(root / IMAGES / label / name) for name, label in zip(ids, labels, strict=True)]
    has_test = (root / TEST_IMAGES).is_dir()
    return Listing(
        layout=NAME,
        root=root,
        labelled=make_labelled(ids, paths, labels, table),
        test=make_test(*list_images(root / TEST_IMAGES)) if has_test else make_test(),
        form=SubmissionFormat(table.need_column(IMAGE_COLUMNS), table.need_column(LABEL_COLUMNS)),
        notes=tuple(_unnamed(root, set(zip(labels, ids, strict=True)), there)),
    )


def _check_plain(table: CsvTable, names: Sequence[str], what: str) -> None:
    """Refuse names that are not plain file or folder names, such as `../x`."""
    for row, name in enumerate(names):
        if name in {".", ".."} or PurePath(name).name != name or "\0" in name:
            raise InputError(f"{table.place(row)}: {what} '{shown(name)}' is not a plain name")


def _files_by_label(folder: Path) -> dict[str, set[str]]:
    labels = [entry for entry in folder.iterdir() if entry.is_dir() and not is_passed_over(entry.name)]
    return {label.name: {entry.name for entry in label.iterdir() if entry.is_file()} for label in labels}


def _check_there(
    table: CsvTable, ids: Sequence[str], labels: Sequence[str], there: dict[str, set[str]]
) -> None:
    missing = [
        row
        for row, (name, label) in enumerate(zip(ids, labels, strict=True))
        if name not in there.get(label, ())
    ]
    if missing:
        lines = (_missing(table.lines[row], ids[row], labels[row], there) for row in missing)
        raise InputError(
            f"{shown(table.path)}: {counted(len(missing), 'image')} missing from the folders of their labels "
            f"in {IMAGES}: correct the labels, copy the images there, or remove the lines"
            f"{listed(lines, len(missing))}"
        )


def _missing(line: int, name: str, label: str, there: dict[str, set[str]]) -> str:
    others = sorted(other for other, files in there.items() if name in files)
    place = f"lies in {shown(others[0])}" if others else "is not there"
    return f"line {line}: {shown(name)} has label {shown(label)} and {place}"


def _unnamed(root: Path, named: set[tuple[str, str]], there: dict[str, set[str]]) -> Iterator[str]:
    extra = sorted(
        f"{label}/{name}"
        for label, files in there.items()
        for name in files
        if is_image_name(name) and (label, name) not in named
    )
    if extra:
        yield (
            f"{counted(len(extra), 'image')} in {shown(root / IMAGES)} not used, because {TABLE} does not "
            f"name them, such as {shown(extra[0])}"
        )
