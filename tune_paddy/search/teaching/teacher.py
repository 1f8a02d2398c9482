"""Read an earlier search as a teacher, and make the targets of a new search from its predictions.

No label that judges a member reaches its targets on the way of the label itself:

| split | target | made by |
|---|---|---|
| folds | soft label of an image | the models that did not train on the image's fold |
| folds | pseudo-label for the model of a fold | the models that did not train on the same fold |
| select split | pseudo-label | the models, which never trained on the select split |
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tune_paddy.core.errors import InputError
from tune_paddy.core.predictions import Predictions
from tune_paddy.core.teaching.targets import Targets, aligned, mean_opinion, mixed_targets, taught_view
from tune_paddy.core.teaching.words import share_of_teacher
from tune_paddy.data.member_data import Parts, make_parts
from tune_paddy.search.plan import SearchPlan, new_split
from tune_paddy.search.teaching.targets import TaughtTargets
from tune_paddy.tracking.files import TARGETS_FILE, read_search_file
from tune_paddy.tracking.pool import load_member
from tune_paddy.tracking.runs import RecordedRun, get_search, list_members
from tune_paddy.tracking.schema import SearchRecord
from tune_paddy.tracking.store import Store


@dataclass(frozen=True)
class Teacher:
    """A finished search whose predictions become targets.

    Attributes:
        name: Name of the search.
        option: Setting that names it, for messages.
        members: Predictions of its finished members, at least one.
    """

    name: str
    option: str
    members: Sequence[Predictions]


def with_teachers(plan: SearchPlan, store: Store) -> SearchPlan:
    """Return the plan of a new search with the targets that its teachers give; write nothing.

    Args:
        plan: Plan of a new search.
        store: Record that has the teachers.

    Raises:
        InputError: A teacher is unknown or unfinished, or has another dataset, task or split; or there is
            nothing to label.
        TunePaddyError: MLflow failed, or a member's predictions cannot be read.
    """
    settings = plan.settings
    if settings.soften is None and settings.pseudo is None:
        return plan
    if settings.pseudo is not None and not len(plan.dataset.test):
        raise InputError(
            f"`pseudo={settings.pseudo}` labels the images to predict, and there are none: leave it out",
            options=("pseudo",),
        )
    parts = make_parts(plan.dataset, new_split(plan))
    targets = TaughtTargets(
        split=parts.split,
        classes=parts.classes,
        ids=parts.select.ids,
        labelled=parts.select.targets,
        test_ids=parts.test.ids,
        test=parts.pseudo,
    )
    mix = share_of_teacher(settings.model_dump())
    if settings.soften is not None:
        teacher = _read_teacher(settings.soften, "soften", plan, parts, store)
        labelled = soft_labels(teacher.members, parts, mix) if mix else targets.labelled
        targets = replace(targets, labelled=labelled)
    if settings.pseudo is not None:
        teacher = _read_teacher(settings.pseudo, "pseudo", plan, parts, store)
        targets = replace(targets, test=pseudo_labels(teacher, parts))
    return replace(plan, targets=targets)


def recorded_targets(search: RecordedRun, store: Store) -> TaughtTargets | None:
    """Return the targets that are stored with a search; None: no teacher gave it any.

    Args:
        search: Recorded run of the search.
        store: The record.

    Raises:
        InputError: The file is damaged.
        TunePaddyError: Neither the search's folder nor its run has the file, or MLflow failed.
    """
    settings = SearchRecord.from_run(search).settings or {}
    if settings.get("soften") is None and settings.get("pseudo") is None:
        return None
    content, name = read_search_file(store, search, TARGETS_FILE, what="the targets of a search")
    return TaughtTargets.parse(content, name)


def soft_labels(members: Sequence[Predictions], parts: Parts, mix: float) -> Targets:
    """Mix the labels of the select images with the members' out-of-fold predictions.

    Args:
        members: Predictions of the teacher's members, on the same images.
        parts: Data of the new search.
        mix: Share of the teacher, from 0 to 1.

    Returns:
        float32 [select images, classes].
    """
    opinions = [
        aligned(
            member.select[taught_view(member.select)],
            (member.select_ids, parts.select.ids),
            (member.classes, parts.classes),
        )
        for member in members
    ]
    return mixed_targets(parts.select.labels, mean_opinion(opinions, parts.task), mix)


def pseudo_labels(teacher: Teacher, parts: Parts) -> Targets:
    """Label the test images by the models that have not seen the images that judge the student.

    Args:
        teacher: The teacher, with the same images.
        parts: Data of the new search.

    Returns:
        float32 [folds, test images, classes]; with a select split [1, test images, classes].

    Raises:
        InputError: The search has folds, and a member's record lacks the predictions of each fold's model.
    """
    opinions = []
    for member in teacher.members:
        view = taught_view(member.test)
        probs = member.test_by_fold.get(view) if parts.n_folds else member.test[view][None]
        if probs is None or len(probs) != max(1, parts.n_folds):
            raise InputError(
                f"`{teacher.option}`: search {teacher.name!r} was recorded without the predictions of each "
                "fold's model for the images to predict, by an older version: run it again under a new name",
                options=(teacher.option,),
            )
        opinions.append(
            aligned(
                probs.astype(np.float32),
                (member.test_ids, parts.test.ids),
                (member.classes, parts.classes),
            )
        )
    return mean_opinion(opinions, parts.task).astype(np.float32)


def _read_teacher(name: str, option: str, plan: SearchPlan, parts: Parts, store: Store) -> Teacher:
    search = get_search(store, name)
    problem = _unfit(search, plan, parts)
    if problem is None:
        runs = [run for run in list_members(store, name) if run.status == "FINISHED"]
        members = tuple(load_member(store, run.run_id)[1] for run in runs)
        problem = next((text for text in (_misfit(member, parts) for member in members) if text), None)
        if not members:
            problem = "has no finished member"
        if problem is None:
            return Teacher(name, option, members)
    raise InputError(f"`{option}`: search {name!r} {problem}", options=(option,))


def _unfit(search: RecordedRun, plan: SearchPlan, parts: Parts) -> str | None:
    """Return why a search cannot teach a planned one, and what to do; None if its record allows it."""
    record = SearchRecord.from_run(search)
    if record.refit_of:
        return "is a refit, which has trained on every labelled image: name the search that it refits"
    if search.outcome != "finished":
        return f"is {search.outcome}, not finished: finish it first"
    if record.dataset_fingerprint != plan.dataset.fingerprint:
        return (
            "was run on other images or labels: name a search on the same dataset, or run one on this dataset"
        )
    if record.split != parts.split:
        differences = _differences(record.settings or {}, plan)
        return f"divides the images in another way ({differences}): use the same settings, or name another"
    return None


def _differences(taught_with: Mapping[str, Any], plan: SearchPlan) -> str:
    """Return which settings of the split differ, the teacher's first."""
    now = plan.settings.model_dump(mode="json")
    names = ["seed", "folds"] + ["select_share"] * (not now["folds"])
    odd = [name for name in names if taught_with.get(name) != now[name]]
    lines = [f"{name} {taught_with.get(name)} there, {now[name]} here" for name in odd]
    return "; ".join(lines) or "its groups, copies or split column differ"


def _misfit(member: Predictions, parts: Parts) -> str | None:
    """Return why the predictions of a member cannot be targets, and what to do; None if they can."""
    if member.task is not parts.task:
        return f"predicts {member.task.description}, not {parts.task.description}: name a search of this task"
    for what, theirs, ours in (
        ("classes", member.classes, parts.classes),
        ("select images", member.select_ids.tolist(), parts.select.ids.tolist()),
        ("images to predict", member.test_ids.tolist(), parts.test.ids.tolist()),
    ):
        odd = sorted({*theirs} ^ {*ours})
        if odd:
            return f"has other {what}, {len(odd)} of them, such as {odd[0]!r}: name a search on this dataset"
    return None if member.split == parts.split else "has members of another split: name another search"
