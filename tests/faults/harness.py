"""Searches in separate processes, with faults injected at chosen points, and access to their records."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from tune_paddy.tracking.runs import RecordedRun, get_search, list_members
from tune_paddy.tracking.store import Store, open_store

INJECTED = Path(__file__).parent / "injected"
PROGRAM = [sys.executable, "-c", "from tune_paddy.cli import program; program()"]
NAME = "night"

SPACE = """
search: {{trials: {trials}, retries: 1, stall_minutes: {stall}, cpus: 0.5}}
defaults:
  {{pretrained: false, schedule: one_cycle, size: 32, epochs: {epochs}, batch_size: 32, tta: 1, flip: none}}
spaces:
  - {{name: nets, arch: test_resnet, lr: {{low: 0.002, high: 0.01, log: true}}}}
"""


@dataclass
class Session:
    """One run of the program on a search.

    Attributes:
        process: Driver process.
        output: File of its standard output and standard error.
    """

    process: subprocess.Popen[bytes]
    output: Path

    def end(self, seconds: float = 1800) -> tuple[int, str]:
        """Wait for the end of the process; return its exit status and its output."""
        status = self.process.wait(timeout=seconds)
        return status, self.output.read_text(encoding="utf-8", errors="replace")


@dataclass(frozen=True)
class Night:
    """A search with injected faults, in its own folder.

    Attributes:
        folder: Working folder of the program.
        data: Folder of the images.
        faults: Number of the trial → name of the fault.
        trials: Number of members.
        epochs: Number of epochs of each member.
        stall_minutes: Time without progress after which a trial is restarted, in minutes.
        environment: Further variables of the program.
        server: Address of the MLflow server that has the record; empty: the record is a file.
        name: Name of the search in the record.
    """

    folder: Path
    data: Path
    trials: int
    epochs: int
    faults: Mapping[int, str] = field(default_factory=dict)
    stall_minutes: float = 10
    environment: Mapping[str, str] = field(default_factory=dict)
    server: str = ""
    name: str = NAME

    @property
    def search(self) -> Path:
        """Folder of the search."""
        return self.folder / "runs" / self.name

    @property
    def log(self) -> Path:
        """Folder of the epochs that began, of the faults that happened, and of the sessions' output."""
        return self.folder.with_name(f"{self.folder.name}-log-{self.name}")  # the other one may be deleted

    def begin(self, *flags: str) -> Session:
        """Start the search."""
        space = SPACE.format(trials=self.trials, epochs=self.epochs, stall=self.stall_minutes)
        (self.folder / "space.yaml").write_text(space)
        arguments = (str(self.data), "--space", "space.yaml", "--name", NAME, "--method", "uniform")
        return self._start("search", *arguments, *flags)

    def resume(self, *flags: str) -> Session:
        """Resume the search; if the record does not have it yet, start it again."""
        try:
            self.record()
        except Exception:  # killed before the record had the search
            return self.begin(*flags)
        return self._start("search", "--resume", NAME, "--method", "uniform", *flags)

    def _start(self, *arguments: str) -> Session:
        environment = {
            **os.environ,
            "PYTHONPATH": first_on_path(INJECTED),
            "RAY_preload_python_modules": "tune_paddy",  # no process imports torch before it has a trial
            "FAULTS": json.dumps(self.faults),
            "FAULTS_LOG": str(self.log),
            **self.environment,
        }
        environment.pop("MLFLOW_TRACKING_URI", None)
        self.log.mkdir(exist_ok=True)
        address = ("--tracking-uri", self.server) if self.server else ()
        session = len(list(self.log.glob("output-*")))
        output = self.log / f"output-{session}"
        with (self.log / "epochs").open("a") as file:
            file.write(f"session {session}\n")
        with output.open("wb") as file:
            process = subprocess.Popen(
                [*PROGRAM, *arguments, *address], cwd=self.folder, env=environment, stdout=file, stderr=file
            )
        return Session(process, output)

    def begun_epochs(self) -> Counter[tuple[int, int]]:
        """Return (trial, epoch) → how often the epoch began."""
        return Counter((trial, epoch) for _, trial, epoch in self._log())

    def repeated_epochs(self) -> Counter[tuple[int, int]]:
        """Return (session, trial) → number of epochs that began again in that session."""
        seen: set[tuple[int, int]] = set()
        repeated: Counter[tuple[int, int]] = Counter()
        for session, trial, epoch in self._log():
            repeated[session, trial] += (trial, epoch) in seen
            seen.add((trial, epoch))
        return +repeated

    def _log(self) -> Iterator[tuple[int, int, int]]:
        """Yield session, trial and epoch of each epoch that began, in order."""
        path, session = self.log / "epochs", 0
        for line in path.read_text().splitlines() if path.exists() else ():
            name, number = line.split()
            if name == "session":
                session = int(number)
            else:
                yield session, int(name), int(number)

    def wait_for_epochs(self, n: int, session: Session, seconds: float = 1200) -> None:
        """Wait until `n` epochs have begun, over all sessions, or the session has ended."""
        wait_for(lambda: self.begun_epochs().total() >= n or session.process.poll() is not None, seconds)

    def store(self) -> Store:
        """Open the record for reading."""
        uri = self.server or f"sqlite:///{self.folder / 'mlflow.db'}"
        return open_store(uri, experiment=None, artifact_root=self.folder, create=False)

    def record(self) -> tuple[RecordedRun, tuple[RecordedRun, ...]]:
        """Return the recorded runs of the search and its members."""
        store = self.store()
        return get_search(store, self.name), list_members(store, self.name)

    def leftovers(self) -> list[Path]:
        """Return the files that only a running search needs."""
        patterns = (
            "checkpoint-*",
            ".*.partial*",
            ".*.part",
            "tune_paddy[-~]*",
            "stalled.txt",
            ".locks",
            "ray",
        )
        return [path for pattern in patterns for path in self.search.rglob(pattern)]


@dataclass(frozen=True)
class Refit(Night):
    """A refit of the ensemble of a finished search of the same folder; the same command resumes it."""

    name: str = f"{NAME}-refit"

    def begin(self, *flags: str) -> Session:
        """Start the refit, or resume it."""
        return self._start("select", NAME, "--method", "uniform", "--refit", "all", *flags)

    def resume(self, *flags: str) -> Session:
        """Run the same command again."""
        return self.begin(*flags)


def first_on_path(folder: Path) -> str:
    """Return `PYTHONPATH` with a folder in front, so that a process imports the same program as this one."""
    return os.pathsep.join([str(folder), *filter(None, [os.environ.get("PYTHONPATH")])])


def wait_for(condition: Callable[[], object], seconds: float, pause: float = 0.02) -> None:
    """Wait until a condition is true.

    Args:
        condition: Function that returns whether it is.
        seconds: Maximum time.
        pause: Time between two calls, in seconds; a function that reads a record takes a CPU without one.

    Raises:
        TimeoutError: The condition was not true in time.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"nothing happened for {seconds:g} s")
        time.sleep(pause)


def kill(process: subprocess.Popen[bytes]) -> None:
    """Kill a process without giving it time to clean up."""
    process.send_signal(signal.SIGKILL)
    process.wait()


def signal_job(process: subprocess.Popen[bytes], number: int) -> None:
    """Signal a process and all its descendants, as Slurm, systemd and a closed terminal do; itself twice.

    `timeout` signals its child and then the child's process group.
    """
    descendants = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(number)
    for descendant in descendants:
        with suppress(psutil.NoSuchProcess):
            descendant.send_signal(number)
    process.send_signal(number)
