import re
from dataclasses import replace

import numpy as np
import pytest

from tune_paddy.core.predictions import Predictions, View, align, check, rows_of

CLASSES = ("blast", "hispa", "normal")
SELECT_IDS = np.array(["a", "b", "c", "d"])
TEST_IDS = np.array(["x", "y"])
LABELS = np.array([0, 1, 2, 0])


def probabilities(n: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).dirichlet([1, 1, 1], n).astype(np.float32)


def member(seed: int = 0, *, split: str = "s1", views: tuple[str, ...] = ("plain",)) -> Predictions:
    return Predictions(
        classes=CLASSES,
        split=split,
        select_ids=SELECT_IDS,
        select_labels=LABELS,
        test_ids=TEST_IDS,
        select={view: probabilities(4, seed + number) for number, view in enumerate(views)},
        test={view: probabilities(2, 100 + seed + number) for number, view in enumerate(views)},
    )


def view(name: str) -> View:
    return View(name, "plain", f"run-{name}", "test_vit")


def shuffled(predictions: Predictions) -> Predictions:
    """The same predictions with images and classes in another order."""
    rows, tests, columns = np.array([2, 0, 3, 1]), np.array([1, 0]), np.array([1, 2, 0])
    return Predictions(
        classes=tuple(CLASSES[column] for column in columns),
        split=predictions.split,
        select_ids=predictions.select_ids[rows],
        select_labels=np.argsort(columns)[predictions.select_labels[rows]],
        test_ids=predictions.test_ids[tests],
        select={kind: probs[rows][:, columns] for kind, probs in predictions.select.items()},
        test={kind: probs[tests][:, columns] for kind, probs in predictions.test.items()},
    )


def test_members_in_another_order_of_images_and_classes_align_to_the_same_arrays() -> None:
    plain = align([(view("m1"), member(1)), (view("m2"), member(2))])
    mixed = align([(view("m1"), member(1)), (view("m2"), shuffled(member(2)))])
    assert mixed.refused == ()
    np.testing.assert_array_equal(mixed.select, plain.select)
    np.testing.assert_array_equal(mixed.test, plain.test)
    np.testing.assert_array_equal(mixed.labels, plain.labels)


def test_the_order_of_members_does_not_matter() -> None:
    pairs = [(view(f"m{number}"), member(number, views=("plain", "tta"))) for number in range(3)]
    forward, backward = align(pairs), align(pairs[::-1])
    assert [v.name for v in forward.views] == [v.name for v in backward.views]
    np.testing.assert_array_equal(forward.select, backward.select)


def test_each_view_of_a_member_is_a_candidate_of_its_own() -> None:
    pool = align([(view("m1"), member(views=("tta", "plain")))])
    assert [v.name for v in pool.views] == ["m1/plain", "m1/tta"]
    assert pool.select.shape == (2, 4, 3)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"split": "s2"}, "select split s2 differs from the pool's s1"),
        (
            {"classes": ("blast", "hispa", "tungro")},
            "2 classes differ from the pool's, the first is 'normal'",
        ),
        ({"select_ids": np.array(["a", "b", "c", "e"])}, "2 select images differ"),
        ({"test_ids": np.array(["x", "z"])}, "2 test images differ"),
        ({"select_labels": np.array([0, 1, 2, 1])}, "labels of the select split differ"),
    ],
)
def test_a_member_that_does_not_match_is_refused_by_name_and_the_rest_are_kept(
    change: dict[str, object], words: str
) -> None:
    odd = replace(member(3), **change)
    pool = align([(view("m1"), member(1)), (view("m2"), odd), (view("m3"), member(2))])
    assert [v.member for v in pool.views] == ["m1", "m3"]
    assert [refusal.member for refusal in pool.refused] == ["m2"]
    assert words in pool.refused[0].reason


def test_the_split_that_most_members_share_is_the_pools() -> None:
    pool = align([(view(f"m{n}"), member(n, split="old" if n == 0 else "new")) for n in range(3)])
    assert pool.split == "new"
    assert [refusal.member for refusal in pool.refused] == ["m0"]


def test_the_labels_that_most_members_share_are_the_pools() -> None:
    altered = replace(member(0), select_labels=np.array([1, 2, 0, 1]))
    pool = align([(view("m0"), altered), (view("m1"), member(1)), (view("m2"), shuffled(member(2)))])
    np.testing.assert_array_equal(np.asarray(pool.classes)[pool.labels], np.asarray(CLASSES)[LABELS])
    assert [v.member for v in pool.views] == ["m1", "m2"]
    assert [refusal.member for refusal in pool.refused] == ["m0"]


def test_a_pool_of_refused_members_has_no_views() -> None:
    broken = replace(member(), select={"plain": np.full((4, 3), np.nan, np.float32)})
    pool = align([(view("m1"), broken)])
    assert pool.views == ()
    assert len(pool.refused) == 1


BAD_ROWS = np.full((4, 3), 0.5, np.float32)
NEGATIVE = np.tile(np.array([[1.2, -0.2, 0.0]], np.float32), (4, 1))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"select": {"plain": probabilities(3, 0)}}, r"shape \(3, 3\) where \(4, 3\)"),
        (
            {"select": {"plain": np.full((4, 3), np.inf, np.float32)}},
            "4 images have values that are not finite",
        ),
        ({"select": {"plain": BAD_ROWS}}, "a row sums to"),
        ({"select": {"plain": NEGATIVE}}, "negative"),
        ({"select": {}, "test": {}}, "views differ"),
        ({"test": {"tta": probabilities(2, 0)}}, "views differ"),
        ({"select_ids": np.array(["a", "a", "c", "d"])}, "names an image twice"),
        ({"select_labels": np.array([0, 1, 2])}, "3 labels for 4 images"),
        ({"select_labels": np.array([0, 1, 3, 0])}, "labels range from 0 to 3, but there are 3 classes"),
    ],
)
def test_invalid_predictions_are_refused_with_the_reason(change: dict[str, object], words: str) -> None:
    problem = check(replace(member(), **change))
    assert problem
    assert re.search(words, problem)


def test_valid_predictions_have_no_problem() -> None:
    assert check(member(views=("plain", "tta"))) is None


def test_images_are_found_by_their_ids() -> None:
    ids = np.array(["a", "b", "c"])
    assert ids[rows_of(ids, np.array(["c", "a"]))].tolist() == ["c", "a"]
