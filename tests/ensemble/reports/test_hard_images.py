from dataclasses import replace
from pathlib import Path

import numpy as np

from tests.ensemble.conftest import make_pool
from tune_paddy.data.layouts.locate import find_files
from tune_paddy.ensemble.reports.hard_images import find_hard_images

CLASSES = ("a", "b", "c", "d")
SELECT = np.array([
    [0.7, 0.1, 0.1, 0.1],  # right
    [0.4, 0.3, 0.2, 0.1],  # right, less sure
    [0.6, 0.2, 0.15, 0.05],  # wrong, with high confidence: it is d
    [0.3, 0.4, 0.2, 0.1],  # wrong, nearly right: it is a
])  # fmt: skip
TEST = np.array([[0.9, 0.1, 0.0, 0.0], [0.4, 0.3, 0.2, 0.1]])


def small_pool():
    """Make a pool of four labelled images and two test images."""
    pool = make_pool(classes=4, images=4, tests=2)
    return replace(pool, classes=CLASSES, labels=np.array([0, 0, 3, 0]))


def test_the_most_confident_errors_and_the_least_sure_images_come_first() -> None:
    hard = find_hard_images(small_pool(), SELECT, TEST, most=5)
    assert [image.name for image in hard.wrong] == ["2.jpg", "3.jpg"]
    assert [image.name for image in hard.unsure] == ["1.jpg", "0.jpg"]
    assert [image.name for image in hard.test] == ["test 1.jpg", "test 0.jpg"]


def test_the_true_class_is_among_the_guesses_however_unlikely() -> None:
    hard = find_hard_images(small_pool(), SELECT, TEST, most=5)
    assert hard.wrong[0].truth == "d"
    assert hard.wrong[0].guesses == (("a", 0.6), ("b", 0.2), ("d", 0.05))
    assert hard.test[0].truth is None


def test_only_the_first_are_kept_and_the_others_are_counted() -> None:
    hard = find_hard_images(small_pool(), SELECT, TEST[:0], most=1)
    assert [image.name for image in hard.wrong] == ["2.jpg"]
    assert hard.n_wrong == 2
    assert hard.test == ()


def test_files_are_found_by_their_ids_and_a_missing_dataset_has_none(small_digits: Path) -> None:
    labelled, test = find_files(small_digits)
    assert (len(labelled), len(test)) == (150, 20)
    assert all(path.is_file() and path.name == name for name, path in (labelled | test).items())
    assert find_files(small_digits / "nowhere") == ({}, {})
