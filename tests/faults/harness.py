"""Searches in processes of their own, broken at chosen points, and what the record says of them then."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tune_paddy.tracking.runs import RecordedRun, get_search, list_members
from tune_paddy.tracking.store import Store, open_store

INJECTED = Path(__file__).parent / "injected"
PROGRAM = [sys.executable, "-c", "from tune_paddy.cli import program; program()"]
NAME = "night"

SPACE = """
search: {{trials: {trials}, retries: 1, stall_minutes: {stall}}}
defaults:
  {{pretrained: false, schedule: one_cycle, size: 32, epochs: {epochs}, batch_size: 32, tta: 1, flip: none}}
spaces:
  - {{name: nets, arch: test_resnet, lr: {{low: 0.002, high: 0.01, log: true}}}}
"""


@dataclass
class Session:
    """One run of the program on a search.

    Attributes:
        process: The driver.
        output: File with what it prints.
    """

    process: subprocess.Popen[bytes]
    output: Path

    def end(self, seconds: float = 1800) -> tuple[int, str]:
        """Wait for its end; return its exit status and what it printed."""
        status = self.process.wait(timeout=seconds)
        return status, self.output.read_text(encoding="utf-8", errors="replace")


@dataclass(frozen=True)
class Night:
    """A search that is broken, in a folder of its own.

    Attributes:
        folder: The working folder.
        data: Of the images.
        faults: Number of a trial → what breaks it.
        trials: Members.
        epochs: Of each.
        stall_minutes: After which a trial that hangs is started again.
    """

    folder: Path
    data: Path
    trials: int
    epochs: int
    faults: Mapping[int, str] = field(default_factory=dict)
    stall_minutes: float = 10

    @property
    def search(self) -> Path:
        """The search's folder."""
        return self.folder / "runs" / NAME

    def begin(self, *flags: str) -> Session:
        """Start the search."""
        space = SPACE.format(trials=self.trials, epochs=self.epochs, stall=self.stall_minutes)
        (self.folder / "space.yaml").write_text(space)
        return self._start("search", str(self.data), "--space", "space.yaml", "--name", NAME, *flags)

    def resume(self, *flags: str) -> Session:
        """Go on with it; where the record does not know it yet, start it again."""
        try:
            self.record()
        except Exception:  # killed before there was anything to go on with
            return self.begin(*flags)
        return self._start("search", "--resume", NAME, *flags)

    def _start(self, *arguments: str) -> Session:
        environment = {
            **os.environ,
            "PYTHONPATH": str(INJECTED),
            "RAY_preload_python_modules": "tune_paddy",  # no process imports torch before it has a trial
            "FAULTS": json.dumps(self.faults),
            "FAULTS_LOG": str(self.folder),
        }
        environment.pop("MLFLOW_TRACKING_URI", None)
        session = len(list(self.folder.glob("output-*")))
        output = self.folder / f"output-{session}"
        with (self.folder / "epochs").open("a") as file:
            file.write(f"session {session}\n")
        with output.open("wb") as file:
            process = subprocess.Popen(
                [*PROGRAM, *arguments], cwd=self.folder, env=environment, stdout=file, stderr=file
            )
        return Session(process, output)

    def begun_epochs(self) -> Counter[tuple[int, int]]:
        """(Trial, epoch) → how often it began."""
        return Counter((trial, epoch) for _, trial, epoch in self._log())

    def repeated_epochs(self) -> Counter[tuple[int, int]]:
        """(Session, trial) → how many epochs began in it that had begun before."""
        seen: set[tuple[int, int]] = set()
        repeated: Counter[tuple[int, int]] = Counter()
        for session, trial, epoch in self._log():
            repeated[session, trial] += (trial, epoch) in seen
            seen.add((trial, epoch))
        return +repeated

    def _log(self) -> Iterator[tuple[int, int, int]]:
        """Session, trial and epoch of every beginning, in order."""
        path, session = self.folder / "epochs", 0
        for line in path.read_text().splitlines() if path.exists() else ():
            name, number = line.split()
            if name == "session":
                session = int(number)
            else:
                yield session, int(name), int(number)

    def wait_for_epochs(self, n: int, session: Session, seconds: float = 1200) -> None:
        """Wait until so many epochs have begun, over all sessions, or the session has ended."""
        wait_for(lambda: self.begun_epochs().total() >= n or session.process.poll() is not None, seconds)

    def store(self) -> Store:
        """The record, opened to read."""
        uri = f"sqlite:///{self.folder / 'mlflow.db'}"
        return open_store(uri, experiment=None, artifact_root=self.folder, create=False)

    def record(self) -> tuple[RecordedRun, tuple[RecordedRun, ...]]:
        """The search and its members, as anybody reads them."""
        store = self.store()
        return get_search(store, NAME), list_members(store, NAME)

    def leftovers(self) -> list[Path]:
        """Files that only a running search has any use for."""
        patterns = ("checkpoint-*", ".*.partial*", ".*.part", "tune_paddy-*", "stalled.txt", ".locks", "ray")
        return [path for pattern in patterns for path in self.search.rglob(pattern)]


def wait_for(condition: Callable[[], bool], seconds: float) -> None:
    """Wait for something to become true.

    Raises:
        TimeoutError: It did not.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"nothing happened for {seconds:g} s")
        time.sleep(0.02)


def kill(process: subprocess.Popen[bytes]) -> None:
    """End a process as a power cut would."""
    process.send_signal(signal.SIGKILL)
    process.wait()
