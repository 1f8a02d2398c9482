"""Ensembles of independent labels and of grades, from the record to the submission and the report."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.ensemble.conftest import record_members
from tune_paddy.core.errors import InputError
from tune_paddy.core.metrics import log_loss
from tune_paddy.core.predictions import Predictions
from tune_paddy.core.tasks.task import Task
from tune_paddy.data.ensemble_file import read_ensemble
from tune_paddy.data.tables.csv_table import read_csv
from tune_paddy.ensemble.build import build_ensemble
from tune_paddy.ensemble.options import SelectionOptions
from tune_paddy.tracking.store import Store

pytestmark = pytest.mark.usefixtures("finished")  # whose record `store` copies


def labelled_members(count: int = 2, images: int = 40) -> list[Predictions]:
    """Members that predict three independent labels, each better than chance."""
    rng = np.random.default_rng(0)
    truth = (rng.random((images + 10, 3)) < (0.6, 0.4, 0.3)).astype(np.int64)

    def member(seed: int) -> Predictions:
        noise = np.random.default_rng(seed).random((2, images + 10, 3))
        probs = (0.55 * truth + 0.45 * noise).astype(np.float32)
        return Predictions(
            classes=("frog eye", "rust", "scab"),
            split="abc",
            select_ids=np.array([f"{i}.jpg" for i in range(images)]),
            select_labels=truth[:images],
            test_ids=np.array([f"test {i}.jpg" for i in range(10)]),
            select={"plain": probs[0, :images], "tta": probs[1, :images]},
            test={"plain": probs[0, images:], "tta": probs[1, images:]},
            task=Task.of("multilabel"),
        )

    return [member(seed) for seed in range(count)]


def graded_members(count: int = 2) -> list[Predictions]:
    """Members whose expected grades, 0 to 3, lie too close to the middle."""
    rng = np.random.default_rng(1)
    grades = rng.integers(0, 4, 60)
    members = []
    for seed in range(count):
        centres = 1.5 + 0.4 * (grades - 1.5) + np.random.default_rng(seed).normal(0, 0.2, 60)
        probs = np.exp(-((np.arange(4) - centres[:, None]) ** 2))
        probs = (probs / probs.sum(axis=1, keepdims=True)).astype(np.float32)
        members.append(
            Predictions(
                classes=("0", "1", "2", "10"),
                split="abc",
                select_ids=np.array([f"{i}.jpg" for i in range(40)]),
                select_labels=grades[:40],
                test_ids=np.array([f"test {i}.jpg" for i in range(20)]),
                select={"plain": probs[:40]},
                test={"plain": probs[40:]},
                task=Task.of("ordered"),
            )
        )
    return members


def column(path: Path) -> Sequence[str]:
    """Return the labels of a submission."""
    return [row[1] for row in read_csv(path).rows]


@pytest.mark.parametrize("metric", ["log_loss", "samples_f1"])
def test_an_ensemble_of_labels_is_written_and_read_back(store: Store, tmp_path: Path, metric: str) -> None:
    """The submission holds the decisions, `ensemble.json` restores them, and no pairs are confused."""
    record_members(store, metric, labelled_members())
    ensemble = build_ensemble(store, [metric], folder=tmp_path, options=SelectionOptions(metric=metric))
    blended = ensemble.selection.blend(ensemble.pool.test)
    decisions = ensemble.selection.decide(blended)
    assert (ensemble.selection.thresholds is not None) == (metric == "samples_f1")
    texts = ensemble.pool.task.decode(decisions, ensemble.pool.classes)
    assert ensemble.submission is not None
    assert column(ensemble.submission) == texts
    restored = read_ensemble(ensemble.folder / "ensemble.json").selection
    np.testing.assert_array_equal(restored.decide(restored.blend(ensemble.pool.test)), decisions)
    page = (ensemble.folder / "report.html").read_text(encoding="utf-8")
    assert "of labels wrong" in page
    assert "No two classes are confused" not in page


def test_the_honest_loss_of_labels_is_recorded(store: Store, tmp_path: Path) -> None:
    """The recorded log loss is that of the cross-fitted predictions, the mean over labels and images."""
    record_members(store, "honest", labelled_members())
    ensemble = build_ensemble(store, ["honest"], folder=tmp_path, options=SelectionOptions())
    run = store.client.get_run(ensemble.run_id)
    assert ensemble.assessment is not None
    expected = log_loss(ensemble.assessment.predictions, ensemble.pool.labels)
    assert run.data.metrics["log_loss"] == pytest.approx(expected, abs=1e-4)


def test_grades_are_decided_by_thresholds_on_the_expected_grade(store: Store, tmp_path: Path) -> None:
    """With the kappa as metric more of the outer grades are submitted than rounding would give."""
    record_members(store, "grades", graded_members())
    ensemble = build_ensemble(store, ["grades"], folder=tmp_path, options=SelectionOptions(metric="qwk"))
    blended = ensemble.selection.blend(ensemble.pool.test)
    usual = replace(ensemble.selection, thresholds=None).decide(blended)
    assert ensemble.submission is not None
    grades = column(ensemble.submission)
    outer = {"0", "10"}
    assert sum(grade in outer for grade in grades) > np.isin(usual, (0, 3)).sum()


def test_a_metric_of_another_task_is_refused_before_a_selection(store: Store, tmp_path: Path) -> None:
    """A kappa has no meaning for labels that are not ordered."""
    record_members(store, "unordered", labelled_members(1))
    with pytest.raises(InputError, match="metric qwk needs one grade an image"):
        build_ensemble(store, ["unordered"], folder=tmp_path, options=SelectionOptions(metric="qwk"))


def test_members_of_another_task_are_refused_by_name(store: Store, tmp_path: Path) -> None:
    """Grades and classes have predictions of one shape, but do not mean the same."""
    grades = graded_members(3)
    record_members(store, "mixed", [*grades[:2], replace(grades[2], task=Task.of("classes"))])
    ensemble = build_ensemble(store, ["mixed"], folder=tmp_path, options=SelectionOptions())
    assert [refusal.member for refusal in ensemble.pool.refused] == ["0002-net"]
    assert "one class an image" in ensemble.pool.refused[0].reason
