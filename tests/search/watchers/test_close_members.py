"""Members are closed, with the true reason, as soon as Ray gives them up."""

from pathlib import Path

import pytest

from tests.conftest import Finished
from tests.search.trials import make_trial
from tune_paddy.core.errors import TunePaddyError
from tune_paddy.data.storage.storage import Storage
from tune_paddy.search.trial import Trial
from tune_paddy.search.watchers import close_members
from tune_paddy.search.watchers.close_members import MemberCloser, sweep
from tune_paddy.search.watchers.stopwatch import Stopwatch
from tune_paddy.tracking.members import fail_member, start_member
from tune_paddy.tracking.runs import get_search, list_members
from tune_paddy.tracking.searches import start_search
from tune_paddy.tracking.store import Store
from tune_paddy.training.saved.shelf import Shelf


def trial(number: int) -> Trial:
    return make_trial(f"{number:04d}-test_resnet-32", number)


def start(store: Store, parent: str, number: int) -> str:
    proposed = trial(number)
    return start_member(
        store,
        search="closing",
        member=proposed.member,
        parent_run_id=parent,
        params=proposed.params,
        tags=proposed.record.to_tags(),
    )


@pytest.fixture(scope="module")
def parent(finished: Finished) -> str:
    return start_search(finished.store, name="closing")


def test_a_member_is_closed_with_its_outcome_and_keeps_checkpoints_only_if_it_can_be_resumed(
    finished: Finished, parent: str, tmp_path: Path
) -> None:
    store = finished.store
    closer = MemberCloser(store, "closing", parent, tmp_path, Shelf(tmp_path))
    states = {0: "stopped", 1: "interrupted", 2: "failed", 3: "failed", 4: "failed", 5: "running"}
    for number in states:
        folder = tmp_path / trial(number).member
        folder.mkdir()
        (folder / "checkpoint-00001.safetensors").touch()
        (folder / ".checkpoint-00002.safetensors.7.partial").touch()
        if number != 4:  # the process of number 4 died before it had a run
            run_id = start(store, parent, number)
        if number == 3:  # the process has recorded its reason itself
            fail_member(store, run_id, "OSError: no space", "interrupted")
    for number, state in states.items():
        closer.trial_changed(trial(number), state, {"epoch": 2, "reason": "its process died"})
    members = list_members(store, "closing")
    assert [(member.outcome, member.failure) for member in members] == [
        ("stopped", "stopped by the scheduler after epoch 2"),
        ("interrupted", "interrupted after epoch 2"),
        ("failed", "its process died"),
        ("failed", "OSError: no space"),
        ("failed", "its process died"),
        ("running", ""),
    ]
    sweep(store, "closing", Shelf(tmp_path))
    assert not list(tmp_path.glob("*/.*.partial"))
    kept = {int(path.parent.name[:4]) for path in tmp_path.glob("*/checkpoint-*")}
    assert kept == {1, 2, 3, 4, 5}


def test_a_closed_search_lists_its_storage_once_and_cleans_this_machine_if_that_fails(
    finished: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, files, listed = finished.store, Storage.files, list[str]()
    parent = start_search(store, name="swept")
    storage = Storage.at(str(tmp_path / "storage"))
    for name in ("a", "b"):
        run_id = start_member(store, search="swept", member=name, parent_run_id=parent, params={"arch": "n"})
        fail_member(store, run_id, "its loss was not finite", "diverged")
        storage.write(f"{name}/checkpoint-00001.safetensors", b"")

    def noted(place: Storage) -> object:
        listed.append(str(place))
        if len(listed) == 1:
            raise TunePaddyError("no network")
        return files(place)

    monkeypatch.setattr(Storage, "files", noted)
    for left in (2, 0):
        (tmp_path / "here" / "a").mkdir(parents=True, exist_ok=True)
        (tmp_path / "here" / "a" / "checkpoint-00001.safetensors").touch()
        sweep(store, "swept", Shelf(tmp_path / "here", storage))
        assert not list((tmp_path / "here" / "a").iterdir())
        assert len(files(storage)) == left
    assert listed == [str(storage)] * 2


def test_a_stopped_member_keeps_its_checkpoints_if_the_record_fails(
    finished: Finished, parent: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The record has it as one that can be resumed."""

    def fail(*_: object) -> None:
        raise TunePaddyError("MLflow: no answer")

    monkeypatch.setattr(close_members, "end_member", fail)
    folder = tmp_path / trial(6).member
    folder.mkdir()
    (folder / "checkpoint-00001.safetensors").touch()
    closer = MemberCloser(finished.store, "closing", parent, tmp_path, Shelf(tmp_path))
    closer.trial_changed(trial(6), "stopped", {"epoch": 1})
    assert [path.name for path in folder.iterdir()] == ["checkpoint-00001.safetensors"]


def test_time_adds_up_over_sessions(finished: Finished, parent: str) -> None:
    seconds = [0.0]
    with Stopwatch(finished.store, parent, before=100, clock=lambda: seconds[0]) as watch:
        seconds[0] = 5
        watch.trial_changed(trial(0), "running", {})
        assert "tune_paddy.seconds" not in get_search(finished.store, "closing").tags
        seconds[0] = 20
        watch.trial_changed(trial(0), "running", {})
        assert get_search(finished.store, "closing").tags["tune_paddy.seconds"] == "120"
        seconds[0] = 21
    assert get_search(finished.store, "closing").tags["tune_paddy.seconds"] == "121"
