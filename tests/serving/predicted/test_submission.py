import numpy as np
import pytest

from tune_paddy.core.errors import InputError
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
