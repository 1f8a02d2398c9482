"""Sample dataset: real images that ship with scikit-learn, and the score of a submission for them."""

import io
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tune_paddy.core.errors import InputError, TunePaddyError
from tune_paddy.core.splits import stratified_group_split
from tune_paddy.data.submission.files import check_same_ids, read_submission
from tune_paddy.data.submission.form import SAMPLE, SubmissionFormat
from tune_paddy.data.system.files import write_atomically
from tune_paddy.data.system.own_output import mark_sample
from tune_paddy.data.system.text import shown
from tune_paddy.data.tables.csv_table import format_csv

TABLE, IMAGES, TEST_IMAGES = "train.csv", "train_images", "test_images"
"""Names of the table and the folders, as in Kaggle's Paddy Doctor."""

TEST_LABELS = "test_labels.csv"
"""File with the true labels of the test images, for `score_submission`; no layout reads it."""

SIDE = 32
"""Side of the image files, in px; the scans have 8 px."""

DEMO_NOISE = 3 / 16
"""Noise of the demo's images, as a share of the full scale.

Clean digits are too easy: every member gets nearly all of them right, so an ensemble gains nothing.
"""

_FULL_SCALE = 16  # scikit-learn's digits hold 0 to 16
_FORM = SubmissionFormat()


def write_digits(folder: Path, *, test_share: float = 0.2, seed: int = 0, noise: float = 0.0) -> Path:
    """Write scikit-learn's 1,797 handwritten digits as PNG files in Kaggle's layout.

    The images are 8 × 8 px, enlarged by Pillow's bicubic filter. Identical existing files are kept, so a
    second call changes nothing, and a call after an interruption completes the folder. Files with another
    `noise` are overwritten: use a separate folder for each.

    Source: E. Alpaydin, C. Kaynak, Optical Recognition of Handwritten Digits, UCI, 1998 (its test set).

    Args:
        folder: Folder to write, created if missing; it may hold hidden files and an earlier result only.
        test_share: Share of each class that becomes the test set; its labels go to `TEST_LABELS`.
        seed: Seed of the test set and of the noise.
        noise: Standard deviation of Gaussian noise, as a share of the full scale. It is added to the
            8 × 8 px, whose values are then clipped.

    Returns:
        The folder.

    Raises:
        InputError: The folder holds other files.
        TunePaddyError: A file cannot be written.
    """
    from sklearn.datasets import load_digits  # noqa: PLC0415 takes a second to import, only for the demo

    digits = load_digits()
    labels = digits.target.astype(np.int64)
    is_test = stratified_group_split(labels, np.arange(len(labels)), share=test_share, seed=seed)
    images = _with_noise(digits.images, noise, np.random.default_rng(seed))
    files = dict(_image_files(images, labels, is_test)) | dict(_tables(labels, is_test))
    _refuse_others(folder, files)
    try:
        for name, content in files.items():
            _complete(folder / name, content)
        mark_sample(folder)
    except OSError as error:
        raise TunePaddyError(f"{shown(folder)}: cannot be written: {error.strerror or error}") from error
    return folder


def score_submission(submission: Path, true_labels: Path) -> float:
    """Return the accuracy of a submission, 0 to 1, as a leaderboard would.

    Args:
        submission: CSV of ids and labels.
        true_labels: CSV of ids and true labels, such as the demo's `TEST_LABELS`.

    Raises:
        InputError: A file is not a submission, or the ids differ.
    """
    got, true = read_submission(submission), read_submission(true_labels)
    check_same_ids(got.ids, true.ids, what=shown(submission), wanted_by=shown(true_labels))
    answers = dict(zip(got.ids, got.labels, strict=True))
    right = sum(answers[name] == label for name, label in zip(true.ids, true.labels, strict=True))
    return right / len(true.ids)


def _with_noise(images: NDArray[np.float64], noise: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """Add noise to images, as from a poorer scanner; without noise they stay bit-identical."""
    return np.clip(images + rng.normal(0, noise * _FULL_SCALE, images.shape), 0, _FULL_SCALE)


def _image_files(
    images: NDArray[np.float64], labels: NDArray[np.int64], is_test: NDArray[np.bool_]
) -> Iterator[tuple[str, bytes]]:
    for number, (pixels, label) in enumerate(zip(images, labels, strict=True)):
        folder = TEST_IMAGES if is_test[number] else f"{IMAGES}/{label}"
        yield f"{folder}/{_name(number)}", _as_png(pixels)


def _tables(labels: NDArray[np.int64], is_test: NDArray[np.bool_]) -> Iterator[tuple[str, bytes]]:
    rows = [(_name(number), str(label)) for number, label in enumerate(labels)]
    test = [row for row, testing in zip(rows, is_test, strict=True) if testing]
    yield TABLE, _as_csv([row for row, testing in zip(rows, is_test, strict=True) if not testing])
    yield SAMPLE, _as_csv([(name, "0") for name, _ in test])
    yield TEST_LABELS, _as_csv(test)


def _name(number: int) -> str:
    return f"{number:04d}.png"


def _as_png(pixels: NDArray[np.float64]) -> bytes:
    grey = np.rint(pixels * (255 / _FULL_SCALE)).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(grey).resize((SIDE, SIDE), Image.Resampling.BICUBIC).save(file, "PNG")
    return file.getvalue()


def _as_csv(rows: Sequence[tuple[str, str]]) -> bytes:
    return format_csv([(_FORM.id_column, _FORM.label_column), *rows])


def _refuse_others(folder: Path, files: dict[str, bytes]) -> None:
    """Refuse a folder with other content, so that samples never mix with user data."""
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{shown(folder)} is a file: name a folder for the digits")
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and name not in files and not path.name.startswith("."):
            raise InputError(
                f"{shown(folder)} holds other files, such as {shown(name)}: name an empty folder"
            )


def _complete(path: Path, content: bytes) -> None:
    if path.is_file() and path.read_bytes() == content:
        return
    write_atomically(path, content)
