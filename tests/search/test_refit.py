"""Refit of members of a real search on all labelled images."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import timm
from rich.console import Console
from safetensors.torch import save_file

from tests.conftest import Finished
from tests.search.here import trained_here
from tune_paddy.core.errors import InputError, TunePaddyError
from tune_paddy.core.predictions import Pool
from tune_paddy.core.selection.result import Selection
from tune_paddy.search.plan import SearchPlan
from tune_paddy.search.refit import (
    RefitMember,
    carry_over,
    members_to_refit,
    refit_plan,
    run_refit,
)
from tune_paddy.search.trainable import LOCKS
from tune_paddy.tracking.pool import load_pool
from tune_paddy.tracking.runs import get_search, list_members
from tune_paddy.tracking.schema import SearchRecord
from tune_paddy.tracking.searches import log_seconds
from tune_paddy.training.saved.shelf import MEMBERS


def chosen(finished: Finished) -> tuple[Pool, Selection, tuple[RefitMember, ...]]:
    """Return a selection of the last member's two views; the other members have no weight."""
    pool = load_pool(finished.store, ["first"])
    weights = np.zeros(len(pool.views))
    weights[-2:] = 0.25, 0.75
    selection = Selection(weights, 0.1, rule="log_linear", member_temperatures=np.arange(1.0, 7.0))
    return pool, selection, members_to_refit(finished.store, ["first"], pool.views, selection)


def make_refit(finished: Finished, members: tuple[RefitMember, ...], name: str, runs: Path) -> SearchPlan:
    """Plan a refit as if the search had another name, so that each test has its own refit."""
    search = replace(get_search(finished.store, "first"), name=name)
    return refit_plan(search, finished.plan.dataset, members, runs=runs)


def test_only_members_with_weight_are_refitted_and_keep_their_configuration(
    finished: Finished, tmp_path: Path
) -> None:
    pool, _, members = chosen(finished)
    assert [(member.name, member.run_id) for member in members] == [
        (pool.views[-1].member, pool.views[-1].run_id)
    ]
    params = next(m for m in finished.members if m.run_id == members[0].run_id).params
    assert {key: str(value) for key, value in members[0].config.model_dump(mode="json").items()} == params
    plan = make_refit(finished, members, "one", tmp_path)
    kept = {"trials": 1, "keep_weights": "all"}
    assert plan.settings.model_dump() == {**finished.plan.settings.model_dump(), **kept}
    assert (plan.name, plan.folder) == ("one-refit", tmp_path / "one-refit")


def test_ensemble_weights_and_temperatures_stay_with_their_views(finished: Finished) -> None:
    pool, selection, _ = chosen(finished)
    again, carried = carry_over(selection, pool.views, pool)
    assert [view.name for view in again.views] == [view.name for view in pool.views[-2:]]
    assert carried.member_temperatures is not None
    assert carried.member_temperatures.tolist() == [5, 6]
    before = pytest.approx(selection.blend(pool.test), abs=1e-12)
    assert carried.blend(again.test) == before
    backwards = replace(
        pool, views=pool.views[::-1], select=pool.select[::-1].copy(), test=pool.test[::-1].copy()
    )
    assert carried.blend(carry_over(selection, pool.views, backwards)[0].test) == before


def test_a_view_that_is_missing_is_named(finished: Finished) -> None:
    pool, selection, members = chosen(finished)
    with pytest.raises(TunePaddyError, match=f"{members[0].name}/tta"):
        carry_over(selection, pool.views, replace(pool, views=pool.views[:-1]))


def test_members_of_several_searches_keep_distinct_names(finished: Finished) -> None:
    pool, selection, _ = chosen(finished)
    views = tuple(replace(view, member=f"first:{view.member}") for view in pool.views)
    (member,) = members_to_refit(finished.store, ["first"], views, selection)
    assert member.name == f"first.{pool.views[-1].member}"
    refitted = replace(pool, views=tuple(replace(v, member=f"first.{v.member}") for v in pool.views))
    again, _ = carry_over(selection, views, refitted)
    assert {view.member for view in again.views} == {member.name}


def test_a_member_that_fails_is_named_and_the_next_call_trains_it_alone(
    finished: Finished, tmp_path: Path
) -> None:
    _, _, (member,) = chosen(finished)
    quick = member.config.model_copy(update={"epochs": 1, "tta": 0, "arch": "test_resnet"})
    weights = tmp_path / "later.safetensors"
    late = quick.model_copy(update={"pretrained": str(weights)})
    members = (RefitMember("good", quick, "a"), RefitMember("late", late, "b"))
    plan = make_refit(finished, members, "halting", tmp_path)
    failure = pytest.raises(TunePaddyError, match=r"1 of 2 members .* late: failed: .*later\.safetensors")
    with trained_here(), failure:
        run_refit(plan, members, finished.store, console=Console(quiet=True), tags={})
    save_file(timm.create_model("test_resnet").state_dict(), weights)
    log_seconds(finished.store, get_search(finished.store, plan.name).run_id, 5000)
    with trained_here():
        run_refit(plan, members, finished.store, console=Console(quiet=True), tags={})
    record = SearchRecord.from_run(get_search(finished.store, plan.name))
    assert record.seconds is not None
    assert record.seconds >= 5000, "of both sessions"
    assert (record.settings or {})["trials"] == len(members), "not those of the last session alone"
    runs = {run.name: run for run in list_members(finished.store, plan.name)}
    assert {name: (run.outcome, run.tags["tune_paddy.attempts"]) for name, run in runs.items()} == {
        "good": ("finished", "1"),
        "late": ("finished", "2"),
    }
    assert runs["good"].metrics["train_images"] == round(quick.subsample * len(plan.dataset.labelled))
    other = (RefitMember("good", quick.model_copy(update={"seed": 5}), "a"),)
    with pytest.raises(InputError, match="'good' with another configuration"):
        run_refit(plan, other, finished.store, console=Console(quiet=True), tags={})


def test_a_refit_that_was_killed_after_its_last_member_is_closed_by_the_next_call(
    finished: Finished, tmp_path: Path
) -> None:
    _, _, (member,) = chosen(finished)
    quick = member.config.model_copy(update={"epochs": 1, "tta": 0, "arch": "test_resnet"})
    members, store = (RefitMember("only", quick, "a"),), finished.store
    plan = make_refit(finished, members, "killed", tmp_path)
    with trained_here():
        run_refit(plan, members, store, console=Console(quiet=True), tags={})
    store.client.update_run(get_search(store, plan.name).run_id, "RUNNING")
    locks = plan.folder / MEMBERS / LOCKS
    locks.mkdir()
    run_refit(plan, members, store, console=Console(quiet=True), tags={})
    assert get_search(store, plan.name).status == "FINISHED"
    assert not locks.exists()


def test_members_of_another_selection_are_trained_beside_those_of_the_first(
    finished: Finished, tmp_path: Path
) -> None:
    _, _, (member,) = chosen(finished)
    quick = member.config.model_copy(update={"epochs": 1, "tta": 0, "arch": "test_resnet"})
    with trained_here():
        for name in ("one", "two"):
            members = (RefitMember(name, quick, name),)
            plan = make_refit(finished, members, "selections", tmp_path)
            run_refit(plan, members, finished.store, console=Console(quiet=True), tags={})
    recorded = list_members(finished.store, plan.name)
    assert {run.name: run.outcome for run in recorded} == {"one": "finished", "two": "finished"}
