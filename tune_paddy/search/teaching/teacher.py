"""Read an earlier search as the teacher of a new one."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from tune_paddy.core.errors import InputError
from tune_paddy.core.predictions import MOST_BYTES, Predictions
from tune_paddy.core.teaching.words import share_of_teacher
from tune_paddy.data.member_data import Parts, make_parts
from tune_paddy.search.plan import SearchPlan, new_split
from tune_paddy.search.teaching.opinions import Opinion, opinion_of, pseudo_labels, soft_labels
from tune_paddy.search.teaching.targets import TaughtTargets
from tune_paddy.tracking.files import TARGETS_FILE, read_search_file
from tune_paddy.tracking.pool import load_member
from tune_paddy.tracking.runs import RecordedRun, get_search, list_members
from tune_paddy.tracking.schema import SearchRecord
from tune_paddy.tracking.store import Store


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
        labelled=parts.soft,
        test_ids=parts.test.ids,
        test=parts.pseudo,
    )
    mix = share_of_teacher(settings.model_dump())
    if settings.soften is not None:
        opinions = _read_teacher(settings.soften, "soften", plan, parts, store)
        labels = soft_labels(opinions, parts, mix)
        if labels is None:
            raise _without_folds(settings.soften, "soften")
        if mix:  # otherwise the labels stay as they are, to the bit
            targets = replace(targets, labelled=labels)
    if settings.pseudo is not None:
        labels = pseudo_labels(_read_teacher(settings.pseudo, "pseudo", plan, parts, store), parts)
        if labels is None:
            raise _without_folds(settings.pseudo, "pseudo")
        targets = replace(targets, test=labels)
    return replace(plan, targets=targets)


def _without_folds(name: str, option: str) -> InputError:
    return InputError(
        f"`{option}`: the record of search {name!r} lacks what the model of each fold predicts: an older "
        f"version trained a member, or there are more than {MOST_BYTES >> 20} MiB of it; name another "
        "search, or run it again under a new name",
        options=(option,),
    )


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


def _read_teacher(
    name: str, option: str, plan: SearchPlan, parts: Parts, store: Store
) -> tuple[Opinion, ...]:
    """Return the opinions of a search's finished members.

    Raises:
        InputError: The search cannot teach this one.
    """
    search = get_search(store, name)
    problem = _unfit(search, plan, parts)
    if problem is None:
        runs = [run for run in list_members(store, name) if run.status == "FINISHED"]
        members = tuple(load_member(store, run.run_id)[1] for run in runs)
        problem = next((text for text in (_misfit(member, parts) for member in members) if text), None)
        if not members:
            problem = "has no finished member"
        if problem is None:
            return tuple(opinion_of(member, parts) for member in members)
    raise InputError(f"`{option}`: search {name!r} {problem}", options=(option,))


def _unfit(search: RecordedRun, plan: SearchPlan, parts: Parts) -> str | None:
    """Return why a search cannot teach a planned one, and what to do; None if its record allows it."""
    record = SearchRecord.from_run(search)
    if record.refit_of:
        return "is a refit, which has trained on every labelled image: name the search that it refits"
    if search.outcome != "finished":
        return f"is {search.outcome}, not finished: wait for its end, or resume it first"
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
