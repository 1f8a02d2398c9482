import numpy as np

from tune_paddy.core.tasks.outcomes import as_labels, as_questions


def test_one_class_an_image_is_one_question():
    probs, labels = np.full((2, 5, 3), 1 / 3), np.array([0, 1, 2, 1, 0])
    asked, given = as_questions(probs, labels)
    assert (asked.shape, given.shape) == ((2, 1, 5, 3), (1, 5))
    np.testing.assert_array_equal(as_labels(given, labels), labels)


def test_each_of_several_labels_is_a_question_with_the_answers_no_and_yes():
    rng = np.random.default_rng(0)
    probs, labels = rng.random((2, 5, 3)), rng.integers(0, 2, (5, 3))
    asked, given = as_questions(probs, labels)
    np.testing.assert_array_equal(asked[..., 1], np.swapaxes(probs, 1, 2))
    np.testing.assert_array_equal(asked.sum(axis=-1), 1)
    np.testing.assert_array_equal(as_labels(given, labels), labels)
