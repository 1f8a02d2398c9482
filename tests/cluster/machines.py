"""Machines of a cluster, imitated by processes that share a computer, a storage and servers, but no folder.

Each machine has its own HOME, cache and working folder, and where the system allows mount namespaces, the
folders of the other machines are not there. Ray's nodes need a token.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import urllib.request
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import psutil
import pytest

from tests.cluster.network import inside
from tests.faults.harness import wait_for

PROGRAM = [sys.executable, "-c", "from tune_paddy.cli import program; program()"]
ROOT = Path(__file__).parents[2]
HEAD, SECOND, THIRD = "127.0.0.2", "127.0.0.3", "127.0.0.4"
"""Addresses of the machines, which only this computer reaches; Ray replaces 127.0.0.1 by another."""
TOKEN = "0123456789abcdef" * 4

RAY_FILES = "ray-files"
"""Link on a machine's disk to the files of its node: logs, and the program that travelled."""

_ATTEMPTS = 5
"""Attempts to start a node: Ray's raylet ends if its agent takes more than 15 s to start."""

_PATIENCE = {"RAY_agent_register_timeout_ms": "300000", "RAY_worker_register_timeout_seconds": "300"}
"""Variables of Ray: on a busy computer a node's agent or a worker takes longer to start than Ray allows."""

PATIENT = Path(__file__).with_name("patient_start.py")


@dataclass(frozen=True)
class Machine:
    """A machine: a folder that stands for its disk.

    Attributes:
        disk: Folder of its files.
        hidden: Folders of other machines.
        log: Folder of the epochs that begin, see `tests.faults.injected`.
        faults: Number of a trial → fault that happens to it on this machine.
        path: Folders of Python packages, beside those that are installed.
        variables: Further variables of its programs.
        address: Address at which other machines find it.
        network: Machine whose network it has, see `tests.cluster.network`; empty: that of this computer.
    """

    disk: Path
    hidden: tuple[Path, ...]
    log: Path
    faults: Mapping[str, str]
    path: tuple[Path, ...]
    variables: Mapping[str, str] = field(default_factory=dict)
    address: str = "127.0.0.1"
    network: str = ""

    @property
    def cache(self) -> Path:
        """Cache folder of its user."""
        return self.disk / "home" / ".cache" / "tune-paddy"

    @contextmanager
    def running(self, *command: str, output: str) -> Iterator[subprocess.Popen[bytes]]:
        """Run a command on this machine; kill it and all its processes at the end of the block."""
        (self.disk / "home").mkdir(parents=True, exist_ok=True)
        with (self.disk / output).open("wb") as file:
            process = subprocess.Popen(
                [*inside(self.network), *_hiding(self.hidden), *command],
                cwd=self.disk,
                env=self._environment(),
                stdout=file,
                stderr=file,
                start_new_session=True,
            )
        try:
            yield process
        finally:
            end(process)

    def run(self, *command: str, output: str) -> tuple[int, str]:
        """Run a command on this machine; return its exit status and what it has written."""
        with self.running(*command, output=output) as process:
            status = process.wait(900)
        return status, self.text(output)

    def text(self, output: str) -> str:
        """Return what a command has written."""
        return (self.disk / output).read_text(encoding="utf-8", errors="replace")

    def _environment(self) -> dict[str, str]:
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("RAY_", "MLFLOW_", "TUNE_", "PYTEST_"))
        }
        own = {
            "HOME": str(self.disk / "home"),
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": TOKEN,
            "RAY_USAGE_STATS_ENABLED": "0",
            **_PATIENCE,
            "PYTHONPATH": os.pathsep.join(map(str, self.path)),
            "FAULTS": json.dumps(self.faults),
            "FAULTS_LOG": str(self.log),
            "PYTHONDONTWRITEBYTECODE": "1",
            "OMP_NUM_THREADS": "1",
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # its processes would be idle
            "MLFLOW_DISABLE_TELEMETRY": "true",
        }
        return {**kept, **own, **self.variables}


def ray_node(
    stack: ExitStack,
    machine: Machine,
    *,
    cpus: int,
    port: int,
    joins: str = "",
    gpu: str = "",
) -> subprocess.Popen[bytes]:
    """Start a node of Ray on a machine, and wait until it runs; the stack kills it.

    Args:
        stack: Owner of the node.
        machine: Its machine.
        cpus: Number of its CPUs.
        port: Port of the cluster.
        joins: Address of the first machine of the cluster that it joins; empty: it begins one.
        gpu: Ray's name of a model of GPU, of which the node declares one; empty: none.
    """
    for _ in range(_ATTEMPTS):
        with ExitStack() as own:
            process = _started(own, machine, cpus=cpus, port=port, joins=joins, gpu=gpu)
            wait_for(lambda: _runs(machine) or process.poll() is not None, 600)  # noqa: B023 called at once
            if process.poll() is None:
                stack.enter_context(own.pop_all())
                return process
    reason = machine.text("ray.txt").strip().splitlines()[-1]
    pytest.skip(f"`ray start` fails here, {_ATTEMPTS} times: {reason}")


def _runs(machine: Machine) -> bool:
    return "Ray runtime started" in machine.text("ray.txt")


def _started(
    stack: ExitStack, machine: Machine, *, cpus: int, port: int, joins: str, gpu: str
) -> subprocess.Popen[bytes]:
    temporary = f"/tmp/tp{free_port()}"  # noqa: S108 the path of a socket is short
    stack.callback(shutil.rmtree, temporary, ignore_errors=True)
    (machine.disk / RAY_FILES).unlink(missing_ok=True)
    (machine.disk / RAY_FILES).symlink_to(temporary)
    begins = ["--head", f"--port={port}", "--include-dashboard=false"]
    agents = ("dashboard-agent-listen", "dashboard-agent-grpc", "runtime-env-agent", "metrics-export")
    options = [
        *([f"--address={joins}:{port}"] if joins else begins),
        f"--node-ip-address={machine.address}",
        f"--num-cpus={cpus}",
        f"--num-gpus={int(bool(gpu))}",
        *([f"--resources={json.dumps({f'accelerator_type:{gpu}': 1})}"] if gpu else []),
        f"--temp-dir={temporary}",
        f"--object-store-memory={100 * 2**20}",
        *(f"--{agent}-port={free_port()}" for agent in agents),
    ]
    command = [sys.executable, str(PATIENT), "start", "--block", "--disable-usage-stats"]
    return stack.enter_context(machine.running(*command, *options, output="ray.txt"))


TWO_NODES = [
    pytest.mark.cluster,
    pytest.mark.skipif(sys.platform != "linux", reason="two nodes of Ray need Linux and its addresses"),
]
"""Marks of tests with two nodes of Ray on one computer."""


def space_of_nets(trials: int, epochs: int, settings: str) -> str:
    """Return a search space of small networks, with further settings of the search, as YAML."""
    return f"""
search: {{trials: {trials}, {settings}}}
defaults:
  {{pretrained: false, schedule: one_cycle, size: 32, epochs: {epochs}, batch_size: 32, tta: 0, flip: none}}
spaces:
  - {{name: nets, arch: test_resnet, lr: {{low: 0.002, high: 0.01, log: true}}}}
"""


def begun_epochs(log: Path) -> Counter[tuple[int, int]]:
    """Return trial and epoch → how often it began."""
    path = log / "epochs"
    lines = path.read_text().splitlines() if path.exists() else []
    return Counter((int(trial), int(epoch)) for trial, epoch in map(str.split, lines))


def raylet(machine: Machine, process: subprocess.Popen[bytes]) -> psutil.Process:
    """Return the raylet of a node."""
    children = psutil.Process(process.pid).children(recursive=True)
    found = [child for child in children if child.name() == "raylet"]
    assert len(found) == 1, machine.text("ray.txt")
    return found[0]


def is_trial(process: psutil.Process) -> bool:
    """Return whether a process of Ray trains a member."""
    try:
        return any("ImplicitFunc" in word for word in process.cmdline())
    except psutil.NoSuchProcess:
        return False


@contextmanager
def mlflow_server(machine: Machine) -> Iterator[str]:
    """Run an MLflow server with its database and artifacts on a machine; yield its address."""
    port = free_port()
    command = [sys.executable, "-m", "mlflow", "server", "--host", machine.address, "--port", str(port)]
    command += ["--workers", "1", "--backend-store-uri", "sqlite:///mlflow.db"]
    with machine.running(*command, output="mlflow.txt"):
        address = f"http://{machine.address}:{port}"
        wait_for(lambda: answers(f"{address}/health"), 600)
        yield address


def answers(url: str) -> bool:
    """Return whether a server answers at an address."""
    try:
        urllib.request.urlopen(url, timeout=2).close()  # noqa: S310 our own server
    except OSError:
        return False
    return True


def end(process: subprocess.Popen[bytes]) -> None:
    """Kill a process, its session and all its descendants."""
    with suppress(psutil.NoSuchProcess):
        for child in psutil.Process(process.pid).children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                child.kill()
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def free_port() -> int:
    """Return a port on which nobody listens now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@cache
def hides() -> bool:
    """Return whether this system lets a process hide folders from its children."""
    if shutil.which("unshare") is None:
        return False
    command = ["unshare", "--mount", "mount", "-t", "tmpfs", "none", "/mnt"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def _hiding(folders: Sequence[Path]) -> list[str]:
    """Return the beginning of a command that hides folders from it, or nothing."""
    if not folders or not hides():
        return []
    mounts = " && ".join(f'mount -t tmpfs none "${number}"' for number in range(1, len(folders) + 1))
    shift = f"shift {len(folders)}"
    script = f'{mounts} && {shift} && exec "$@"'
    return ["unshare", "--mount", "sh", "-c", script, "sh", *map(str, folders)]
