import dataclasses
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tune_paddy.core.config import MemberConfig
from tune_paddy.core.errors import InputError
from tune_paddy.core.predictions import Predictions
from tune_paddy.tracking.members import fail_member, log_member, start_member
from tune_paddy.tracking.pool import load_pool
from tune_paddy.tracking.schema import MemberRecord, RecordedProposal
from tune_paddy.tracking.searches import start_search
from tune_paddy.tracking.store import Store

Make = Callable[..., Predictions]


def search_of(store: Store, name: str, members: dict[str, Predictions]) -> dict[str, str]:
    """Record a search with finished members; return member → run id."""
    parent = start_search(store, name=name)
    runs = {}
    for member, predictions in members.items():
        params = {"arch": "tiny", "size": "[64, 64]"}
        runs[member] = start_member(store, search=name, member=member, parent_run_id=parent, params=params)
        log_member(store, runs[member], predictions, {"log_loss": 0.5, "seconds": 60})
    return runs


def file_of(store: Store, run_id: str) -> Path:
    """Path of a run's predictions."""
    uri: str = store.client.get_run(run_id).info.artifact_uri
    return Path(uri.removeprefix("file://")) / "predictions.npz"


def test_a_pool_holds_what_members_logged(store: Store, make_predictions: Make) -> None:
    """Every view of every finished member, aligned by id, with parameters and metrics."""
    first, second = make_predictions(1), make_predictions(2)
    order = np.array([3, 0, 5, 1, 4, 2])
    shuffled = dataclasses.replace(
        second,
        select_ids=second.select_ids[order],
        select_labels=second.select_labels[order],
        select={view: probs[order] for view, probs in second.select.items()},
    )
    runs = search_of(store, "night", {"0001-a": first, "0002-b": shuffled})
    pool = load_pool(store, ["night"])
    assert [view.name for view in pool.views] == ["0001-a/plain", "0001-a/tta", "0002-b/plain", "0002-b/tta"]
    assert [view.run_id for view in pool.views] == [runs["0001-a"]] * 2 + [runs["0002-b"]] * 2
    np.testing.assert_array_equal(pool.select[1], first.select["tta"])
    np.testing.assert_array_equal(pool.select[2], second.select["plain"])
    np.testing.assert_array_equal(pool.test[3], second.test["tta"])
    assert pool.views[0].arch == "tiny"
    assert pool.views[0].params == {"arch": "tiny", "size": (64, 64)}
    assert pool.views[0].metrics == {"log_loss": 0.5, "seconds": 60.0}
    assert pool.views[0].search == "night"
    assert pool.refused == ()


def test_parameters_have_their_types_and_stay_apart_from_metrics_of_the_same_name(
    store: Store, make_predictions: Make
) -> None:
    """A learning rate is a parameter, and a metric of each epoch; a path of digits stays text."""
    config = MemberConfig(arch="tiny", lr=0.004, epochs=6, size=(64, 48), pretrained="123")
    proposal = RecordedProposal(number=0, origin="tiny", config=config)
    run_id = start_member(
        store,
        search="night",
        member="0000-tiny",
        parent_run_id=start_search(store, name="night"),
        params=config.model_dump(mode="json") | {"score": "nan"},
        tags=MemberRecord(proposal=proposal).to_tags(),
    )
    log_member(store, run_id, make_predictions(1), {"lr": 6e-07, "accum": 2, "spoilt": math.nan})
    view = load_pool(store, ["night"]).views[0]
    assert math.isnan(view.params["score"])
    assert {**view.params, "score": 0} == {**config.model_dump(), "size": (64, 48), "score": 0}
    assert view.metrics == {"lr": 6e-07, "accum": 2.0}, "NaN is no value"
    assert (view.info["lr"], view.info["accum"], view.info["epochs"]) == (0.004, "auto", 6)


def test_members_that_cannot_be_used_are_refused_by_name(store: Store, make_predictions: Make) -> None:
    """A missing file, a damaged one and another split do not affect the other members."""
    runs = search_of(
        store,
        "night",
        {
            "0001-good": make_predictions(1),
            "0002-good": make_predictions(2),
            "0003-missing": make_predictions(3),
            "0004-cut": make_predictions(4),
            "0005-split": make_predictions(5, split="other"),
        },
    )
    file_of(store, runs["0003-missing"]).unlink()
    cut = file_of(store, runs["0004-cut"])
    cut.write_bytes(cut.read_bytes()[:-100])
    pool = load_pool(store, ["night"])
    assert {view.member for view in pool.views} == {"0001-good", "0002-good"}
    reasons = {refusal.member: refusal.reason for refusal in pool.refused}
    assert reasons.keys() == {"0003-missing", "0004-cut", "0005-split"}
    assert f"run {runs['0003-missing']} has no predictions.npz" in reasons["0003-missing"]
    assert f"run {runs['0004-cut']}" in reasons["0004-cut"]
    assert "split other differs" in reasons["0005-split"]
    assert not any("\n" in reason for reason in reasons.values())


def test_members_that_did_not_finish_are_ignored(store: Store, make_predictions: Make) -> None:
    """Running, failed and stopped members are not in the pool, even if they have predictions."""
    runs = search_of(store, "night", {f"{i:04}-m": make_predictions(i) for i in range(4)})
    fail_member(store, runs["0001-m"], "diverged", "diverged")
    fail_member(store, runs["0002-m"], "stopped", "stopped")
    store.client.update_run(runs["0003-m"], status="RUNNING")
    pool = load_pool(store, ["night"])
    assert {view.member for view in pool.views} == {"0000-m"}
    assert pool.refused == ()


def test_searches_are_pooled_under_their_names(store: Store, make_predictions: Make) -> None:
    """Two searches may each have a member of the same name; a search listed twice counts once."""
    search_of(store, "night", {"0001-m": make_predictions(1)})
    search_of(store, "day", {"0001-m": make_predictions(2)})
    pool = load_pool(store, ["night", "day", "night"])
    assert sorted({view.member for view in pool.views}) == ["day:0001-m", "night:0001-m"]


def test_a_member_counts_once(store: Store, make_predictions: Make) -> None:
    """A second run of a member would count twice in the ensemble."""
    (first,) = search_of(store, "night", {"0001-m": make_predictions(1)}).values()
    tags = store.client.get_run(first).data.tags
    copy = store.client.create_run(store.experiment_id, tags=tags).info.run_id
    log_member(store, copy, make_predictions(1), {})
    pool = load_pool(store, ["night"])
    assert {view.run_id for view in pool.views} == {first}
    assert [refusal.reason for refusal in pool.refused] == [f"run {copy} repeats run {first}, which is used"]


def test_a_search_without_members_is_an_empty_pool(store: Store) -> None:
    """An unknown search is an error."""
    start_search(store, name="night")
    assert load_pool(store, ["night"]).views == ()
    with pytest.raises(InputError, match="no search 'dawn'"):
        load_pool(store, ["night", "dawn"])
