"""Generated folder trees and tables: nothing is lost in silence, and no class is named like a part."""

from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st

from tune_paddy.core.errors import InputError
from tune_paddy.data.layouts.detect import list_dataset
from tune_paddy.data.layouts.names import role_of
from tune_paddy.data.layouts.tree import is_image_name, is_passed_over
from tune_paddy.data.system.own_output import MARKER

FOLDERS = st.sampled_from((
    "", "cat", "dog", "train", "Training", "trainset", "valid", "test", "test1", "Testing",
    "images", "fold1", "fold2", "train/train", "train/cat", "train/dog", "Training/cat", "test/cat",
    "valid/dog", "cat/train", "cat/2023", "images/cat", "data/train/cat", "fold1/cat", "fold2/cat",
    "runs", "runs/demo-1/figures", ".git", "seg_train/seg_train/cat", "seg_test/seg_test", "a b",
    "ünï", "a/cat", "a/dog", "b/cat", "b/dog", "masks", "part_1", "part_2", "all/cat", "all/dog",
    "x/y/train/cat", "x/z/train/dog", "@eaDir",
))  # fmt: skip
FILES = st.sampled_from(
    (
        "1.jpg",
        "2.jpg",
        "2.png",
        "3.JPG",
        "x.1.jpg",
        "cat.1.jpg",
        "cat.2.jpg",
        "dog_3.jpg",
        "ö.png",
        ".h.jpg",
        "notes.txt",
        "b.xml",
    )
)
VALUES = st.sampled_from((
    "1", "2", "2.jpg", "1.jpg", "cat/1.jpg", "cat", "dog", "train/1.jpg", "", "0", "x.1",
    "cat dog", "cat|dog", "0.5", "1.0", "True", "no", "['cat', 'dog']", "1.jpg cat",
    "/old/cat/1.jpg", "/old/cat/2.jpg", "C:\\cat\\2.jpg",
    "../1.jpg", "/etc/passwd", "\0", "ö", 'a"b', "cat\\1.jpg",
))  # fmt: skip
NAMES = st.sampled_from((
    "train.csv", "labels.csv", "test.csv", "sample_submission.csv", "submission.csv",
    "train/labels.csv", "valid/labels.csv", "test/labels.csv", "x.tsv",
    "labels.txt", "labels", "labels.yaml", "labels.csv.gz", "meta/v1/labels.csv", "valid.csv", "answers.csv",
))  # fmt: skip
COLUMNS = st.sampled_from(
    ("image", "id", "label", "path", "kind", "class", "", "1.jpg", "file", "cat", "dog")
)


@st.composite
def tables(draw: st.DrawFn) -> bytes:
    """Draw the content of a table, mostly rectangular, in any separator and encoding; sometimes no table."""
    width = draw(st.integers(1, 4))
    header = draw(st.lists(COLUMNS, min_size=width, max_size=width))
    rows = draw(st.lists(st.lists(VALUES, min_size=width, max_size=width), max_size=6))
    separator = draw(st.sampled_from(",;\t"))
    text = "\n".join(separator.join(row) for row in (header, *rows)) + "\n"
    encoded = text.encode(draw(st.sampled_from(("utf-8", "utf-8-sig", "utf-16", "latin-1"))))
    return draw(st.one_of(st.just(encoded), st.just(encoded), st.binary(max_size=60)))


@st.composite
def trees(draw: st.DrawFn) -> dict[str, bytes]:
    """Draw path → content of all files of a dataset; images are empty, since nothing opens them."""
    places = draw(st.lists(st.tuples(FOLDERS, FILES), max_size=14))
    files = {str(PurePosixPath(folder) / file): b"" for folder, file in places}
    files |= draw(st.dictionaries(NAMES, tables(), max_size=3))
    return files | draw(st.sampled_from(({}, {f"runs/demo-1/{MARKER}": b""})))


def written(root: Path, files: dict[str, bytes]) -> None:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)


def is_visible(root: Path, path: Path) -> bool:
    """Return whether an image is neither hidden nor in a folder of results."""
    inner = path.relative_to(root)
    shown = not any(map(is_passed_over, inner.parts)) and is_image_name(path.name)
    return shown and not any((root / parent / MARKER).exists() for parent in inner.parents)


@settings(max_examples=80, deadline=None)
@given(trees())
def test_any_tree_is_read_without_losing_an_image_or_refused_in_words(files):
    with TemporaryDirectory() as folder:
        root = Path(folder).resolve()
        written(root, files)
        try:
            listing = list_dataset(root)
        except InputError:
            return
        visible = {str(path) for path in root.rglob("*") if path.is_file() and is_visible(root, path)}
        used = {*listing.labelled["path"], *listing.test["path"]}
        told = sum(kind.count for kind in listing.left_out if kind.what.startswith("image"))
        assert len(visible - used) == told
        assert listing.labelled["id"].is_unique
        assert listing.test["id"].is_unique


@settings(max_examples=50, deadline=None)
@given(trees())
def test_a_class_that_a_folder_names_is_never_named_like_a_part(files):
    images = {name: content for name, content in files.items() if is_image_name(PurePosixPath(name).name)}
    with TemporaryDirectory() as folder:
        written(Path(folder), images)
        try:
            labels = set(list_dataset(Path(folder)).labelled["label"])
        except InputError:
            return
        assert [label for label in labels if role_of(label)] == []
