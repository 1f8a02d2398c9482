import numpy as np
import pandas as pd

from tune_paddy.data.labels.balance import describe_balance
from tune_paddy.data.labels.group_hint import group_hints


def labelled(**columns: list[str]) -> pd.DataFrame:
    n = len(next(iter(columns.values())))
    ids = [str(number) for number in range(n)]
    return pd.DataFrame({"id": ids, "path": ids, **columns})


def patients() -> tuple[list[str], list[str]]:
    """Forty patients with five images each, nine of ten of one disease."""
    rng = np.random.default_rng(0)
    own = rng.choice(["blight", "blast", "hispa"], 40)
    who = np.repeat(np.arange(40), 5)
    labels = np.where(rng.random(200) < 0.95, own[who], "blast")
    return labels.tolist(), [f"p{number}" for number in who]


def test_a_column_that_repeats_and_gives_the_label_away_is_pointed_out() -> None:
    labels, who = patients()
    (hint,) = group_hints(labelled(label=labels, patient=who))
    assert "column patient: 40 values for 200 images" in hint
    assert "`group=patient`" in hint


def test_other_columns_are_not_pointed_out() -> None:
    """A number of each image, another name of the label, a coarser class, and noise are no groups."""
    labels, who = patients()
    rng = np.random.default_rng(1)
    table = labelled(
        label=labels,
        patient=who,
        number=[str(number) for number in range(200)],
        code=[{"blight": "1", "blast": "2", "hispa": "3"}[label] for label in labels],
        leaf=["no" if label == "hispa" else "yes" for label in labels],
        camera=rng.choice(["a", "b", "c"], 200).tolist(),
    )
    assert not list(group_hints(table, used=("patient", None)))


def test_unequal_classes_are_named_with_the_metric_for_them() -> None:
    text = describe_balance({"healthy": 900, "rust": 90, "scab": 10})
    assert "healthy has 900 images, 90 times as many as scab (10)" in text
    assert "right for 90 %" in text
    assert "the metric balanced_error weighs" in text
    text = describe_balance({"healthy": 900, "rust": 90, "scab": 10}, images=950)
    assert "unequal labels: healthy has 900 images, 90 times as many as scab (10)" in text
    assert "never answering scab is wrong about it in 1.1 % of the images" in text
    assert "balanced_error" not in text
    assert not describe_balance({"a": 40, "b": 10, "absent": 0})
