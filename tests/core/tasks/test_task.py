import copy
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tune_paddy.core.errors import InputError
from tune_paddy.core.tasks.names import TASK_NAMES
from tune_paddy.core.tasks.task import Task

words = st.text(alphabet="abc d", min_size=1, max_size=4)


@given(labels=st.lists(words, min_size=1, max_size=20))
def test_encoded_classes_are_decoded(labels: list[str]) -> None:
    """A class keeps its name through the numbers."""
    task = Task.of("classes")
    classes = task.classes_of(labels)
    assert task.decode(task.encode(labels, classes), classes) == labels


@given(rows=st.lists(st.sets(words, max_size=4), min_size=1, max_size=20))
def test_encoded_sets_of_labels_are_decoded(rows: list[set[str]]) -> None:
    """The text of several labels is their sorted names, and that of none is empty."""
    labels = ["|".join(sorted(row)) for row in rows]
    task = Task.of("multilabel")
    classes = task.classes_of(labels)
    assert classes == tuple(sorted(set().union(*rows)))
    assert task.decode(task.encode(labels, classes), classes) == labels


def test_grades_are_ordered_by_value() -> None:
    """Ten comes after two, though not as text."""
    assert Task.of("ordered").classes_of(["10", "2", "0", "2"]) == ("0", "2", "10")


@pytest.mark.parametrize(
    ("labels", "message"), [(["0", "mild"], "'mild' is none"), (["1", "1.0"], "the number 1: write each")]
)
def test_grades_without_an_order_are_refused(labels: list[str], message: str) -> None:
    """Words have no value, and two names of one grade no order."""
    with pytest.raises(InputError, match=message):
        Task.of("ordered").classes_of(labels)


def test_an_unknown_task_is_refused_with_a_suggestion() -> None:
    """A mistyped name is answered with the one that was meant."""
    with pytest.raises(InputError, match=r"not 'multilable'.*multilabel"):
        Task.of("multilable")


def test_a_stratum_of_several_labels_is_the_rarest() -> None:
    """An image belongs to its rarest label; one without labels to a stratum of its own."""
    labels = np.array([[1, 0, 1], [1, 0, 0], [1, 1, 0], [0, 0, 0], [1, 0, 1]])
    assert Task.of("multilabel").strata(labels).tolist() == [2, 0, 1, 3, 2]


@pytest.mark.parametrize("name", TASK_NAMES)
def test_no_images_have_labels_of_the_right_shape(name: str) -> None:
    """Labels of an empty part can be joined with those of another, and are valid."""
    task = Task.of(name)
    assert task.labels_problem(task.empty(3), 3) is None
    assert task.counts(task.empty(3), 3).tolist() == [0, 0, 0]
    assert task.strata(task.empty(3)).shape == (0,)


@pytest.mark.parametrize("name", TASK_NAMES)
def test_a_task_is_one_object_in_every_process(name: str) -> None:
    """A task that travels to a worker as a pickle, which a copy follows, is compared by identity there."""
    assert copy.copy(Task.of(name)) is Task.of(name)


@pytest.mark.parametrize(
    ("name", "labels", "message"),
    [
        ("classes", [[0, 1]], "one number an image"),
        ("classes", [0, 3], "range from 0 to 3, but there are 3 classes"),
        ("multilabel", [0, 1], r"\[images, 3\] is needed"),
        ("multilabel", [[0, 1, 2]], "0 and 1 are needed"),
    ],
)
def test_numbers_that_are_no_labels_are_named(name: str, labels: list[object], message: str) -> None:
    """Labels of another task or range are told apart."""
    problem = Task.of(name).labels_problem(np.array(labels), 3)
    assert problem is not None
    assert re.search(message, problem)


def test_probabilities_of_labels_need_not_sum_to_1() -> None:
    """Each label has a probability of its own; classes share one."""
    probs = np.array([[0.9, 0.8]], np.float32)
    assert Task.of("multilabel").probabilities_problem(probs) is None
    assert "sums to 1.7000" in str(Task.of("classes").probabilities_problem(probs))
    assert "a probability of 1.5" in str(Task.of("multilabel").probabilities_problem(probs + 0.6))
