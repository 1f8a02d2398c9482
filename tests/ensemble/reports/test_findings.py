import numpy as np
import pytest

from tune_paddy.core.diagnostics import Found
from tune_paddy.ensemble.reports.findings import describe_confusion, describe_recall

CLASSES = ("blast", "hispa", "tungro", "normal")


def confused(*cells: tuple[int, int, int], images: int = 100) -> np.ndarray:
    """Return the confusion matrix of four equally large classes with these (true, predicted, count)."""
    counts = np.diag([images] * 4)
    for truth, taken, count in cells:
        counts[truth, taken] += count
        counts[truth, truth] -= count
    return counts


def found(*cells: tuple[int, int, int], images: int = 100) -> Found:
    """Return how many images of each class are found in such a matrix."""
    counts = confused(*cells, images=images)
    return Found(counts.diagonal(), counts.sum(axis=1))


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        (confused(), "No image is taken for another class"),
        (confused((0, 1, 1)), "One image is wrong: 'blast' taken for 'hispa'"),
        (
            confused((0, 1, 1), (2, 3, 1)),
            "No class is taken for the same other class more than once; 2 images are wrong",
        ),
        (
            confused((0, 1, 2), (2, 3, 1)),
            "No class is taken for the same other class more than twice; 3 images are wrong",
        ),
        (confused((0, 1, 5), (2, 3, 2)), "Most confused: 'blast' taken for 'hispa', 5 of 100 images"),
    ],
)
def test_the_most_confused_pair_is_named_only_if_it_has_three_images(counts, expected: str) -> None:
    assert describe_confusion(counts, CLASSES) == expected


def test_pairs_within_one_image_of_the_most_confused_are_ties() -> None:
    two = describe_confusion(confused((2, 3, 4), (0, 1, 5)), CLASSES)
    assert (
        two == "Most confused, within one image: 'blast' taken for 'hispa', 5; 'tungro' taken for 'normal', 4"
    )
    many = confused((0, 1, 3), (0, 2, 3), (1, 0, 3), (2, 0, 3), (3, 0, 3))
    assert describe_confusion(many, CLASSES).endswith("'hispa' taken for 'blast', 3 and 2 others")


def test_recall_is_low_only_if_chance_would_rarely_give_it() -> None:
    clear = describe_recall(found((1, 0, 30), (0, 1, 2)), CLASSES)
    assert clear == "Recall is lowest for 'hispa': 70.0% (60.4% to 78.1%)"
    few = describe_recall(found((1, 0, 1), (0, 1, 1), (2, 0, 1), images=3), CLASSES)
    assert few == (
        "No class has a clearly lower recall than the others; 4 classes are within one image of the lowest"
    )
    slight = describe_recall(found((1, 0, 6), (0, 1, 3)), CLASSES)
    assert slight == "No class has a clearly lower recall than the others; lowest: 'hispa', 94 of 100 images"
    assert describe_recall(found(), CLASSES) == "All 400 images of the classes are found"


def test_two_classes_of_low_recall_within_one_image_are_both_named() -> None:
    tied = describe_recall(found((1, 0, 30), (2, 0, 29)), CLASSES)
    assert tied == "Recall is lowest for 'hispa' (70.0%), 'tungro' (71.0%)"
