"""A search on two machines, one of which is cut off from the others while it trains, and comes back.

Its processes live on, and reach the storage, which stands for a disk that both share.
"""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from tests.cluster.machines import (
    PROGRAM,
    ROOT,
    TWO_NODES,
    Machine,
    begun_epochs,
    free_port,
    is_trial,
    mlflow_server,
    ray_node,
    raylet,
    space_of_nets,
)
from tests.cluster.network import addresses, cut_off, own_networks
from tests.conftest import write_small_digits
from tests.faults.harness import INJECTED, wait_for
from tune_paddy.tracking.pool import load_pool
from tune_paddy.tracking.runs import RecordedRun, list_members
from tune_paddy.tracking.store import Store, open_store

TRIALS, EPOCHS = 2, 2

SPACE = space_of_nets(TRIALS, EPOCHS, "retries: 1")

pytestmark = TWO_NODES


@dataclass(frozen=True)
class Night:
    """What is left of the search, after the machine that was cut off has come back.

    Attributes:
        status: Exit status of the command.
        text: Its output.
        moved: Number of the trial that ran on the machine that was cut off.
        lived: Whether its first process still ran when the second one had begun the epoch again.
        store: The record; its server still runs.
        members: Recorded members.
        weights: Bytes of each member's weights in the storage: at the end of the search, and later.
    """

    status: int
    text: str
    moved: int
    lived: bool
    store: Store
    members: tuple[RecordedRun, ...]
    weights: list[dict[str, bytes]]


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Night]:
    """The search ended while the machine was cut off; then its processes ended, too."""
    if not own_networks():
        pytest.skip("machines get no networks of their own here")
    root = tmp_path_factory.mktemp("cut")
    log, storage, port = root / "log", root / "storage", free_port()
    log.mkdir()
    with ExitStack() as stack:
        found = stack.enter_context(addresses(["head", "second", "server"]))

        def machine(name: str, network: str = "") -> Machine:
            (root / name).mkdir()
            faults = {str(trial): "wait" for trial in range(TRIALS) if name == "second"}
            where = network or name
            path = (INJECTED, ROOT)
            return Machine(root / name, (), log, faults, path, address=found[where], network=where)

        driver, head, second = machine("driver", "head"), machine("head"), machine("second")
        data = write_small_digits(driver.disk / "digits")
        (driver.disk / "space.yaml").write_text(SPACE)
        uri = stack.enter_context(mlflow_server(machine("server")))
        ray_node(stack, head, cpus=1, port=port)
        away = raylet(second, ray_node(stack, second, cpus=1, port=port, joins=head.address))
        command = ["search", str(data), "--space", "space.yaml", "--name", "night", "--method", "uniform"]
        command += ["--storage", str(storage), "--ray-address", f"{head.address}:{port}"]
        search = stack.enter_context(
            driver.running(*PROGRAM, *command, "--tracking-uri", uri, output="search.txt")
        )

        def waiting() -> list[int]:
            """Return the numbers of the trials that wait on the second machine."""
            assert search.poll() is None, driver.text("search.txt")
            marked = [int(mark.name.removeprefix("fault-")) for mark in log.glob("fault-*")]
            return [trial for trial in marked if begun_epochs(log)[trial, EPOCHS]]

        wait_for(waiting, 900)
        (moved,) = waiting()
        processes = [away, *away.children(recursive=True)]
        (trial,) = (process for process in processes if is_trial(process))
        with cut_off(second.address):
            wait_for(lambda: begun_epochs(log)[moved, EPOCHS] > 1 or search.poll() is not None, 900)
            lived = trial.is_running()
            (log / "go").touch()  # both train the epoch now
            status = search.wait(900)
            weights = [weights_in(storage)]
        _, alive = psutil.wait_procs(processes, 300)
        assert not alive
        weights.append(weights_in(storage))
        store = open_store(uri, experiment=None, artifact_root=root, create=False)
        members = list_members(store, "night")
        yield Night(status, driver.text("search.txt"), moved, lived, store, members, weights)


def weights_in(storage: Path) -> dict[str, bytes]:
    """Return the weights of all members, by path."""
    return {str(path): path.read_bytes() for path in storage.rglob("weights.safetensors")}


def test_the_search_ends_with_every_member_once(night: Night) -> None:
    assert night.status == 0, night.text
    assert [member.outcome for member in night.members] == ["finished"] * TRIALS
    assert len(load_pool(night.store, ["night"]).views) == TRIALS


def test_the_machine_that_comes_back_changes_nothing(night: Night) -> None:
    assert len(night.weights[0]) == TRIALS
    assert night.weights[0] == night.weights[1]
    for member in night.members:
        curve = night.store.client.get_metric_history(member.run_id, "train_loss")
        assert [point.step for point in curve] == list(range(1, EPOCHS + 1))
    (moved,) = (m for m in night.members if int(m.tags["tune_paddy.trial"]) == night.moved)
    assert night.lived
    assert moved.tags["tune_paddy.attempts"] == "2"
