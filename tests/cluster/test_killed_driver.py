"""A search on two machines with an object store, whose driver is killed, and whose storage goes away.

The driver is killed while a trial on each machine waits in its second epoch. The search is resumed, and the
storage is away for a while. Trials are not retried: a single one that fails would be missed.
"""

import re
import shutil
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import psutil
import pytest

from tests.cluster.gate import Gate, State
from tests.cluster.machines import (
    HEAD,
    PROGRAM,
    RAY_FILES,
    ROOT,
    SECOND,
    THIRD,
    TWO_NODES,
    Machine,
    answers,
    begun_epochs,
    free_port,
    is_trial,
    mlflow_server,
    ray_node,
    raylet,
    space_of_nets,
)
from tests.conftest import write_small_digits
from tests.faults.harness import INJECTED, kill, wait_for
from tests.search.test_secrets import files_with
from tests.tracking.server.processes import ObjectStore
from tune_paddy.core.errors import InputError
from tune_paddy.tracking.runs import RecordedRun, get_search, list_members
from tune_paddy.tracking.store import Store, open_store

TRIALS, EPOCHS = 4, 2

AWAY_SECONDS = 20
"""Time for which the storage is away, in seconds: pyarrow itself waits for 6."""

SPACE = space_of_nets(TRIALS, EPOCHS, "retries: 0")

pytestmark = TWO_NODES


@dataclass(frozen=True)
class Night:
    """What is left of the search; the nodes and servers still run.

    Attributes:
        status: Exit status of the second session.
        text: Its output.
        machines: Name → machine.
        port: Port of the Ray cluster.
        options: Options that name the cluster and the record.
        storage: Address of the storage.
        key: Secret key of the storage.
        store: The record.
        members: Recorded members.
        working: Number of trials on each machine when the driver was killed.
        before: Trial and epoch → how often it had begun then.
        begun: The same at the end.
        refused: Number of connections to the storage while it was away.
    """

    status: int
    text: str
    machines: dict[str, Machine]
    port: int
    options: list[str]
    storage: str
    key: str
    store: Store
    members: tuple[RecordedRun, ...]
    working: list[int]
    before: Counter[tuple[int, int]]
    begun: Counter[tuple[int, int]]
    refused: int


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Night]:
    """The search has been resumed, and has ended."""
    for package in ("moto", "boto3"):
        pytest.importorskip(package, reason=f"{package} is not installed")
    root = tmp_path_factory.mktemp("killed")
    log, port = root / "log", free_port()
    log.mkdir()
    with ExitStack() as stack:
        objects = ObjectStore(root)
        stack.callback(objects.kill)
        objects.start()
        gate = stack.enter_context(Gate(objects.port))
        machines = made_machines(root, log, objects.environment)
        driver = machines["driver"]
        data = write_small_digits(driver.disk / "digits")
        (driver.disk / "space.yaml").write_text(SPACE)
        uri = stack.enter_context(mlflow_server(machines["server"]))
        nodes = [ray_node(stack, machines["head"], cpus=1, port=port)]
        nodes.append(ray_node(stack, machines["second"], cpus=1, port=port, joins=HEAD))
        storage = f"s3://{objects.bucket}/night?endpoint_override=127.0.0.1:{gate.port}&scheme=http"
        options = ["--ray-address", f"{HEAD}:{port}", "--tracking-uri", uri]
        command = ["search", str(data), "--space", "space.yaml", "--name", "night", "--storage", storage]
        first = stack.enter_context(driver.running(*PROGRAM, *command, *options, output="first.txt"))

        def reached(count: int, session: psutil.Popen) -> bool:
            """Return whether second epochs have begun as often as this."""
            assert session.poll() is None, driver.text("first.txt")
            return sum(n for (_, epoch), n in begun_epochs(log).items() if epoch == EPOCHS) >= count

        wait_for(lambda: reached(2, first), 900)
        raylets = [raylet(machines[name], node) for name, node in zip(("head", "second"), nodes, strict=True)]
        working = [[child for child in one.children(recursive=True) if is_trial(child)] for one in raylets]
        before = begun_epochs(log)
        kill(first)
        # Otherwise one may end its member after the driver's death.
        _, alive = psutil.wait_procs([trial for trials in working for trial in trials], 300)
        assert not alive
        (log / "go").touch()
        again = ["search", "--resume", "night", "--method", "uniform", *options]
        second = stack.enter_context(driver.running(*PROGRAM, *again, output="second.txt"))
        wait_for(lambda: second.poll() is not None or reached(3, second), 900)
        with gate.shut(State.CLOSED):
            wait_for(lambda: second.poll() is not None or gate.refused, 300)
            time.sleep(AWAY_SECONDS)
        status = second.wait(900)
        store = open_store(uri, experiment=None, artifact_root=root, create=False)
        yield Night(
            status,
            driver.text("second.txt"),
            machines,
            port,
            options,
            storage,
            objects.key["AWS_SECRET_ACCESS_KEY"],
            store,
            list_members(store, "night"),
            [len(trials) for trials in working],
            before,
            begun_epochs(log),
            gate.refused,
        )


def made_machines(root: Path, log: Path, variables: dict[str, str]) -> dict[str, Machine]:
    """Return the machines, which do not see each other's files."""
    disks = {name: root / name for name in ("driver", "head", "second", "server", "third", "other")}
    for disk in disks.values():
        disk.mkdir()
    other_torch(disks["other"])
    waiting = {str(trial): "wait" for trial in range(TRIALS)}
    return {
        name: Machine(
            disk,
            tuple(other for other in disks.values() if other != disk),
            log,
            waiting if name in ("head", "second") else {},
            (*((INJECTED,) if name in ("head", "second") else ()), disk / "packages", ROOT),
            {} if name == "server" else variables,
            {"head": HEAD, "second": SECOND, "other": THIRD}.get(name, "127.0.0.1"),
        )
        for name, disk in disks.items()
    }


def other_torch(disk: Path) -> None:
    """Let a machine have another version of torch, as far as Python tells."""
    package = disk / "packages" / "torch-9.9.9.dist-info"
    package.mkdir(parents=True)
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: torch\nVersion: 9.9.9\n")


def test_a_search_whose_driver_was_killed_ends_with_every_member_once(night: Night) -> None:
    assert night.status == 0, night.text
    assert night.working == [1, 1], "both machines had a trial when the driver was killed"
    assert [member.outcome for member in night.members] == ["finished"] * TRIALS
    assert [int(member.tags["tune_paddy.trial"]) for member in night.members] == list(range(TRIALS))
    assert (night.machines["driver"].disk / "runs/night/submission.csv").is_file()


def test_the_interrupted_trials_repeat_one_epoch_and_no_other_trial_does(night: Night) -> None:
    repeated = {key: 2 for key in night.before if key[1] == EPOCHS}
    assert len(repeated) == 2
    once = {(trial, epoch): 1 for trial in range(TRIALS) for epoch in range(1, EPOCHS + 1)}
    assert night.begun == once | repeated
    for member in night.members:
        curve = night.store.client.get_metric_history(member.run_id, "train_loss")
        assert [point.step for point in curve] == list(range(1, EPOCHS + 1))


def test_trials_wait_for_a_storage_that_is_away(night: Night) -> None:
    assert night.refused > 0
    assert [member.outcome for member in night.members] == ["finished"] * TRIALS


def test_a_third_machine_works_with_the_record_and_the_storage_alone(night: Night) -> None:
    """It has neither the folder of the search nor the images of the dataset."""
    third, record = night.machines["third"], night.options[2:]
    images = sorted((night.machines["driver"].disk / "digits/test_images").iterdir())[:3]
    for image in images:
        shutil.copy(image, third.disk / f"new-{image.name}")
    names = [f"new-{image.name}" for image in images]
    told = {}
    for command in (
        ["show", "night"],
        ["select", "night", "--method", "uniform", "--name", "here"],
        ["report", "night"],
        ["ui", "night"],
        ["export", "night", "model"],
        ["bundle", "night", "packed"],
        ["predict", "night", *names],
    ):
        status, told[command[0]] = third.run(*PROGRAM, *command, *record, output=f"{command[0]}.txt")
        assert status == 0, told[command[0]]
    status, told["exported"] = third.run(*PROGRAM, "predict", "model", *names, output="exported.txt")
    assert status == 0, told["exported"]
    assert f"{TRIALS} members finished" in told["show"]
    pages = re.findall(r"http://\S+", told["ui"])
    assert pages
    assert all(answers(page) for page in pages)
    assert (third.disk / "runs/night/submission.csv").is_file()
    assert (third.disk / "packed").is_dir()
    for text in (told["predict"], told["exported"]):
        assert all(f"\n{name}," in text for name in names)


def test_a_machine_with_another_torch_is_named_before_anything_is_recorded(night: Night) -> None:
    driver = night.machines["driver"]
    search = ["search", "digits", "--space", "space.yaml", "--name", "later", "--storage", night.storage]
    with ExitStack() as stack:
        other = night.machines["other"]
        ray_node(stack, other, cpus=1, port=night.port, joins=HEAD)
        status, text = driver.run(*PROGRAM, *search, *night.options, output="later.txt")
    assert status == 2, text
    ours = version("torch").partition("+")[0]
    words = f"({THIRD}): has torch 9.9.9, and this machine {ours}"
    assert words in text.strip().splitlines()[-1]
    with pytest.raises(InputError, match="later"):
        get_search(night.store, "later")


def test_no_file_and_no_command_line_has_the_key_of_the_storage(night: Night) -> None:
    disks = [machine.disk for machine in night.machines.values()]
    of_ray = [disk / RAY_FILES for disk in disks if (disk / RAY_FILES).exists()]
    assert len(of_ray) >= 2
    for folder in (disks[0].parent, *of_ray):
        assert files_with(folder, night.key.encode()) == []
    lines = [process.info["cmdline"] or () for process in psutil.process_iter(["cmdline"])]
    assert not any(night.key in word for line in lines for word in line)
