"""The three layouts of a dataset on disk, found out by looking."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from tune_paddy.core.errors import InputError
from tune_paddy.data.images import SUFFIXES
from tune_paddy.data.submission import SubmissionFormat
from tune_paddy.data.tables import read_table, require_columns

TRAIN_CSV, TRAIN_IMAGES, TEST_IMAGES, SAMPLE = (
    "train.csv",
    "train_images",
    "test_images",
    "sample_submission.csv",
)
_TRAIN_FOLDERS, _TEST_FOLDERS = ("train", "training"), ("test", "test_images", "testing")
_PATH_COLUMNS = ("path", "file", "filename", "file_name", "image", "image_path", "image_id", "id")
_LABEL_COLUMNS = ("label", "class", "target", "category")

LAYOUTS = f"""\
Kaggle's ({TRAIN_CSV} with image_id and label, {TRAIN_IMAGES}/LABEL/ID, {TEST_IMAGES}/, {SAMPLE}); \
a folder per class, with or without a folder named {" or ".join(_TEST_FOLDERS[:2])}; \
or a CSV of paths and labels"""


@dataclass(frozen=True)
class Listing:
    """The images of a dataset before any was opened.

    Attributes:
        root: Absolute folder.
        layout: `kaggle`, `folders` or `csv`.
        labelled: `id`, `path`, `label`, then what else the CSV had.
        test: `id`, `path`, in the submission's order.
        submission: Columns of the submission.
    """

    root: Path
    layout: str
    labelled: pd.DataFrame
    test: pd.DataFrame
    submission: SubmissionFormat


def find_listing(path: Path) -> Listing:
    """Find out the layout of a dataset and list its images.

    Raises:
        InputError: Nothing is there, no layout fits, or the layout that fits is broken.
    """
    path = path.expanduser().absolute()
    if path.is_file():
        if path.suffix.lower() != ".csv":
            raise InputError(f"{path} is neither a folder nor a .csv file")
        return _from_csv(path)
    if not path.is_dir():
        raise InputError(f"{path}: there is no such folder; name the folder that holds the images")
    for fits, read in _READERS:
        if fits(path):
            return read(path)
    raise InputError(f"{path}: no known layout of images; it takes one of three: {LAYOUTS}")


def _is_kaggle(root: Path) -> bool:
    return (root / TRAIN_CSV).is_file() and (root / TRAIN_IMAGES).is_dir()


def _from_kaggle(root: Path) -> Listing:
    source = root / TRAIN_CSV
    table = read_table(source)
    require_columns(table, ("image_id", "label"), source)
    paths = [
        str(root / TRAIN_IMAGES / _inside(label, source) / _inside(name, source))
        for name, label in zip(table["image_id"], table["label"], strict=True)
    ]
    labelled = _labelled(table.rename(columns={"image_id": "id"}), paths, source)
    test, form = _kaggle_test(root)
    return Listing(root, "kaggle", labelled, test, form)


def _kaggle_test(root: Path) -> tuple[pd.DataFrame, SubmissionFormat]:
    """The test images in the sample submission's order, which must name each of them once."""
    found = {image.name: image for image in _images(root / TEST_IMAGES)}
    sample = root / SAMPLE
    if not sample.is_file():
        return _test_frame(found), SubmissionFormat()
    table = read_table(sample)
    if len(table.columns) < 2:  # noqa: PLR2004 ids and labels
        raise InputError(f"{sample}: needs a column of ids and a column of labels")
    form = SubmissionFormat(str(table.columns[0]), str(table.columns[1]))
    ids = table[form.id_column].tolist()
    for problem, names in (
        (f"are not in {TEST_IMAGES}/", sorted(set(ids) - found.keys())),
        ("are missing from it", sorted(found.keys() - set(ids))),
        (
            "are named twice",
            sorted({name for name in ids if ids.count(name) > 1}) if len(set(ids)) < len(ids) else [],
        ),
    ):
        if names:
            raise InputError(f"{sample}: {len(names)} images {problem}, the first is {names[0]!r}")
    return _test_frame({name: found[name] for name in ids}), form


def _has_class_folders(root: Path) -> bool:
    return bool(_class_folders(_train_folder(root)))


def _from_folders(root: Path) -> Listing:
    top = _train_folder(root)
    rows = [
        (image.relative_to(top).as_posix(), str(image), folder.name)
        for folder in _class_folders(top)
        for image in _images(folder)
    ]
    labelled = pd.DataFrame(rows, columns=["id", "path", "label"], dtype=str)
    test = next((root / name for name in _TEST_FOLDERS if (root / name).is_dir()), None)
    found = {image.relative_to(test).as_posix(): image for image in _images(test)} if test else {}
    return Listing(root, "folders", labelled, _test_frame(found), SubmissionFormat())


def _train_folder(root: Path) -> Path:
    return next((root / name for name in _TRAIN_FOLDERS if (root / name).is_dir()), root)


def _class_folders(top: Path) -> list[Path]:
    return sorted(
        folder
        for folder in top.iterdir()
        if folder.is_dir()
        and not folder.name.startswith(".")
        and folder.name not in _TEST_FOLDERS
        and next(_images(folder), None) is not None
    )


def _has_one_csv(root: Path) -> bool:
    return len(_label_tables(root)) == 1


def _label_tables(root: Path) -> list[Path]:
    return [
        path for path in sorted(root.glob("*.csv")) if path.name != "test.csv" and _columns(read_table(path))
    ]


def _columns(table: pd.DataFrame) -> tuple[str, str] | None:
    """The names of the path and the label column, in whatever case they are written."""
    names = {str(column).lower(): str(column) for column in table.columns}
    path = next((names[name] for name in _PATH_COLUMNS if name in names), None)
    label = next((names[name] for name in _LABEL_COLUMNS if name in names), None)
    return (path, label) if path and label else None


def _from_only_csv(root: Path) -> Listing:
    return _from_csv(_label_tables(root)[0])


def _from_csv(source: Path) -> Listing:
    table = read_table(source)
    columns = _columns(table)
    if columns is None:
        raise InputError(
            f"{source}: needs a column of paths ({', '.join(_PATH_COLUMNS)}) and one of labels "
            f"({', '.join(_LABEL_COLUMNS)}); it has {', '.join(map(str, table.columns))}"
        )
    path_column, label_column = columns
    table = table.rename(columns={path_column: "id", label_column: "label"})
    labelled = _labelled(table, [str(source.parent / name) for name in table["id"]], source)
    test = source.parent / "test.csv"
    found: dict[str, Path] = {}
    if test.is_file() and test != source:
        names = read_table(test).iloc[:, 0].tolist()
        found = {name: source.parent / name for name in names}
    return Listing(
        source.parent, "csv", labelled, _test_frame(found), SubmissionFormat(path_column, label_column)
    )


def _labelled(table: pd.DataFrame, paths: list[str], source: Path) -> pd.DataFrame:
    for column in ("id", "label"):
        empty = table.index[table[column].str.strip() == ""]
        if len(empty):
            raise InputError(f"{source}:{empty[0] + 2}: the {column} is empty; fill it in or remove the line")
    twice = table.index[table["id"].duplicated()]
    if len(twice):
        raise InputError(f"{source}:{twice[0] + 2}: {table['id'][twice[0]]!r} stands there twice; remove one")
    rest = [column for column in table.columns if column not in ("id", "path", "label")]
    return pd.concat([table["id"], pd.Series(paths, name="path", dtype=str), table[["label", *rest]]], axis=1)


def _test_frame(found: dict[str, Path]) -> pd.DataFrame:
    return pd.DataFrame({"id": list(found), "path": [str(path) for path in found.values()]}, dtype=str)


def _images(folder: Path) -> Iterator[Path]:
    """Image files below a folder, hidden ones left out, in the order of their names."""
    if not folder.is_dir():
        return
    for path in sorted(folder.rglob("*")):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if path.suffix.lower() in SUFFIXES and path.is_file() and not hidden:
            yield path


def _inside(name: str, source: Path) -> str:
    """Refuse names that would lead out of the dataset's folder."""
    if "\0" in name or Path(name).is_absolute() or ".." in Path(name).parts:
        raise InputError(f"{source}: {name!r} leads out of the dataset's folder")
    return name


_READERS: tuple[tuple[Callable[[Path], bool], Callable[[Path], Listing]], ...] = (
    (_is_kaggle, _from_kaggle),
    (_has_class_folders, _from_folders),
    (_has_one_csv, _from_only_csv),
)
