"""Detection of the three layouts of labelled images.

- Kaggle's: `train.csv` with an image column, a label column and further ones; `train_images/LABEL/ID`;
  `test_images/ID`.
- A CSV of paths and labels, given itself or as the only such CSV of a folder. A relative path starts from
  the CSV's folder and may not leave it; an absolute path is allowed. An optional `test.csv` beside the
  table names the images to predict.
- A folder per class, in the folder itself or in its `train/` or `train_images/`. Images to predict may be
  in `test_images/` or `test/`. Hidden files, and files without an image suffix, are ignored.

In each layout an optional `sample_submission.csv` determines the images to predict and their order. Columns
are found by name.
"""

from dataclasses import replace
from pathlib import Path

from tune_paddy.core.errors import InputError
from tune_paddy.data.layouts.csv import find_label_tables, read_label_table
from tune_paddy.data.layouts.folders import fits_folders, read_folders
from tune_paddy.data.layouts.kaggle import IMAGES, TABLE, fits_kaggle, read_kaggle
from tune_paddy.data.layouts.listing import IMAGE_COLUMNS, LABEL_COLUMNS, Listing
from tune_paddy.data.submission import SAMPLE, check_same_ids, read_submission
from tune_paddy.data.system.text import shown


def list_dataset(path: Path) -> Listing:
    """Detect the layout of a dataset and list its images without opening them.

    Args:
        path: Folder, or CSV.

    Raises:
        InputError: The folder is missing, no layout matches, or its files are contradictory; the message
            names the file and what to do.
    """
    try:
        return _in_order_of_sample(_list(path.expanduser().resolve()))
    except (OSError, RuntimeError) as error:  # RuntimeError: a link loop, or no home folder
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{shown(path)}: cannot be read: {reason}") from error


def _list(path: Path) -> Listing:
    if path.is_dir():
        return _list_folder(path)
    if not path.is_file():
        raise InputError(f"no folder or CSV file {shown(path)}: check the path")
    if path.suffix.lower() != ".csv":
        raise InputError(f"{shown(path)} is neither a folder nor a .csv file; unpack an archive first")
    if path.name == TABLE and fits_kaggle(path.parent):
        return read_kaggle(path.parent)
    return read_label_table(path)


def _list_folder(root: Path) -> Listing:
    if fits_kaggle(root):
        return read_kaggle(root)
    tables = find_label_tables(root)
    if len(tables) == 1:
        return read_label_table(tables[0])
    if fits_folders(root):
        return read_folders(root)
    several = f"there are several, {', '.join(shown(table.name) for table in tables)}: name one"
    raise InputError(
        f"{shown(root)}: none of the three layouts fits: "
        f"(1) Kaggle's: {_lack_of_kaggle(root)}; "
        "(2) a folder per class: no folder in it, in train/ or in train_images/ holds images; "
        f"(3) a CSV with a column {'|'.join(IMAGE_COLUMNS)} and one {'|'.join(LABEL_COLUMNS)}: "
        f"{several if tables else 'there is none'}"
    )


def _lack_of_kaggle(root: Path) -> str:
    missing = [name for name in (TABLE, IMAGES) if not (root / name).exists()]
    return f"{' and '.join(missing) or f'a file {TABLE} and a folder {IMAGES}'} not found"


def _in_order_of_sample(listing: Listing) -> Listing:
    """Put the test images into the order of the sample submission, if there is one."""
    path = listing.root / SAMPLE
    if not path.is_file():
        return listing
    sample = read_submission(path)
    what = f"the set of test images in {shown(listing.root)}"
    check_same_ids(listing.test["id"], sample.ids, what=what, wanted_by=shown(path))
    test = listing.test.set_index("id", drop=False).loc[list(sample.ids)].reset_index(drop=True)
    return replace(listing, test=test, form=sample.form, sample=path)
