"""Independent labels as two-class questions, so that what is written for classes serves them too.

An image with K labels asks K questions, each with the answers no and yes. Its mean log loss over the labels
is the log loss of the answers; the mean, the logarithmic pool and a temperature of the answers are those of
each label. With one row for each answer every method for classes applies. One class an image is one question,
whose answers are the classes.
"""

import numpy as np

from tune_paddy.core.tasks.arrays import Floats, Labels


def answers(probs: Floats) -> Floats:
    """Return the probabilities of no and yes, [..., labels, 2], from those of the labels, [..., labels]."""
    return np.stack([1 - probs, probs], axis=-1)


def one_row_per_answer(probs: Floats, labels: Labels) -> tuple[Floats, Labels]:
    """Return probabilities and labels with one row for each decision; those of classes are unchanged.

    Args:
        probs: [..., images, classes], or [..., images, labels].
        labels: int [images], or int of 0 and 1, [images, labels].

    Returns:
        [..., rows, classes] and int [rows]; of labels each row has two classes, no and yes.
    """
    if labels.ndim == 1:
        return probs, labels
    return answers(probs).reshape(*probs.shape[:-2], labels.size, 2), labels.reshape(-1)


def as_questions(probs: Floats, labels: Labels) -> tuple[Floats, Labels]:
    """Return probabilities and labels by question; classes are one question, K labels are K.

    Args:
        probs: [..., images, classes], or [..., images, labels].
        labels: int [images], or int of 0 and 1, [images, labels].

    Returns:
        [..., questions, images, answers] and int [questions, images].
    """
    if labels.ndim == 1:
        return probs[..., None, :, :], labels[None]
    return answers(np.swapaxes(probs, -1, -2)), labels.T


def as_labels(given: Labels, like: Labels) -> Labels:
    """Return answers to questions, int [questions, images], in the form of labels.

    Args:
        given: Answers, as `as_questions` returns them.
        like: int [images], or [images, labels]; only their form matters.
    """
    return given[0] if like.ndim == 1 else given.T
