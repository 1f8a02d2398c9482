import numpy as np
import pytest

from tune_paddy.core.errors import InputError
from tune_paddy.core.selection.result import Selection
from tune_paddy.serving.answers import as_csv
from tune_paddy.serving.ensemble_model import Answer
from tune_paddy.serving.predicted.submission import Form, arrange
from tune_paddy.serving.predicted.summary import count_classes, least_certain


@pytest.mark.parametrize(
    ("ids", "files"),
    [
        (("b.jpg", "a.jpg"), ["x/a.jpg", "x/b.jpg"]),
        (("b", "a"), ["x/a.jpg", "x/b.jpg"]),
        (("one/a.jpg", "two/a.jpg"), ["data/two/a.jpg", "data/one/a.jpg"]),
    ],
    ids=["names", "without suffix", "paths"],
)
def test_the_images_of_a_sample_get_its_ids_in_its_order(ids: tuple[str, ...], files: list[str]) -> None:
    rows = arrange(files, Form(ids=ids))
    assert rows.ids == ids
    assert rows.files == (1, 0)
    assert rows.in_sample


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (["a.jpg"], "lacks 1 image, such as b.jpg"),
        (["a.jpg", "b.jpg", "c.jpg"], "has 1 other, such as c.jpg"),
        (["a.jpg", "b.jpg", "x/a.jpg"], r"a\.jpg and x/a\.jpg are both image a\.jpg"),
    ],
)
def test_a_part_of_the_sample_is_refused(files: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        arrange(files, Form(ids=("a.jpg", "b.jpg")))


def test_other_images_are_named_as_in_the_sample() -> None:
    """Two files of one name are refused."""
    assert arrange(["x/7.png", "8.png"], Form(ids=("a.jpg",))).ids == ("7.png", "8.png")
    assert arrange(["x/7.png", "8.png"], Form(ids=("a",))).ids == ("7", "8")
    assert arrange(["x/7.png"], Form()).ids == ("7.png",)
    with pytest.raises(InputError, match=r"x/7\.png and y/7\.png have one name"):
        arrange(["x/7.png", "y/7.png"], Form())


def test_the_summary_counts_readable_images_and_averages_their_confidence() -> None:
    probs = np.array([[0.9, 0.1, 0.0], [0.2, 0.8, 0.0], [0.7, 0.2, 0.1], [1.0, 0.0, 0.0]])
    answer = Answer(("a", "b", "c"), probs, broken={3: "is broken"})
    first, second = count_classes(answer)
    assert (first.label, first.images, second.label, second.images) == ("a", 2, "b", 1)
    assert first.confidence == pytest.approx(0.8)
    assert least_certain(answer) == [2, 1, 0]
    assert count_classes(Answer(("a", "b", "c"), probs[:1], broken={0: "is broken"})) == []


def labels_answer() -> Answer:
    """Three images with any of two labels; the second image has none of them, the third is unreadable."""
    probs = np.array([[0.9, 0.7], [0.2, 0.4], [0.0, 0.0]])
    selection = Selection(np.ones(1), 0.0, task="multilabel", thresholds=np.array([0.5, 0.6]))
    return Answer(("rust", "scab"), probs, {2: "is broken"}, selection)


def test_several_labels_are_joined_and_each_has_a_probability() -> None:
    """Decisions follow the fitted thresholds; an image without a label has the empty text."""
    answer = labels_answer()
    assert as_csv(["a", "b", "c"], answer).decode().splitlines() == [
        "file,labels,rust,scab",
        "a,rust|scab,0.900000,0.700000",
        "b,,0.200000,0.400000",
    ]


def test_several_labels_are_counted_once_for_each_image_that_has_them() -> None:
    """An image counts for each of its labels; the least certain image has the lowest mean probability."""
    answer = labels_answer()
    assert [(one.label, one.images, one.confidence) for one in count_classes(answer)] == [
        ("rust", 1, pytest.approx(0.9)),
        ("scab", 1, pytest.approx(0.7)),
    ]
    assert answer.confidences()[:2].tolist() == pytest.approx([0.8, 0.7])
    assert least_certain(answer) == [1, 0]


def test_the_first_class_of_a_row_is_the_decision() -> None:
    """Thresholds on the expected grade may decide for another grade than the most probable one."""
    probs = np.array([[0.05, 0.55, 0.40]])
    selection = Selection(np.ones(1), 0.0, task="ordered", thresholds=np.array([0.5, 1.2]))
    answer = Answer(("0", "1", "2"), probs, {}, selection)
    assert answer.labels() == ["2"]
    row = as_csv(["a"], answer).decode().splitlines()[1]
    assert row == "a,2,0.400000,1,0.550000,0,0.050000"
