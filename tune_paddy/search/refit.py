"""Refit: train the selected members again on all labelled images, as trials of a separate search."""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from pydantic import ValidationError
from rich.console import Console

from tune_paddy.core.config import MemberConfig, SearchSettings
from tune_paddy.core.errors import InputError, TunePaddyError
from tune_paddy.core.predictions import Pool, View
from tune_paddy.core.selection.result import Selection
from tune_paddy.core.teaching.words import TAUGHT
from tune_paddy.data.dataset import Dataset
from tune_paddy.data.member_data import Parts, make_refit_parts
from tune_paddy.data.system.progress.stages import SILENT, Progress
from tune_paddy.search.lock import search_lock
from tune_paddy.search.plan import SearchPlan, stored_split
from tune_paddy.search.preflight import ReadyPlan, ready_session
from tune_paddy.search.recording import recorded_search
from tune_paddy.search.resuming.history import Earlier
from tune_paddy.search.run import run_trials
from tune_paddy.search.sampling.searchers import FixedTrials
from tune_paddy.search.stopping.interruption import Interruption
from tune_paddy.search.teaching.teacher import recorded_targets
from tune_paddy.search.trial import Trial
from tune_paddy.spaces.space import SearchSpace
from tune_paddy.tracking.runs import RecordedRun, get_search, list_members, list_searches, parse_params
from tune_paddy.tracking.schema import MemberRecord, SearchRecord
from tune_paddy.tracking.store import Store

SUFFIX = "-refit"
"""Suffix of the refit's search, after the name of the original search."""


@dataclass(frozen=True)
class RefitMember:
    """A member to train again.

    Attributes:
        name: Name of the member in the refit's search.
        config: Configuration of the original member.
        run_id: MLflow run of the original member.
        search: Name of the original member's search, whose teachers teach it again; empty: none does.
    """

    name: str
    config: MemberConfig
    run_id: str
    search: str = ""


def members_to_refit(
    store: Store, searches: Sequence[str], views: Sequence[View], selection: Selection
) -> tuple[RefitMember, ...]:
    """Read the configurations of all members with a positive ensemble weight from the record.

    Args:
        store: The record.
        searches: Names of the searches of the pool.
        views: Views of the pool.
        selection: Selection from the pool, with one ensemble weight per view.

    Raises:
        InputError: A member's configuration cannot be read.
    """
    runs = {run.run_id: run for name in dict.fromkeys(searches) for run in list_members(store, name)}
    chosen = {views[row].member: views[row].run_id for row in np.flatnonzero(selection.weights).tolist()}
    return tuple(
        RefitMember(_refit_name(name), _config(runs[run_id]), run_id, runs[run_id].search)
        for name, run_id in chosen.items()
    )


def refit_plan(
    search: RecordedRun, dataset: Dataset, members: Sequence[RefitMember], *, runs: Path
) -> SearchPlan:
    """Plan the refit's search, with the settings of the original search.

    Args:
        search: The original search; the first one if the pool has several.
        dataset: Dataset of the original search.
        members: Members to train.
        runs: Folder of all searches; the refit's search gets a folder in it.

    Raises:
        InputError: The settings in the record cannot be read.
    """
    recorded = parse_params({k: v for k, v in search.params.items() if k in SearchSettings.model_fields})
    # Every member is needed, so none is stopped early. Without an honest score, folds have no use. Teachers
    # are those of each member's own search.
    fixed = {"trials": len(members), "minutes": None, "scheduler": "none", "folds": 0, "keep_weights": "all"}
    fixed["stop_when_flat"] = False
    fixed |= dict.fromkeys(TAUGHT)
    try:
        settings = SearchSettings.recorded({**recorded, **fixed})
    except ValidationError as error:
        raise InputError(f"search {search.name!r}: its settings cannot be read: {_first(error)}") from error
    name = search.name + SUFFIX
    return SearchPlan(
        name=name,
        dataset=dataset,
        space=_space(name, members),
        settings=settings,
        folder=runs / name,
        competition=SearchRecord.from_run(search).competition,
    )


def run_refit(
    plan: SearchPlan,
    members: Sequence[RefitMember],
    store: Store,
    *,
    console: Console,
    tags: Mapping[str, object],
    progress: Progress = SILENT,
) -> None:
    """Train members on all labelled images; skip those that an earlier call has finished.

    A member has the soft labels and pseudo-labels of its own search, whatever its teacher has become.

    The members have seen the select split. Their predictions are recorded under another split fingerprint,
    so that no pool mixes them with honest ones, and their scores as `seen/…`.

    Args:
        plan: Plan from `refit_plan`.
        members: Members to train.
        store: The record, opened for the dataset's experiment.
        console: Output for notes and progress, as in `run_search`.
        tags: Tags of the refit's search, which name the original search.
        progress: Receiver of the stages of the start.

    Raises:
        InputError: The record has members of these names with another configuration, or a trial needs more
            resources than there are.
        TunePaddyError: A member failed; the message names it. The other members are kept.
    """
    split = stored_split(plan)
    parts = make_refit_parts(plan.dataset, split)
    done = _finished(store, plan, members, parts.split)
    if len(done) < len(members):
        again = _with_trials(plan, len(members) - len(done))
        classrooms = _classrooms(store, members, done, parts)
        with ready_session(again, progress=progress) as ready, search_lock(plan.folder, plan.name):
            trials = _trials(ready, members, done)
            with recorded_search(plan, split, store, tags) as parent:  # with all members, not those left
                refit = replace(ready, split=split)
                spent = SearchRecord.from_run(get_search(store, plan.name)).seconds or 0.0
                _run(refit, store, parent, trials, classrooms=classrooms, console=console, spent=spent)
    elif get_search(store, plan.name).status != "FINISHED":  # an earlier call ended after its last member
        with search_lock(plan.folder, plan.name), recorded_search(plan, split, store, tags):
            pass
    _require_all(store, plan, members)


def _with_trials(plan: SearchPlan, number: int) -> SearchPlan:
    return replace(plan, settings=plan.settings.model_copy(update={"trials": number}))


def _classrooms(
    store: Store, members: Sequence[RefitMember], done: set[str], parts: Parts
) -> list[tuple[set[str], Parts]]:
    """Return the names of the members that train on the same targets, with their data.

    Members without a teacher come first; an ensemble may join a search and its teacher.
    """
    left = [member for member in members if member.name not in done]
    classrooms = [({member.name for member in left}, parts)]
    for search in dict.fromkeys(member.search for member in left if member.search):
        targets = recorded_targets(get_search(store, search), store)
        if targets is not None:
            names = {member.name for member in left if member.search == search}
            classrooms[0][0].difference_update(names)
            classrooms.append((names, targets.taught_again(parts)))
    return [(names, own) for names, own in classrooms if names]


def _run(
    ready: ReadyPlan,
    store: Store,
    parent: str,
    trials: Sequence[Trial],
    *,
    classrooms: Sequence[tuple[set[str], Parts]],
    console: Console,
    spent: float,
) -> None:
    """Train the members of one classroom after the other; earlier sessions took `spent` seconds."""
    started = time.monotonic() - spent
    for names, parts in classrooms:
        own = FixedTrials([trial for trial in trials if trial.member in names], Interruption())
        refit = replace(ready, plan=_with_trials(ready.plan, own.left), parts=parts)
        earlier = Earlier(seconds=time.monotonic() - started)
        run_trials(refit, store, parent, own, console=console, earlier=earlier)
        ready = replace(ready, notes=())  # printed once


def carry_over(selection: Selection, views: Sequence[View], refitted: Pool) -> tuple[Pool, Selection]:
    """Apply a selection's ensemble weights and temperatures to the views of the refitted members.

    Args:
        selection: Selection from the original pool.
        views: Views of the original pool, one per ensemble weight.
        refitted: Pool of the refit's search.

    Returns:
        The refitted views with a positive weight, in the original order, and their selection, with the
        original score.

    Raises:
        TunePaddyError: The refitted pool lacks a view.
    """
    rows = {view.name: row for row, view in enumerate(refitted.views)}
    chosen = np.flatnonzero(selection.weights).tolist()
    names = [f"{_refit_name(views[row].member)}/{views[row].kind}" for row in chosen]
    missing = [name for name in names if name not in rows]
    if missing:
        reasons = "; ".join(f"{refusal.member}: {refusal.reason}" for refusal in refitted.refused)
        raise TunePaddyError(f"{', '.join(missing)}: no predictions after the refit ({reasons})")
    order = [rows[name] for name in names]
    temperatures = selection.member_temperatures
    return (
        replace(
            refitted,
            views=tuple(refitted.views[row] for row in order),
            select=refitted.select[order],
            test=refitted.test[order],
        ),
        replace(
            selection,
            weights=selection.weights[chosen],
            member_temperatures=None if temperatures is None else temperatures[chosen],
            trajectory=(),
            order=(),
            kept=0,
            gap=None,
        ),
    )


def _refit_name(member: str) -> str:
    """Return a member's name in the refit's search; a pool of several searches has `SEARCH:MEMBER`."""
    return member.replace(":", ".")


def _config(run: RecordedRun) -> MemberConfig:
    values = parse_params({k: v for k, v in run.params.items() if k in MemberConfig.model_fields})
    try:
        return MemberConfig(**values)
    except ValidationError as error:
        raise InputError(f"{run.name}: its parameters cannot be read: {_first(error)}") from error


def _first(error: ValidationError) -> str:
    first = error.errors()[0]
    return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"


def _space(name: str, members: Sequence[RefitMember]) -> SearchSpace:
    """Return a search space with the members as recipes; JSON is valid YAML."""
    recipes = [
        {"name": member.name, **member.config.model_dump(mode="json", exclude_none=True)}
        for member in members
    ]
    content = {"search": {"trials": len(members)}, "recipes": recipes}
    return SearchSpace.parse(json.dumps(content, indent=1), name=name)


def _trials(ready: ReadyPlan, members: Sequence[RefitMember], done: set[str]) -> list[Trial]:
    trials: list[Trial] = []
    for number, member in enumerate(members):
        if member.name not in done:
            origin = f"refit of {member.run_id}"
            memory = ready.memory_of(member.config, [trial.memory for trial in trials])
            trials.append(Trial(number, member.name, origin, member.config, memory))
    return trials


def _finished(store: Store, plan: SearchPlan, members: Sequence[RefitMember], split: str) -> set[str]:
    """Return the names of those of the members that are already trained; the record may have others."""
    known = _recorded_members(store, plan.name)
    for member in members:
        if member.name in known and _config(known[member.name]) != member.config:
            raise InputError(
                f"search {plan.name!r} already has a member {member.name!r} with another configuration; "
                f"delete the runs of {plan.name!r} in MLflow, and the folder {plan.folder}"
            )
    recorded = [(member.name, known[member.name]) for member in members if member.name in known]
    finished = {name: MemberRecord.from_run(run) for name, run in recorded if run.status == "FINISHED"}
    return {name for name, record in finished.items() if record.split == split}


def _recorded_members(store: Store, search: str) -> dict[str, RecordedRun]:
    if search not in (recorded.name for recorded in list_searches(store)):
        return {}
    return {run.name: run for run in list_members(store, search)}


def _require_all(store: Store, plan: SearchPlan, members: Sequence[RefitMember]) -> None:
    runs = _recorded_members(store, plan.name)
    failed = [
        f"{name}: {runs[name].outcome}: {runs[name].failure}" if name in runs else f"{name}: not started"
        for name in (member.name for member in members)
        if name not in runs or runs[name].status != "FINISHED"
    ]
    if failed:
        raise TunePaddyError(
            f"{len(failed)} of {len(members)} members were not refitted, so no submission was written; "
            f"run the same command again to train these alone: {'; '.join(failed)}"
        )
