import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tune_paddy.core.errors import TunePaddyError
from tune_paddy.core.predictions import Predictions
from tune_paddy.tracking import ensembles
from tune_paddy.tracking.context.provenance import this_process
from tune_paddy.tracking.ensembles import log_ensemble, log_live_score, make_current, read_live_points
from tune_paddy.tracking.files import PARTIAL
from tune_paddy.tracking.lookup.ensembles import finished_ensembles
from tune_paddy.tracking.members import log_member, start_member
from tune_paddy.tracking.runs import get_search, list_ensembles, list_members, recorded
from tune_paddy.tracking.searches import start_search
from tune_paddy.tracking.store import Store
from tune_paddy.tracking.writing import now

SELECTION = {"members": {"0001-m/plain": 0.75, "0002-m/tta": 0.25}, "metric": "log_loss"}


@pytest.fixture
def members(store: Store, make_predictions: Callable[..., Predictions]) -> list[str]:
    """Runs of three finished members of the search `night`."""
    parent = start_search(store, name="night")
    runs = []
    for i in range(3):
        name = f"000{i}-m"
        runs.append(start_member(store, search="night", member=name, parent_run_id=parent, params={}))
        log_member(store, runs[-1], make_predictions(i), {"log_loss": 0.5})
    return runs


def record(store: Store, folder: Path, weights: dict[str, float], log_loss: float = 0.25) -> str:
    """Record an ensemble of `night` with a submission, and make it current."""
    submission = folder / "submission.csv"
    submission.write_text("image_id,label\n1.jpg,normal\n")
    run_id = log_ensemble(
        store,
        search="night",
        name=f"greedy {log_loss}",
        selection_dict=SELECTION | {"log_loss": log_loss},
        files=[submission],
        metrics={"log_loss": log_loss},
        params={"metric": "log_loss"},
        description="| member | weight |",
    )
    make_current(store, recorded(store.client.get_run(run_id)), weights=weights, contributions={})
    return run_id


def artifact(store: Store, run_id: str, name: str) -> str:
    """The text of a file of a run."""
    uri: str = store.client.get_run(run_id).info.artifact_uri
    return (Path(uri.removeprefix("file://")) / name).read_text()


def test_no_ensemble_ends_before_its_start_when_the_clock_is_set_back(
    store: Store, members: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter([2_000_000, 1_000_000])  # the first is the start; all others come after a step back
    last = 1_000_000
    monkeypatch.setattr(ensembles, "now", lambda: next(clock, last))
    run = recorded(store.client.get_run(record(store, tmp_path, {members[0]: 1.0})))
    assert run.ended == run.started == 2000


def test_an_ensemble_is_a_run_under_its_search(store: Store, members: list[str], tmp_path: Path) -> None:
    """It has files, settings, scores and a page, and is not listed as a member."""
    run_id = record(store, tmp_path, {})
    (ensemble,) = list_ensembles(store, "night")
    assert ensemble.run_id == run_id
    assert (ensemble.status, ensemble.kind) == ("FINISHED", "ensemble")
    assert ensemble.tags["mlflow.parentRunId"] == get_search(store, "night").run_id
    assert ensemble.tags["mlflow.note.content"] == "| member | weight |"
    assert (ensemble.params, ensemble.metrics) == ({"metric": "log_loss"}, {"log_loss": 0.25})
    assert artifact(store, run_id, "submission.csv").endswith("1.jpg,normal\n")
    assert json.loads(artifact(store, run_id, "ensemble.json"))["members"] == SELECTION["members"]
    assert {member.run_id for member in list_members(store, "night")} == set(members)


def test_a_file_of_the_callers_own_is_kept(store: Store, members: list[str], tmp_path: Path) -> None:
    """An `ensemble.json` among the files is stored byte by byte."""
    assert members
    own = tmp_path / "ensemble.json"
    own.write_text('{"mine": 1}')
    run_id = log_ensemble(
        store, search="night", name="mine", selection_dict=SELECTION, files=[own], metrics={}, params={}
    )
    assert artifact(store, run_id, "ensemble.json") == '{"mine": 1}'


def test_the_same_selection_is_recorded_once(store: Store, members: list[str], tmp_path: Path) -> None:
    """The same selection from the same pool reuses its run; another selection is another run."""
    assert record(store, tmp_path, {members[0]: 1.0}) == record(store, tmp_path, {members[0]: 1.0})
    assert record(store, tmp_path, {members[0]: 1.0}, log_loss=0.125) not in {None, *members}
    assert len(list_ensembles(store, "night")) == 2


def test_the_current_ensemble_shows_on_search_and_members(
    store: Store, members: list[str], tmp_path: Path
) -> None:
    """The table's rows show the search's score and the members' ensemble weights."""
    record(store, tmp_path, dict(zip(members, (0.75, 0.25, 0.0), strict=True)))
    record(store, tmp_path, dict(zip(members, (0.0, 0.5, 0.5), strict=True)), log_loss=0.125)
    assert get_search(store, "night").metrics["log_loss"] == 0.125
    weights = [member.metrics["ensemble_weight"] for member in list_members(store, "night")]
    assert weights == [0.0, 0.5, 0.5]


def test_the_page_of_a_search_begins_with_its_current_ensemble(store: Store, tmp_path: Path) -> None:
    start_search(store, name="night", description="Search `night`.")
    for _ in range(2):
        record(store, tmp_path, {})
        assert get_search(store, "night").tags["mlflow.note.content"] == (
            "| member | weight |\n\n## The search\n\nSearch `night`.\n"
        )


def test_the_live_curve_has_one_point_per_finished_member(store: Store, members: list[str]) -> None:
    """A resumed search that computes a point again does not duplicate it."""
    assert members
    parent = get_search(store, "night").run_id
    for step, score in ((1, 0.5), (2, 0.25), (2, 0.25), (3, 0.125)):
        log_live_score(store, parent, step, score, score / 10, seconds=60.0)
    for name, factor in (("live_log_loss", 1), ("live_error_rate", 10)):
        curve = [
            (point.step, point.value * factor) for point in store.client.get_metric_history(parent, name)
        ]
        assert curve == [(1, 0.5), (2, 0.25), (3, 0.125)]


def test_the_live_curve_has_the_hours_since_the_search_began(store: Store) -> None:
    """MLflow's own relative time begins at the first point."""
    run = store.client.create_run(store.experiment_id, start_time=now() - 7_200_000)
    log_live_score(store, run.info.run_id, 1, 0.5, 0.1, seconds=60.0)
    assert store.client.get_run(run.info.run_id).data.metrics["live_hours"] == pytest.approx(2, abs=0.1)


def test_an_ensemble_lasts_as_long_as_its_last_selection(store: Store, tmp_path: Path) -> None:
    """Selecting the same again an hour later does not make it an hour long, but the newest again."""
    start_search(store, name="night")
    hour = 3600.0
    arguments: dict[str, Any] = {"search": "night", "metrics": {}, "params": {}}
    arguments["name"] = "mine"
    first = log_ensemble(store, selection_dict=SELECTION, files=[], started=time.time() - hour, **arguments)
    (recorded,) = list_ensembles(store, "night")
    assert recorded.ended
    assert recorded.ended - recorded.started == pytest.approx(hour, abs=60)
    (tmp_path / "submission.csv").write_text("image_id,label\n")
    arguments["files"] = [tmp_path / "submission.csv"]
    log_ensemble(store, selection_dict={"other": 1}, **(arguments | {"name": "other"}))
    assert log_ensemble(store, selection_dict=SELECTION, started=time.time(), **arguments) == first
    again = finished_ensembles(store, "night")[-1]
    assert again.run_id == first
    assert again.ended
    assert again.ended - again.started < 60


def test_a_missing_file_is_named(store: Store, members: list[str], tmp_path: Path) -> None:
    """The ensemble is not FINISHED without its files."""
    assert members
    with pytest.raises(TunePaddyError, match=r"No such file.*nowhere\.csv"):
        log_ensemble(
            store,
            search="night",
            name="mine",
            selection_dict=SELECTION,
            files=[tmp_path / "nowhere.csv"],
            metrics={},
            params={},
        )
    assert [ensemble.status for ensemble in list_ensembles(store, "night")] != ["FINISHED"]


def test_the_current_ensemble_stays_complete_if_a_process_dies_while_it_records_it_again(
    store: Store, members: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that is not FINISHED would be no ensemble for any command."""
    run_id = record(store, tmp_path, {members[0]: 1.0})
    with monkeypatch.context() as patch:
        patch.setattr(ensembles, "log_files", die)
        with pytest.raises(KilledError):
            record(store, tmp_path, {members[0]: 1.0})
    (ensemble,) = finished_ensembles(store, "night")
    assert (ensemble.run_id, ensemble.status, ensemble.outcome) == (run_id, "FINISHED", "finished")
    assert record(store, tmp_path, {members[0]: 1.0}) == run_id


def test_a_run_whose_process_died_before_the_ensemble_was_complete_is_closed_by_the_next_selection(
    store: Store, members: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same selection may be given later, too: it reuses the run."""
    assert members
    with monkeypatch.context() as patch:
        patch.setattr(ensembles, "log_files", die)
        patch.setattr(ensembles, "this_process", lambda: f"{this_process().split(':')[0]}:{2**22 + 1}:1.00")
        with pytest.raises(KilledError):
            record(store, tmp_path, {}, log_loss=0.5)
    (killed,) = list_ensembles(store, "night")
    assert (killed.status, killed.outcome) == ("RUNNING", "interrupted")
    partial = Path(killed.artifact_uri.removeprefix("file://")) / f"{PARTIAL}x"
    partial.parent.mkdir(parents=True)
    partial.touch()
    record(store, tmp_path, {})
    assert not partial.exists()
    found = {ensemble.metrics.get("log_loss"): ensemble for ensemble in list_ensembles(store, "night")}
    assert (found[0.25].status, found[None].status) == ("FINISHED", "KILLED")
    assert record(store, tmp_path, {}, log_loss=0.5) == found[None].run_id
    assert len(finished_ensembles(store, "night")) == 2


class KilledError(Exception):
    """Simulates the death of a process."""


def die(*_: object) -> None:
    raise KilledError


def test_the_live_curve_is_read_with_the_time_of_the_search_where_it_was_recorded(store: Store) -> None:
    """An earlier version recorded no time; a resumed search does not count its pause."""
    run = store.client.create_run(store.experiment_id, start_time=now() - 7_200_000).info.run_id
    store.client.log_metric(run, "live_log_loss", 0.5, step=1)
    assert read_live_points(store, run) == {}
    log_live_score(store, run, 2, 0.25, 0.1, seconds=90.04, new=True)
    assert read_live_points(store, run) == {2: (90.0, 0.25)}
