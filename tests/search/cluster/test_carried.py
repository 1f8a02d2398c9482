"""Trials on machines that share nothing but a storage and the record: each has its own cache folder."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.conftest import Finished
from tune_paddy.core.config import MemberConfig
from tune_paddy.core.errors import InputError, TunePaddyError
from tune_paddy.core.memory import TrialMemory
from tune_paddy.data.member_data import Parts, make_parts
from tune_paddy.data.storage.storage import Storage
from tune_paddy.search import trainable
from tune_paddy.search.cluster import carried
from tune_paddy.search.cluster.carried import TakenOverError, remove_abandoned, require_server
from tune_paddy.search.plan import stored_split
from tune_paddy.search.trainable import TrialContext, run_trial
from tune_paddy.search.trial import Trial
from tune_paddy.tracking.members import fail_member, start_member
from tune_paddy.tracking.pool import load_pool
from tune_paddy.tracking.runs import list_members
from tune_paddy.tracking.searches import start_search

CONFIG = MemberConfig(
    arch="test_resnet", size=32, epochs=2, schedule="one_cycle", batch_size=16, tta=0, pretrained=False
)


class KilledError(Exception):
    """Simulates the death of a process."""


@pytest.fixture
def context(finished: Finished, tmp_path: Path, request: pytest.FixtureRequest) -> TrialContext:
    name = f"carried-{request.node.name[:20].strip('_')}"
    return TrialContext(
        store=finished.store,
        search=name,
        parent_run_id=start_search(finished.store, name=name, params={}, tags={}),
        folder=tmp_path / "driver",
        cpus=1,
        allow_gpu=False,
        objective="log_loss",
        stall_minutes=10,
        weights_dir=None,
        storage=Storage.at(str(tmp_path / "storage")).folder(name, "members"),
    )


@pytest.fixture
def parts(finished: Finished) -> Parts:
    return make_parts(finished.plan.dataset, stored_split(finished.plan))


@pytest.fixture
def run_on(
    context: TrialContext, parts: Parts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., list[dict[str, Any]]]:
    """Return a function that runs the only trial on a machine, and returns its reports."""

    def run(node: str, *, dies_after: int = 0, **changes: Any) -> list[dict[str, Any]]:
        reports: list[dict[str, Any]] = []

        def report(result: dict[str, Any]) -> None:
            reports.append(result)
            if result["epoch"] == dies_after:
                raise KilledError

        monkeypatch.setenv("TUNE_PADDY_CACHE", str(tmp_path / node))
        monkeypatch.setattr(trainable.tune, "report", report)
        trial = Trial(number=0, member="m", origin="o", config=CONFIG, memory=TrialMemory(0, 1))
        run_trial(trial.to_config(), context=replace(context, **changes), parts=parts)
        return reports

    return run


def folders(tmp_path: Path, node: str) -> list[Path]:
    """Return what members have left on a machine."""
    return [path for path in (tmp_path / node / "members").glob("*/*") if path.name != trainable.LOCKS]


def test_a_trial_goes_on_where_another_machine_left_it_and_ends_as_if_it_had_not_moved(
    finished: Finished, context: TrialContext, run_on: Callable[..., list[dict[str, Any]]], tmp_path: Path
) -> None:
    with pytest.raises(KilledError):
        run_on("first", dies_after=1)
    assert list(context.storage.files()) == ["m/checkpoint-00001.safetensors"]  # type: ignore[union-attr]
    reports = run_on("second")
    assert [report["epoch"] for report in reports] == [2, 3]
    assert folders(tmp_path, "first") == folders(tmp_path, "second") == []
    assert set(context.storage.files()) == {"m/weights.safetensors", "m/member.json"}  # type: ignore[union-attr]
    assert not context.folder.exists()
    (member,) = list_members(finished.store, context.search)
    assert member.outcome == "finished"
    curve = finished.store.client.get_metric_history(member.run_id, "train_loss")
    assert [point.step for point in curve] == [1, 2]

    alone = start_search(finished.store, name=f"{context.search}-alone", params={}, tags={})
    run_on("third", storage=None, search=f"{context.search}-alone", parent_run_id=alone)
    moved, stayed = (load_pool(finished.store, [context.search + end]) for end in ("", "-alone"))
    assert np.array_equal(moved.test, stayed.test)


def test_a_process_whose_member_another_one_trains_ends_and_leaves_the_record_alone(
    finished: Finished,
    context: TrialContext,
    run_on: Callable[..., list[dict[str, Any]]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(carried, "this_process", lambda: "another:1:0")
    with pytest.raises(TakenOverError, match="another process trains this member now"):
        run_on("lost")
    (member,) = list_members(finished.store, context.search)
    assert (member.status, member.outcome) == ("RUNNING", "running")
    assert context.storage.files() == {}  # type: ignore[union-attr]


@pytest.fixture
def remove(context: TrialContext, tmp_path: Path) -> Callable[[], set[str]]:
    """Return a function that removes abandoned folders of a machine, and returns the names of those left."""
    members, locks = tmp_path / "node", tmp_path / "node" / trainable.LOCKS
    locks.mkdir(parents=True)
    copies, parent = context.storage, context.parent_run_id
    assert copies is not None

    def remove() -> set[str]:
        remove_abandoned(
            members, locks, spared="mine", copies=copies, store=context.store, parent_run_id=parent
        )
        return {path.name for path in members.iterdir()} - {trainable.LOCKS}

    return remove


def test_only_folders_that_no_process_works_in_are_removed(
    remove: Callable[[], set[str]], tmp_path: Path
) -> None:
    for name in ("mine", "running", "abandoned"):
        (tmp_path / "node" / name).mkdir()
    with trainable.FileLock(tmp_path / "node" / trainable.LOCKS / "running"):
        assert remove() == {"mine", "running"}


def test_a_folder_that_is_ahead_of_its_copy_stays_until_its_member_ends_or_the_copy_is_as_far(
    context: TrialContext,
    remove: Callable[[], set[str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A storage that failed for a while must not cost an epoch."""
    runs, search = {}, {"search": context.search, "parent_run_id": context.parent_run_id}
    for name in ("ends", "moves"):
        runs[name] = start_member(context.store, member=name, params={"arch": "net"}, **search)
        (tmp_path / "node" / name).mkdir()
        (tmp_path / "node" / name / "checkpoint-00002.safetensors").touch()
        context.storage.write(f"{name}/checkpoint-00001.safetensors", b"")  # type: ignore[union-attr]
    assert remove() == {"ends", "moves"}
    fail_member(context.store, runs["ends"], "its loss was not finite", "diverged")
    fail_member(context.store, runs["moves"], "OSError: no network", "interrupted")
    assert remove() == {"moves"}
    context.storage.write("moves/checkpoint-00002.safetensors", b"")  # type: ignore[union-attr]
    with monkeypatch.context() as patch:
        patch.setattr(Storage, "files", _fail)
        assert remove() == {"moves"}
    assert remove() == set()


def _fail(*_: object) -> None:
    raise TunePaddyError("no network")


def test_a_record_that_other_machines_cannot_write_is_refused(finished: Finished) -> None:
    with pytest.raises(InputError, match="is a file of this machine, which trials on other machines cannot"):
        require_server(finished.store.tracking_uri)
    require_server("http://127.0.0.1:5000")
