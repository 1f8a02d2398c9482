"""A search on two machines that share a storage and an MLflow server, and nothing else, not even a network.

The search begins on one machine. The second one joins, has an older program, takes up two trials, and is
killed while these wait in their second epoch.
"""

from collections import Counter
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
    hides,
    mlflow_server,
    ray_node,
    raylet,
    space_of_nets,
)
from tests.cluster.network import addresses
from tests.conftest import write_small_digits
from tests.faults.harness import INJECTED, wait_for
from tune_paddy.data.storage.storage import Storage
from tune_paddy.serving.collect import collect
from tune_paddy.tracking.pool import load_pool
from tune_paddy.tracking.runs import RecordedRun, list_members
from tune_paddy.tracking.store import Store, open_store

TRIALS, EPOCHS, ON_SECOND = 8, 2, 2

SPACE = space_of_nets(TRIALS, EPOCHS, "retries: 1")

pytestmark = TWO_NODES


@dataclass(frozen=True)
class Night:
    """What is left of the search.

    Attributes:
        status: Exit status of the command.
        text: Its output.
        driver, head, second: The machines.
        storage: The storage.
        log: Folder of the epochs that began.
        store: The record; its server still runs.
        members: Recorded members.
        begun: Trial and epoch → how often it began; before the second machine was killed, and in all.
    """

    status: int
    text: str
    driver: Machine
    head: Machine
    second: Machine
    storage: Storage
    log: Path
    store: Store
    members: tuple[RecordedRun, ...]
    before: Counter[tuple[int, int]]
    begun: Counter[tuple[int, int]]


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Night]:
    """The search has ended; the images were on the driver's machine alone."""
    root = tmp_path_factory.mktemp("cluster")
    log, storage, disks = root / "log", root / "storage", {}
    log.mkdir()
    for name in ("driver", "head", "second", "server"):
        disks[name] = root / name
        disks[name].mkdir()
    data = write_small_digits(disks["driver"] / "digits")
    (disks["driver"] / "space.yaml").write_text(SPACE)
    waits = {"head": [0], "second": range(TRIALS)}
    port = free_port()
    with ExitStack() as stack:
        found = stack.enter_context(addresses(["head", "second", "server"]))

        def machine(name: str, *paths: Path) -> Machine:
            faults = {str(trial): "wait" for trial in waits.get(name, ())}
            hidden = tuple(disk for other, disk in disks.items() if other != name)
            where = "head" if name == "driver" else name  # a driver needs a node of Ray on its computer
            path = (INJECTED, *paths, ROOT)
            return Machine(disks[name], hidden, log, faults, path, address=found[where], network=where)

        driver, head = machine("driver"), machine("head")
        second = machine("second", older_program(disks["second"]))
        uri = stack.enter_context(mlflow_server(machine("server")))
        ray_node(stack, head, cpus=1, port=port)
        command = ["search", str(data), "--space", "space.yaml", "--name", "night", "--method", "uniform"]
        command += [
            "--storage",
            str(storage),
            "--ray-address",
            f"{head.address}:{port}",
            "--tracking-uri",
            uri,
        ]
        search = stack.enter_context(driver.running(*PROGRAM, *command, output="search.txt"))

        def reached(count: int) -> bool:
            """Return whether trials wait in their second epochs."""
            assert search.poll() is None, driver.text("search.txt")
            return sum(epoch == 2 for _, epoch in begun_epochs(log)) >= count

        wait_for(lambda: reached(1), 900)
        node = ray_node(stack, second, cpus=ON_SECOND, port=port, joins=head.address)
        wait_for(lambda: reached(1 + ON_SECOND), 900)
        before = begun_epochs(log)
        killed = raylet(second, node)
        workers = killed.children(recursive=True)
        killed.kill()
        # Otherwise one may end its member before it sees that its raylet is gone.
        psutil.wait_procs(workers, 120)
        (log / "go").touch()
        status = search.wait(900)
        store = open_store(uri, experiment=None, artifact_root=root, create=False)
        yield Night(
            status,
            driver.text("search.txt"),
            driver,
            head,
            second,
            Storage.at(str(storage)),
            log,
            store,
            list_members(store, "night"),
            before,
            begun_epochs(log),
        )


def older_program(disk: Path) -> Path:
    """Install another version of this program on a machine, which cannot train; return its path."""
    package = disk / "older" / "tune_paddy"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text('raise RuntimeError("an older version of tune_paddy")\n')
    return package.parent


def test_the_search_ends_with_every_member_once_and_a_submission(night: Night) -> None:
    assert night.status == 0, night.text
    assert [member.outcome for member in night.members] == ["finished"] * TRIALS
    assert [int(member.tags["tune_paddy.trial"]) for member in night.members] == list(range(TRIALS))
    assert len(load_pool(night.store, ["night"]).views) == TRIALS
    assert (night.driver.disk / "runs/night/submission.csv").is_file()


def test_trials_of_a_killed_machine_resume_on_another_and_repeat_one_epoch(night: Night) -> None:
    waited = {trial for trial, epoch in night.before if epoch == EPOCHS}
    assert len(waited) == 1 + ON_SECOND, "a machine that joins gets work"
    moved = waited - {0}
    repeated = {(trial, EPOCHS): 2 for trial in moved}
    once = {(trial, epoch): 1 for trial in range(TRIALS) for epoch in range(1, EPOCHS + 1)}
    assert night.begun == once | repeated
    for member in night.members:
        curve = night.store.client.get_metric_history(member.run_id, "train_loss")
        assert [point.step for point in curve] == list(range(1, EPOCHS + 1))


def test_the_images_were_copied_to_each_machine_once(night: Night) -> None:
    dataset = load_pool(night.store, ["night"])
    count = len(dataset.select_ids) + len(dataset.test_ids)
    for machine in (night.head, night.second):
        copies = list((machine.cache / "datasets").glob("*/*/*.png"))
        assert len(copies) > count if hides() else not copies
    assert not (night.driver.cache / "datasets").exists()


def test_the_image_cache_of_each_machine_was_made_once(night: Night) -> None:
    made = Counter(map(Path, (night.log / "shards").read_text().split()))
    assert set(made.values()) == {1}
    for machine in (night.head, night.second):
        assert any(path.is_relative_to(machine.cache) for path in made)


def test_weights_are_in_the_storage_alone_and_an_export_finds_them(night: Night) -> None:
    names = set(night.storage.folder("night", "members").files())
    assert names == {
        f"{member.name}/{file}" for member in night.members for file in ("member.json", "weights.safetensors")
    }
    assert not list((night.head.cache / "members").glob("*/[!.]*"))
    collected = collect(night.store, "night", runs=night.driver.disk / "runs")
    assert len(collected.manifest.members) == TRIALS
    weights = night.driver.disk / "runs/night/members"
    assert {path.parent.name for path in weights.glob("*/weights.safetensors")} == {
        member.name for member in night.members
    }


def test_the_program_travelled_to_a_machine_with_an_older_one(night: Night) -> None:
    """Otherwise no trial could have run there."""
    assert (night.second.disk / "older/tune_paddy/__init__.py").is_file()
    assert "an older version" not in night.text
