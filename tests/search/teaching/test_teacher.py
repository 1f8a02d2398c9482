"""A finished search with folds as the teacher of another one, with a real record."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from tests.conftest import Finished, make_plan, searched
from tests.search.here import trained_here
from tune_paddy.core.config import MemberConfig
from tune_paddy.core.errors import InputError, TunePaddyError
from tune_paddy.core.metrics import log_loss
from tune_paddy.data.member_data import make_parts
from tune_paddy.ensemble.reports.page.facts import facts
from tune_paddy.search import refit
from tune_paddy.search.plan import SearchPlan, new_split
from tune_paddy.search.preflight import ReadyPlan
from tune_paddy.search.refit import RefitMember, refit_plan, run_refit
from tune_paddy.search.resuming.compatibility import check_same
from tune_paddy.search.resuming.plan import resumed_plan
from tune_paddy.search.sampling.searchers import FixedTrials
from tune_paddy.search.teaching import teacher
from tune_paddy.search.teaching.teacher import recorded_targets, with_teachers
from tune_paddy.search.trial import Trial
from tune_paddy.tracking.files import TARGETS_FILE, read_file
from tune_paddy.tracking.history import read_recorded_search
from tune_paddy.tracking.pool import load_member, load_pool
from tune_paddy.tracking.runs import RecordedRun, get_search, list_members
from tune_paddy.training.member import train_member
from tune_paddy.training.runtime import Runtime

STUDENT = """
search: {trials: 1, folds: 2, concurrency: 1, soften: folded, mix: 0.4, pseudo: folded}
defaults: {pretrained: false, schedule: one_cycle, size: 32, epochs: 1, batch_size: 16, tta: 0, flip: none}
recipes: [{arch: test_convnext, lr: 0.005}]
"""


@pytest.fixture(scope="module")
def planned(finished: Finished, folded: SearchPlan, tmp_path_factory: pytest.TempPathFactory) -> SearchPlan:
    """A new search with a teacher, without its targets."""
    assert folded.settings.folds == 2
    return make_plan("student", finished.plan.dataset.root, tmp_path_factory.mktemp("student"), STUDENT)


@pytest.fixture(scope="module")
def student(finished: Finished, planned: SearchPlan) -> SearchPlan:
    """The same search, finished."""
    plan = with_teachers(planned, finished.store)
    with trained_here():
        (member,) = searched(plan, finished.store)
    assert member.outcome == "finished", member.failure
    return plan


def changed(plan: SearchPlan, **settings: object) -> SearchPlan:
    return replace(plan, settings=plan.settings.override(settings))


def test_soft_labels_are_predictions_of_the_same_folds_models_of_the_better_half(
    finished: Finished, planned: SearchPlan
) -> None:
    targets = with_teachers(planned, finished.store).targets
    assert targets is not None
    parts = make_parts(planned.dataset, new_split(planned))
    members = [load_member(finished.store, run.run_id)[1] for run in list_members(finished.store, "folded")]
    for fold in (0, 1):
        other = parts.folds != fold
        best = min(members, key=lambda each: log_loss(each.select["tta"][other], each.select_labels[other]))
        assert best.by_fold is not None
        own = best.by_fold.select[fold].astype(np.float64)
        np.testing.assert_allclose(own[~other], best.select["plain"][~other], atol=1e-3)
        assert best.by_fold.trained[fold, other].sum() == round(0.8 * other.sum())
        expected = 0.6 * np.eye(10)[parts.select.labels] + 0.4 * own / own.sum(axis=1, keepdims=True)
        np.testing.assert_allclose(targets.labelled[fold], expected, atol=1e-6)


def test_without_a_share_of_the_teacher_the_labels_stay_as_they_are(
    finished: Finished, planned: SearchPlan
) -> None:
    plan = with_teachers(changed(planned, mix=0, pseudo=None), finished.store)
    assert plan.targets is not None
    parts = make_parts(plan.dataset, new_split(plan))
    assert not len(plan.targets.taught(parts).fold(0).train.targets)
    assert with_teachers(changed(planned, soften=None, mix=None, pseudo=None), finished.store).targets is None


def test_a_select_split_is_taught_by_all_members(finished: Finished, planned: SearchPlan) -> None:
    plan = changed(planned, soften=None, mix=None, pseudo="first", folds=0)
    targets = with_teachers(plan, finished.store).targets
    assert targets is not None
    pool = load_pool(finished.store, ["first"])
    tta = [row for row, view in enumerate(pool.views) if view.kind == "tta"]
    np.testing.assert_allclose(targets.test[0], pool.test[tta].mean(axis=0), atol=1e-6)


def test_the_models_of_a_student_train_on_the_targets_of_their_folds(
    finished: Finished, student: SearchPlan, tmp_path: Path
) -> None:
    assert student.targets is not None
    parts = student.targets.taught(make_parts(student.dataset, new_split(student)))
    config = MemberConfig(**{"seed": 42, **student.space.recipes[0].values})
    (run,) = list_members(finished.store, "student")
    outside = (parts.folds != 1).sum() + len(parts.test)
    plain = train_member(config, parts.fold(1), Runtime(tmp_path, allow_gpu=False))
    assert plain.metrics["train_images"] == round(config.subsample * outside)
    pool = load_pool(finished.store, [run.search])
    np.testing.assert_allclose(pool.select[0][parts.folds == 1], plain.predictions.select["plain"], atol=1e-5)


def test_the_record_and_the_report_say_who_taught_a_search(finished: Finished, student: SearchPlan) -> None:
    search, (member,) = get_search(finished.store, student.name), list_members(finished.store, student.name)
    note = "mlflow.note.content"
    assert "Taught by search folded (mix 0.4).\n\nTrained with 20 pseudo-labelled" in search.tags[note]
    assert "It was taught by search folded (mix 0.4), and trained with" in member.tags[note]
    space = read_file(finished.store, member, "member.yaml", most=1, what="a space").decode()
    assert "soften: folded\n  mix: 0.4\n  pseudo: folded\n" in space
    about = facts(
        load_pool(finished.store, [student.name]),
        [search],
        [member],
        images=({}, {}),
        tracking_uri="",
        written=datetime.now(UTC),
    )
    told = next(fact.text for fact in about if fact.what == "Teacher")
    assert told.startswith(
        "student was taught by search folded (mix 0.4), and trained with 20 pseudo-labelled"
    )
    assert told.endswith("images of search folded")


def test_a_resumed_search_takes_its_own_targets_from_its_folder_or_its_record(
    finished: Finished, student: SearchPlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever has become of the teacher: it is not read."""
    monkeypatch.setattr(teacher, "load_member", None)
    search = get_search(finished.store, student.name)
    before, path = student.targets, student.folder / TARGETS_FILE
    for _ in ("folder", "record"):
        again = resumed_plan(search, finished.store, settings={})
        assert again.targets is not None
        for name, value in vars(again.targets).items():
            np.testing.assert_array_equal(value, getattr(before, name))
        path.unlink(missing_ok=True)
    student.targets.save(path)  # type: ignore[union-attr]
    for settings in ({"mix": 0.5}, {"soften": "first"}, {"pseudo": "student"}):
        (name,) = settings
        with pytest.raises(InputError, match=f"settings that cannot change.*\n  {name}: "):
            check_same(changed(again, **settings), read_recorded_search(finished.store, student.name))


def test_a_refit_of_a_search_and_its_teacher_teaches_only_the_student(
    finished: Finished, student: SearchPlan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its members train in two parts; training itself is left out here."""
    trained = {}

    def train(ready: ReadyPlan, *context: Any, **_: Any) -> None:
        trials: FixedTrials = context[-1]
        assert ready.plan.settings.trials == trials.left == 1
        trained[Trial.from_config(trials.suggest("one")).member] = ready.parts.train

    monkeypatch.setattr(refit, "run_trials", train)
    config = MemberConfig(**{"seed": 42, **student.space.recipes[0].values})
    members = tuple(RefitMember(name, config, "", name) for name in ("student", "folded"))
    plan = refit_plan(
        replace(get_search(finished.store, "student"), name="both"), student.dataset, members, runs=tmp_path
    )
    assert plan.settings.soften is None
    with pytest.raises(TunePaddyError, match="2 of 2 members were not refitted"):
        run_refit(plan, members, finished.store, console=Console(quiet=True), tags={})
    n_labelled, n_test = len(student.dataset.labelled), len(student.dataset.test)
    assert list(trained) == ["folded", "student"]
    assert len(trained["folded"]) == n_labelled
    assert not len(trained["folded"].targets)
    assert len(trained["student"]) == len(trained["student"].targets) == n_labelled + n_test


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"soften": "foldde"}, "no search 'foldde' .*: did you mean 'folded'?"),
        ({"soften": "first"}, r"`soften`: search 'first' divides .* \(folds 0 there, 2 here\): use the same"),
        ({"seed": 7}, r"divides the images in another way \(seed 42 there, 7 here\)"),
        ({"soften": None, "mix": None, "folds": 0}, r"`pseudo`: .* \(folds 2 there, 0 here\)"),
    ],
)
def test_a_search_with_another_split_cannot_teach(
    finished: Finished, planned: SearchPlan, settings: dict[str, object], reason: str
) -> None:
    with pytest.raises(InputError, match=reason) as refusal:
        with_teachers(changed(planned, **settings), finished.store)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (
            lambda run: replace(run, outcome="interrupted"),
            "is interrupted, not finished: wait .* or resume it",
        ),
        (
            lambda run: replace(run, tags={**run.tags, "tune_paddy.refit_of": "first"}),
            "is a refit, which has trained on every labelled image: name the search that it refits",
        ),
        (
            lambda run: replace(run, tags={**run.tags, "tune_paddy.dataset_fingerprint": "another"}),
            "was run on other images or labels: name a search on the same dataset",
        ),
    ],
)
def test_an_unfit_search_cannot_teach(
    finished: Finished,
    planned: SearchPlan,
    monkeypatch: pytest.MonkeyPatch,
    change: Callable[[RecordedRun], RecordedRun],
    reason: str,
) -> None:
    monkeypatch.setattr(teacher, "get_search", lambda store, name: change(get_search(store, name)))
    with pytest.raises(InputError, match=reason) as refusal:
        with_teachers(planned, finished.store)
    assert refusal.value.options == ("soften",)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"by_fold": None}, "lacks what the model of each fold predicts: an older version"),
        (
            {"classes": tuple("abcdefghij")},
            "has other classes, 20 of them, such as '0': name a search on this",
        ),
        ({"split": "other"}, "has members of another split"),
    ],
)
def test_members_that_do_not_fit_cannot_teach(
    finished: Finished,
    planned: SearchPlan,
    monkeypatch: pytest.MonkeyPatch,
    change: dict[str, object],
    reason: str,
) -> None:
    load = teacher.load_member

    def loaded(*which: object) -> tuple[object, object]:
        view, predictions = load(*which)  # type: ignore[arg-type]
        return view, replace(predictions, **change)

    monkeypatch.setattr(teacher, "load_member", loaded)
    with pytest.raises(InputError, match=reason) as refusal:
        with_teachers(planned, finished.store)
    assert "\n" not in str(refusal.value)


def test_without_images_to_predict_there_is_nothing_to_label(finished: Finished, planned: SearchPlan) -> None:
    bare = replace(planned, dataset=replace(planned.dataset, test=planned.dataset.test[:0]))
    with pytest.raises(InputError, match="labels the images to predict, and there are none"):
        with_teachers(bare, finished.store)
    assert recorded_targets(get_search(finished.store, "folded"), finished.store) is None
