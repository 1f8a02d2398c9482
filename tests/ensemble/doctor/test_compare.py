"""Two searches on images with confirmed labels, from plain predictions."""

from pathlib import Path

import numpy as np
import pytest

from tune_paddy.core.doctor.noise import Noise
from tune_paddy.core.doctor.suspects import Diagnosis
from tune_paddy.core.errors import InputError
from tune_paddy.core.predictions import Pool
from tune_paddy.data.labels.relabel import Correction
from tune_paddy.ensemble.doctor.compare import compare
from tune_paddy.ensemble.doctor.examine import Examination

IDS = tuple("abcdefgh")


def examined(search, probs, groups=None):
    """A search whose members predict `probs`, [images, 2]."""
    n, empty = len(IDS), np.empty((0, 0, 2), np.float32)
    labels = np.zeros(n, np.int64)
    pool = Pool((), ("blast", "hispa"), "0", labels, np.array(IDS), np.array([]), empty, empty, groups=groups)
    noise = Noise(0.0, 0.0, 1.0, 0.0, np.zeros(n), labels)
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
