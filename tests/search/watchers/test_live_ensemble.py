import socket
import threading
import time
from pathlib import Path

import pytest

from tests.conftest import Finished
from tests.search.trials import make_trial
from tune_paddy.core.predictions import align
from tune_paddy.core.selection.plain import greedy_select
from tune_paddy.search.watchers import live_ensemble
from tune_paddy.search.watchers.live_ensemble import LiveEnsemble
from tune_paddy.tracking.pool import load_member
from tune_paddy.tracking.searches import start_search
from tune_paddy.tracking.store import Store


def test_each_finished_member_adds_a_point_and_is_read_once(
    finished: Finished, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    store = finished.store
    parent = start_search(store, name="watched")
    runs = [member.run_id for member in finished.members if member.outcome == "finished"]
    read: list[str] = []
    monkeypatch.setattr(
        live_ensemble, "load_member", lambda *which: (read.append(which[1]), load_member(*which))[1]
    )
    with LiveEnsemble(store, "watched", parent, tmp_path, elapsed=lambda: 60.0) as curve:
        for run_id in (runs[0], "gone", runs[1], runs[1], runs[2]):
            curve.trial_changed(make_trial("some"), "running", {})
            curve.trial_changed(make_trial("some"), "finished", {"run_id": run_id})
    assert read == [runs[0], "gone", runs[1], runs[2]]
    points = {p.step: p.value for p in store.client.get_metric_history(parent, "live_log_loss")}
    assert sorted(points) == [1, 2, 3]
    for count, score in points.items():
        pool = align([load_member(store, run_id) for run_id in runs[:count]])
        assert score == pytest.approx(greedy_select(pool.select, pool.labels).score, rel=1e-5)  # 6 digits
    assert not list(tmp_path.iterdir())


def test_a_resumed_search_adds_the_point_that_its_earlier_session_lost_and_counts_its_members(
    finished: Finished, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    store, members = finished.store, finished.members
    runs = [member.run_id for member in members if member.outcome == "finished"]
    parent = start_search(store, name="resumed")
    earlier = [member for member in members if member.run_id != runs[2]]
    monkeypatch.setattr(live_ensemble, "list_members", lambda *_: earlier)  # those of an earlier session
    with LiveEnsemble(store, "first", parent, tmp_path, elapsed=lambda: 60.0) as curve:
        curve.trial_changed(make_trial("some"), "finished", {"run_id": runs[2]})
    for name in ("live_log_loss", "live_hours", "live_seconds"):
        assert [p.step for p in store.client.get_metric_history(parent, name)] == [2, 3]
    selected: list[int] = []
    with LiveEnsemble(
        store,
        "first",
        parent,
        tmp_path,
        lambda pool, _: selected.append(len({v.run_id for v in pool.views})),
        elapsed=lambda: 60.0,
    ):
        pass  # no member is new, and no point is missing
    assert selected == [2]
    assert [p.step for p in store.client.get_metric_history(parent, "live_log_loss")] == [2, 3]


def test_nobody_waits_for_a_thread_that_has_died(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    store = Store("sqlite:///none.db", "e", "0")
    monkeypatch.setattr(live_ensemble, "LONGEST_LOOK_BACK", 600.0)
    with LiveEnsemble(store, "night", "run", tmp_path / "gone", elapsed=lambda: 0.0) as curve:
        started = time.monotonic()
        curve.wait_for_earlier()
    assert time.monotonic() - started < 60


def test_a_thread_that_reads_for_too_long_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    reads = threading.Event()
    monkeypatch.setattr(live_ensemble, "list_members", lambda *_: reads.wait() and [])
    monkeypatch.setattr(live_ensemble, "read_curve", lambda *_: {})
    monkeypatch.setattr(live_ensemble, "LONGEST_LOOK_BACK", 0.01)
    store = Store("sqlite:///none.db", "e", "0")
    with LiveEnsemble(store, "night", "run", tmp_path, elapsed=lambda: 0.0) as curve:
        curve.wait_for_earlier()
        reads.set()


def test_a_server_that_is_gone_does_not_hold_up_the_end_of_a_search(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A wait would last 20 minutes."""
    monkeypatch.setattr(live_ensemble, "CLOSING_SECONDS", 0.0)
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    store = Store(f"http://127.0.0.1:{port}", "e", "0")
    with LiveEnsemble(store, "night", "run", tmp_path, elapsed=lambda: 0.0) as curve:
        curve.trial_changed(make_trial("some"), "finished", {"run_id": "some"})
    assert not list(tmp_path.iterdir())
