"""Two searches on images with confirmed labels, from plain predictions."""

from pathlib import Path

import numpy as np
import pytest

from tune_paddy.core.doctor.noise import Noise
from tune_paddy.core.doctor.suspects import Diagnosis
from tune_paddy.core.errors import InputError
from tune_paddy.core.predictions import Pool
from tune_paddy.core.tasks.task import Task
from tune_paddy.data.labels.relabel import Correction
from tune_paddy.ensemble.doctor.compare import compare, describe
from tune_paddy.ensemble.doctor.examine import Examination

IDS = tuple("abcdefgh")


def examined(search, probs, groups=None, task="classes", classes=("blast", "hispa")):
    """A search whose members predict `probs`, [images, 2]."""
    n, empty = len(IDS), np.empty((0, 0, 2), np.float32)
    labels = np.zeros(n, np.int64)
    pool = Pool(
        views=(),
        classes=classes,
        split="0",
        labels=labels,
        select_ids=np.array(IDS),
        test_ids=np.array([]),
        select=empty,
        test=empty,
        groups=groups,
        task=Task.of(task),
    )
    noise = Noise(0.0, 0.0, 0.0, np.zeros((1, n)), np.zeros(n), labels)
    diagnosis = Diagnosis(noise, np.arange(n), np.asarray(probs), labels)
    return Examination(search, n, n, 1, True, 0.0, 0, (), diagnosis, pool)


SURE, WRONG = [[0.9, 0.1]] * 8, [[0.1, 0.9]] * 4 + [[0.9, 0.1]] * 4
CONFIRMED = [Correction(name, "blast", True) for name in IDS]


@pytest.mark.parametrize("label", ["Blast", ""])
def test_a_confirmed_label_that_is_no_class_is_refused_with_its_image(label):
    rows = [*CONFIRMED[1:], Correction("a", label, True)]
    with pytest.raises(
        InputError, match=f"fixes.csv: a has the confirmed label {label or 'nothing'}"
    ) as told:
        compare(examined("one", WRONG), examined("two", SURE), rows, table=Path("fixes.csv"))
    assert ("did you mean 'blast'" in str(told.value)) == bool(label)


def test_images_that_belong_together_are_drawn_together():
    """Four images of one group are one observation: the interval is wider."""
    alone, joined = (
        compare(examined("one", WRONG), examined("two", SURE, groups), CONFIRMED, table=Path("fixes.csv"))
        for groups in (None, np.arange(8) // 4)
    )
    assert alone.after == joined.after == 0
    assert joined.comparison.low < alone.comparison.low


@pytest.mark.parametrize("separator", ["|", " ", "; "])
def test_several_confirmed_labels_are_compared_label_by_label(separator):
    """Each image has both labels, in the table's or the dataset's form; the searches' order differs."""
    rows = [Correction(name, separator.join(("hispa", "blast")), True) for name in IDS]
    earlier = examined("one", np.repeat([[0.9, 0.1]], 8, axis=0), task="multilabel")
    swapped = examined("two", np.tile([0.9, 0.8], (8, 1)), task="multilabel", classes=("hispa", "blast"))
    result = compare(earlier, swapped, rows, table=Path("fixes.csv"))
    assert (result.before, result.after) == (0.5, 0)
    assert "error per label 50.00 % in one, 0.00 % in two" in describe(result, "one", "two")[0]


def test_an_image_may_be_confirmed_to_have_none_of_several_labels():
    rows = [Correction(name, "", True) for name in IDS]
    sure = examined("one", np.full((8, 2), 0.1), task="multilabel")
    assert compare(sure, sure, rows, table=Path("fixes.csv")).after == 0


def test_one_of_several_confirmed_labels_that_is_no_class_is_named():
    rows = [Correction(name, "blast|hipsa", True) for name in IDS]
    sure = examined("one", np.full((8, 2), 0.1), task="multilabel")
    with pytest.raises(InputError, match=r"a has the confirmed label hipsa, .*did you mean 'hispa'"):
        compare(sure, sure, rows, table=Path("fixes.csv"))
