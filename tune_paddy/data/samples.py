"""Real images that ship inside scikit-learn: handwritten digits in Kaggle's layout."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from tune_paddy.data.layouts import SAMPLE, TEST_IMAGES, TRAIN_CSV, TRAIN_IMAGES
from tune_paddy.data.submission import SubmissionFormat, write_submission
from tune_paddy.data.tables import read_table

TEST_LABELS = "test_labels.csv"
"""The true labels of the test images: kept for `score_submission`, unknown to every layout."""

SIDE = 32
"""The digits are 8x8 px; they are enlarged to this, as a camera would see them."""

_DONE = ".digits.json"  # written last: a folder that has it is whole
_FORM = SubmissionFormat()


def write_digits(folder: Path, *, test_share: float = 0.2, seed: int = 0) -> Path:
    """Write scikit-learn's 1,797 handwritten digits in Kaggle's layout, some of them as test images.

    A folder that was written whole is left as it is.

    Args:
        folder: Made when missing.
        test_share: Of all images, put into the test set, stratified.
        seed: Of that choice.

    Returns:
        The folder.
    """
    settings = json.dumps({"test_share": test_share, "seed": seed})
    done = folder / _DONE
    if done.is_file() and done.read_text(encoding="utf-8") == settings:
        return folder
    from sklearn.datasets import load_digits  # noqa: PLC0415 a second to import, for the demo only
    from sklearn.model_selection import train_test_split  # noqa: PLC0415

    digits = load_digits()
    labels = digits.target.astype(str)
    train, test = train_test_split(
        np.arange(len(labels)), test_size=test_share, random_state=seed, stratify=labels
    )
    names = [f"{number:04d}.png" for number in range(len(labels))]
    for number in sorted(train):
        _save(digits.images[number], folder / TRAIN_IMAGES / labels[number] / names[number])
    for number in sorted(test):
        _save(digits.images[number], folder / TEST_IMAGES / names[number])
    train_ids, test_ids = ([names[number] for number in sorted(part)] for part in (train, test))
    pd.DataFrame({"image_id": train_ids, "label": labels[np.sort(train)]}).to_csv(
        folder / TRAIN_CSV, index=False
    )
    write_submission(folder / SAMPLE, test_ids, [""] * len(test_ids), _FORM)
    write_submission(folder / TEST_LABELS, test_ids, labels[np.sort(test)].tolist(), _FORM)
    done.write_text(settings, encoding="utf-8")
    return folder


def score_submission(submission: Path, true_labels: Path) -> float:
    """Share of right labels in a submission, 0 to 1, as a leaderboard would count it.

    Raises:
        InputError: A file is missing or no CSV.
    """
    given, true = (
        read_table(path).set_index(_FORM.id_column)[_FORM.label_column] for path in (submission, true_labels)
    )
    return float((given.reindex(true.index) == true).mean())


def _save(pixels: "np.ndarray[tuple[int, int], np.dtype[np.float64]]", path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    grey = (pixels * (255 / 16)).round().astype(np.uint8)
    Image.fromarray(grey).resize((SIDE, SIDE), Image.Resampling.BICUBIC).save(path)
