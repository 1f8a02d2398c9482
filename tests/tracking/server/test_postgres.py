"""The record on real servers: MLflow's, on a real PostgreSQL."""

import shutil
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.cli.conftest import Call
from tests.search.here import trained_here
from tests.tracking.server.conftest import Servers
from tests.tracking.server.processes import PASSWORD
from tune_paddy.core.errors import InputError, TunePaddyError
from tune_paddy.core.predictions import Predictions
from tune_paddy.tracking.members import log_epoch, log_member, start_member
from tune_paddy.tracking.pool import load_pool
from tune_paddy.tracking.runs import list_members
from tune_paddy.tracking.searches import start_search
from tune_paddy.tracking.server import outages
from tune_paddy.tracking.store import Store, open_store

pytestmark = pytest.mark.cluster

MEMBERS, EPOCHS, AROUND = 8, 12, 4
METRICS = ("train_loss", "log_loss", "error_rate")


def value(member: int, epoch: int, metric: str) -> float:
    """Return a value that no other member, epoch or metric has."""
    return member + epoch / 100 + METRICS.index(metric) / 1000


class Outage:
    """A moment at which all members have a call under way, and the servers go."""

    def __init__(self) -> None:
        self.reached = threading.Barrier(MEMBERS + 1, timeout=120)

    def record(self, store: Store, parent: str, member: int, predictions: Predictions) -> None:
        """Record a member as a trial does; another one begins after the outage."""
        name = f"{member:04d}-net"
        if member == 0:
            self.reached.wait()
        run = start_member(
            store, search="night", member=name, parent_run_id=parent, params={"arch": "net", "lr": 0.01}
        )
        for epoch in range(1, EPOCHS + 1):
            if member > 0 and epoch == AROUND:
                self.reached.wait()
            log_epoch(store, run, {name: value(member, epoch, name) for name in METRICS}, epoch)
        log_member(store, run, predictions, {"objective": float(member)})


def test_members_lose_and_double_nothing_while_both_servers_are_restarted(
    servers: Servers,
    on_servers: Store,
    make_predictions: Callable[..., Predictions],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(outages, "UNREACHABLE_SECONDS", 240.0)  # threads of a failed test end, too
    parent = start_search(on_servers, name="night")
    outage = Outage()
    with ThreadPoolExecutor(MEMBERS) as threads:
        futures = [
            threads.submit(outage.record, on_servers, parent, member, make_predictions(member))
            for member in range(MEMBERS)
        ]
        outage.reached.wait()
        servers.database.stop()  # the server answers 503
        servers.mlflow.kill()  # in the middle of requests, without an answer
        servers.database.start()
        servers.mlflow.start()
        for future in futures:
            future.result()
    found = list_members(on_servers, "night")
    assert [member.name for member in found] == [f"{member:04d}-net" for member in range(MEMBERS)]
    assert {member.outcome for member in found} == {"finished"}
    for number, member in enumerate(found):
        for metric in METRICS:
            points = on_servers.client.get_metric_history(member.run_id, metric)
            expected = {epoch: value(number, epoch, metric) for epoch in range(1, EPOCHS + 1)}
            assert {point.step: pytest.approx(point.value) for point in points} == expected
            assert len(points) == EPOCHS
    pool = load_pool(on_servers, ["night"])
    assert not pool.refused
    assert len(pool.views) == 2 * MEMBERS


@pytest.mark.parametrize("password", ["wrong", ""])
def test_a_wrong_password_of_a_database_is_refused_at_once(
    servers: Servers, tmp_path: Path, password: str
) -> None:
    uri = servers.database.uri_with(password)
    words = r"@127\.0\.0\.1:.*: the database refuses the user name or the password \("
    with pytest.raises(InputError, match=words) as error:
        open_store(uri, experiment="digits", artifact_root=tmp_path, create=True)
    assert "\n" not in str(error.value)
    assert PASSWORD not in str(error.value)


def test_a_database_that_does_not_run_is_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(TunePaddyError, match=r"127.0.0.1:9/none: the database does not answer \(connection"):
        open_store(
            "postgresql+psycopg://127.0.0.1:9/none", experiment=None, artifact_root=tmp_path, create=False
        )


def test_trials_may_write_to_the_database_itself(
    servers: Servers, tmp_path: Path, make_predictions: Callable[..., Predictions]
) -> None:
    """Without a server, MLflow's client in each process speaks to PostgreSQL; its restart is waited out."""
    store = open_store(servers.database.uri, experiment="direct", artifact_root=tmp_path, create=True)
    parent = start_search(store, name="direct")
    run = start_member(store, search="direct", member="a", parent_run_id=parent, params={"arch": "net"})
    log_epoch(store, run, {"train_loss": 1.0}, 1)
    servers.database.stop()
    timer = threading.Timer(2, servers.database.start)
    timer.start()
    log_epoch(store, run, {"train_loss": 0.5}, 2)
    timer.join()
    log_member(store, run, make_predictions(), {"objective": 1.0})
    assert [point.value for point in store.client.get_metric_history(run, "train_loss")] == [1.0, 0.5]
    assert [member.outcome for member in list_members(store, "direct")] == ["finished"]


SPACE = """
search: {trials: 2, concurrency: 1}
defaults:
  {pretrained: false, schedule: one_cycle, size: 32, epochs: 1, batch_size: 32, tta: 0, flip: none, lr: 0.005}
recipes: [{arch: test_resnet}, {arch: test_convnext}]
"""


def test_a_third_machine_works_with_the_record_alone(
    servers: Servers, call: Call, small_digits: Path, tmp_path: Path
) -> None:
    """The folders of the search and of the images are moved away: another machine does not have them."""
    record = ["--tracking-uri", servers.mlflow.uri]
    (tmp_path / "tiny.yaml").write_text(SPACE, encoding="utf-8")
    data, away = tmp_path / "digits", tmp_path / "away"
    shutil.copytree(small_digits, data)
    images = sorted(str(path) for path in (small_digits / "test_images").iterdir())[:3]
    with trained_here():
        call("search", str(data), "--space", "tiny.yaml", "--name", "far", *record)
    away.mkdir()
    for folder in (data, tmp_path / "runs"):
        folder.rename(away / folder.name)
    assert "2 members finished" in call("show", "far", *record)
    assert "log loss" in call("select", "far", "--method", "uniform", "--name", "here", *record)
    assert (tmp_path / "runs/far/submission.csv").read_bytes().count(b"\n") == 21
    call("report", "far", *record)
    told = call("export", "far", "model", *record, status=2)
    assert "weights files" in told
    assert len(told.strip().splitlines()) == 1
    shutil.rmtree(tmp_path / "runs")
    (away / "runs").rename(tmp_path / "runs")
    assert "Registered: models:/far/1" in call("export", "far", "model", "--register", "far", *record)
    shutil.rmtree(tmp_path / "runs")
    shutil.rmtree(tmp_path / "model")
    predicted = call("predict", "models:/far/1", *images, *record)
    assert all(f"\n{image}," in predicted for image in images)
