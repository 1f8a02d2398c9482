import json
from collections import Counter
from pathlib import Path

import pytest

from tests.conftest import Finished, make_plan, searched
from tests.search.conftest import CHECKPOINTS, TRIALS, Odd
from tune_paddy.core.config import SearchSettings
from tune_paddy.core.errors import InputError, TunePaddyError
from tune_paddy.search.plan import preview
from tune_paddy.tracking.names import require_free
from tune_paddy.tracking.pool import load_pool
from tune_paddy.tracking.runs import get_search


def test_every_trial_is_recorded_with_its_outcome(finished: Finished) -> None:
    outcomes = {member.name: member.outcome for member in finished.members}
    assert len(outcomes) == 4
    assert sorted(outcomes.values()) == ["failed", "finished", "finished", "finished"]


def test_a_failed_trial_fails_alone_and_records_its_reason(odd: Odd) -> None:
    (failed,) = (member for member in odd.members if member.outcome == "failed")
    assert failed.name == "0000-test_resnet-32"
    assert "no-such-weights.safetensors" in failed.failure
    assert "\n" not in failed.failure


def test_a_member_records_its_parameters_scores_and_origin(finished: Finished) -> None:
    member = finished.members[0]
    assert (member.params["arch"], member.params["epochs"]) == ("test_resnet", "2")
    assert member.tags["tune_paddy.origin"] == "resnet"
    for name in ("plain/log_loss", "tta/log_loss", "objective", "accum", "train_seconds_total", "log_loss"):
        assert member.metrics[name] >= 0


def test_metrics_of_every_epoch_are_kept(finished: Finished) -> None:
    curve = finished.store.client.get_metric_history(finished.members[0].run_id, "train_loss")
    assert [point.step for point in curve] == [1, 2]


def test_the_search_has_a_live_curve_with_a_point_for_its_last_member(finished: Finished, odd: Odd) -> None:
    ended = Counter(member.outcome for member in odd.members)["finished"]
    for name, store, last in (("first", finished.store, 3), ("odd", odd.store, ended)):
        parent = get_search(store, name)
        curve = store.client.get_metric_history(parent.run_id, "live_log_loss")
        assert max(point.step for point in curve) == last
        assert parent.status == "FINISHED"


def test_all_members_are_scored_on_the_stored_split(finished: Finished) -> None:
    stored = json.loads((finished.plan.folder / "split.json").read_text())
    pool = load_pool(finished.store, ["first"])
    assert pool.refused == ()
    assert pool.split == stored["fingerprint"]
    assert sorted(pool.select_ids.tolist()) == stored["select_ids"]
    assert pool.select.shape == (6, len(stored["select_ids"]), 10)
    assert pool.test_ids.tolist() == finished.plan.dataset.test["id"].tolist()


def test_a_finished_member_leaves_only_its_weights_and_configuration(finished: Finished) -> None:
    folder = finished.plan.folder / "members" / finished.members[0].name
    assert sorted(path.name for path in folder.iterdir()) == ["member.json", "weights.safetensors"]


def test_a_preview_shows_the_members_that_a_search_trains_first(finished: Finished) -> None:
    coming = preview(finished.plan, n=4)
    proposed = [proposal.member for proposal in coming.proposals]
    assert proposed[:2] == [member.name for member in finished.members[:2]]
    assert (len(proposed), coming.known) == (4, 3)


def test_a_search_that_needs_more_cpus_than_there_are_is_refused(finished: Finished, tmp_path: Path) -> None:
    plan = make_plan("greedy", finished.plan.dataset.root, tmp_path, "recipes: [{arch: test_resnet}]")
    hungry = type(plan)(**{**vars(plan), "settings": SearchSettings(cpus=4096)})
    with pytest.raises(InputError, match="4,096 CPUs"):
        searched(hungry, finished.store)
    with pytest.raises(InputError, match="no search 'greedy'"):
        get_search(finished.store, "greedy")


def test_trials_that_asha_stops_are_recorded_as_stopped_and_the_others_finish(odd: Odd) -> None:
    members = odd.members[1:TRIALS]
    outcomes = [member.outcome for member in members]
    assert set(outcomes) <= {"finished", "stopped"}
    assert "finished" in outcomes
    for member in members:
        epochs = len(odd.store.client.get_metric_history(member.run_id, "train_loss"))
        assert epochs == 5 if member.outcome == "finished" else 3 <= epochs < 5
    assert {view.member for view in load_pool(odd.store, ["odd"]).views} == {
        member.name for member in members if member.outcome == "finished"
    }


def test_no_weights_files_are_saved_with_keep_weights_none(odd: Odd) -> None:
    checkpoints = set(odd.plan.folder.glob(CHECKPOINTS))
    assert set(odd.plan.folder.rglob("*.safetensors")) == checkpoints, (
        "those of the member that can be resumed"
    )


def test_a_search_that_exists_is_not_run_again_unless_it_is_resumed(finished: Finished) -> None:
    with pytest.raises(InputError, match=r"'first' already exists in .*: resume it, or choose another"):
        searched(finished.plan, finished.store)


def test_a_record_that_fails_leaves_the_name_free(
    finished: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_: object, **__: object) -> str:
        raise TunePaddyError("MLflow: no answer")

    monkeypatch.setattr("tune_paddy.tracking.searches.start_search", failing)
    plan = make_plan("unlucky", finished.plan.dataset.root, tmp_path, "recipes: [{arch: test_resnet}]")
    with pytest.raises(TunePaddyError, match="no answer"):
        searched(plan, finished.store)
    assert require_free(plan.name, plan.folder.parent) == plan.name
