"""What does a search lose to killed processes, a full disk, a clock set back or a locked database?

    python benchmarks/faults.py [--seed 0] [--part searches|commands] [--only "kill in" "clock set"]

Real searches of tiny members on 150 digits, each in its own process with injected faults (see tests/faults/).
Prints one row per fault: how often it was injected, how many of the affected trials or searches survived, the
members missing from the pool, the most epochs that one trial repeated because of one fault, and the members
that the pool holds twice. A second table has the faults of commands and inputs, see `fault_commands.py`.
Takes more than an hour on two cores. Some kinds need a C compiler or libfaketime, see `fault_preloads.py`. Do
not start it with `nohup`, which makes the searches ignore SIGHUP.
"""

import argparse
import shutil
import signal
import sqlite3
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.fault_commands import Commands, finished_search, has_reason, said
from benchmarks.fault_preloads import NO_FLOCK, NO_LOCKS, Clock, preloaded
from tests.cluster.gate import Gate, State
from tests.cluster.machines import Machine, mlflow_server
from tests.conftest import write_small_digits
from tests.faults.harness import Night, Refit, Session, kill, signal_job, wait_for
from tune_paddy.core.errors import InputError
from tune_paddy.tracking.pool import load_pool
from tune_paddy.tracking.runs import RecordedRun

TRIAL_FAULTS = (
    "kill in training",
    "kill in a checkpoint",
    "kill in TTA",
    "kill in an upload",
    "hang",
    "frozen process",
    "NaN",
    "full disk in a checkpoint",
    "full disk in an upload",
    "clock set back",
    "always",
)
EXPECTED = {"NaN": "diverged", "always": "failed"}
LOCKED_SECONDS = 30
MOST_SECONDS = 30
"""Time in which a search ends after a signal or a loss, in seconds; its epochs are short."""
FAILING_SECONDS, HELD_SECONDS = 60, 150
"""Time for which a server fails, or does not answer: a request of MLflow waits for 120 s."""

Wanted = Callable[[str], bool]
"""Function that returns whether a kind of fault, by its name, is injected."""


@dataclass(frozen=True)
class Row:
    """A row of the table."""

    fault: str
    injected: int
    survived: int
    lost: int
    repeated: int
    duplicates: int


def break_trials(night: Night) -> Iterator[Row]:
    """Inject all faults of trials in one search; the last trial has none."""
    status, text = night.begin().end(1800)
    if status:
        print(text)
    outcomes = {int(m.tags["tune_paddy.trial"]): m.outcome for m in members_of(night)}
    for number, fault in night.faults.items():
        came = (night.log / f"fault-{number}").exists()
        as_expected = outcomes.get(number) == EXPECTED.get(fault, "finished")
        lost = int(fault not in EXPECTED and outcomes.get(number) != "finished")
        yield Row(fault, came, came and as_expected, lost, repeats(night, number), duplicates(night))


def kill_drivers(what: str, night: Night, rng: np.random.Generator, times: int = 5) -> Row:
    """Kill the driver at moments spread evenly over the training's epochs, and resume after each."""
    moments = (np.arange(times) + rng.uniform(size=times)) * night.trials * night.epochs / times
    session, killed = night.begin(), 0
    for moment in moments:
        night.wait_for_epochs(int(moment), session, 900)
        time.sleep(rng.uniform(0, 3))
        if session.process.poll() is None:
            kill(session.process)
            killed += 1
            session = night.resume()
    return _searched(f"kill -9 of {what}, {times} moments, seed given", killed, night, session)


def kill_writers(night: Night, rng: np.random.Generator, times: int) -> Row:
    """Kill the command that ends a night at moments spread evenly over its time, then run it whole."""
    started = time.monotonic()
    night.resume().end(1800)
    seconds, killed = time.monotonic() - started, 0
    for part in range(times):
        session = night.resume()
        time.sleep(seconds * (part + rng.uniform()) / times)
        if session.process.poll() is None:
            kill(session.process)
            killed += 1
    return _searched(
        f"kill -9 of a refit that writes its ensemble, {times} moments", killed, night, night.resume()
    )


def jump_clock(nights: "Nights", days: int) -> Row:
    """Set the clock of a search and its trials to another day during training."""
    clock = Clock(nights.root / f"clock{days:+d}")
    night = nights.new(environment=clock.environment())
    session = night.begin()
    night.wait_for_epochs(2, session, 900)
    clock.set(f"{days:+d}d")
    row = _searched(f"clock set by {days:+d} day", 1, night, session)
    times = [
        point.timestamp / 1000
        for member in members_of(night)
        for point in night.store().client.get_metric_history(member.run_id, "train_loss")
    ]
    if not times or max(times) - min(times) < abs(days) * 80_000:
        print("the trials did not see the jump")
        return replace(row, injected=0, survived=0)
    return row


def run_without_locks(nights: "Nights", what: str, source: str) -> Row:
    """Start a search where locks are refused, then where they are not."""
    night = nights.new(2, 2)
    environment = preloaded(source, nights.root / f"{what.partition(' ')[0]}.so")
    status, text = replace(night, environment=environment).begin().end(900)
    row = _searched(f"no locks: {what}", 1, night, night.resume())
    print(f"{row.fault}: {said(status, text)}")
    if status in (1, 2) and has_reason(status, text):
        return row
    return replace(row, survived=0)


def kill_process_of_ray(night: Night, name: str) -> Row:
    """Kill a process of Ray during training, then resume."""
    session = night.begin()
    night.wait_for_epochs(3, session, 900)
    descendants = _descendants(session)
    targets = [process for process in descendants if process.name() == name]
    for process in targets:
        process.kill()
    sound = _ended(session, descendants, f"{len(targets)} {name} killed", 1)
    row = _searched(f"kill -9 of {name}", len(targets), night, night.resume())
    return row if sound else replace(row, survived=0)


def signal_whole_job(night: Night, number: signal.Signals, finished: int = 0) -> Row:
    """Signal all processes of a search during training, with some members finished, then resume."""
    session = night.begin()
    night.wait_for_epochs(3, session, 900)
    wait_for(lambda: _finished(night) >= finished or session.process.poll() is not None, 900)
    descendants = _descendants(session)
    if descendants:
        signal_job(session.process, number)
    sound = _ended(session, descendants, f"{number.name} to all processes", 128 + number)
    submission = (night.search / "submission.csv").exists()
    print(f"  a submission from the members so far: {'yes' if submission else 'no'}")
    name = (
        f"{number.name}, some members finished" if finished else f"{number.name} to all processes of the job"
    )
    row = _searched(name, int(bool(descendants)), night, night.resume())
    return row if sound and (submission or not finished) else replace(row, survived=0)


def _descendants(session: Session) -> list[psutil.Process]:
    """Return the driver's processes; none if it has ended, so that the fault was not injected."""
    try:
        return psutil.Process(session.process.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def _finished(night: Night) -> int:
    """Return the number of finished members; the record of a night that runs has no other finished runs."""
    with closing(sqlite3.connect(night.folder / "mlflow.db", timeout=60)) as database:
        return int(database.execute("SELECT count(*) FROM runs WHERE status = 'FINISHED'").fetchone()[0])


def _ended(session: Session, descendants: list[psutil.Process], what: str, expected: int) -> bool:
    """Print how and when the driver exited, its last line, and how many of its processes it left.

    Returns:
        Whether it exited with the expected status within `MOST_SECONDS`, and left nothing running.
    """
    started = time.monotonic()
    status, text = session.end(900)
    seconds = time.monotonic() - started
    left = [process for process in descendants if process.is_running() and process.status() != "zombie"]
    print(f"{what}: the driver exited with status {status} after {seconds:.0f} s; {len(left)} processes left")
    print(f"  its last line: {text.splitlines()[-1] if text else ''}")
    return status == expected and seconds <= MOST_SECONDS and not left


def lock_database(night: Night) -> Row:
    """Lock the record's database by another writer for half a minute during training."""
    session = night.begin()
    night.wait_for_epochs(2, session, 900)

    def hold() -> None:
        with closing(
            sqlite3.connect(night.folder / "mlflow.db", timeout=60, isolation_level=None)
        ) as database:
            database.execute("BEGIN IMMEDIATE")
            time.sleep(LOCKED_SECONDS)
            database.execute("ROLLBACK")

    holder = threading.Thread(target=hold)
    holder.start()
    row = _searched(f"record locked for {LOCKED_SECONDS} s by another writer", 1, night, session)
    holder.join()
    return row


def shut_server(nights: "Nights", what: str, state: State, seconds: float) -> Row:
    """Let the search's MLflow server fail, or not answer, for a while during training."""
    night = nights.new(4)
    machine = Machine(night.folder, (), night.log, {}, ())
    with mlflow_server(machine) as address, Gate(int(address.rpartition(":")[2])) as gate:
        night = replace(night, server=f"http://127.0.0.1:{gate.port}")
        session = night.begin()
        night.wait_for_epochs(3, session, 900)
        with gate.shut(state):
            time.sleep(seconds)
        print(f"{what}: {gate.refused} connections met it")
        return _searched(f"{what} for {seconds:g} s", min(1, gate.refused), night, session)


def delete(night: Night, what: str, name: str) -> Row:
    """Delete files of a search during training; it must say so, and is resumed if its record is left."""
    session = night.begin()
    night.wait_for_epochs(3, session, 900)
    descendants, path = _descendants(session), night.folder / name
    if path.is_file():
        path.unlink()
    while path.is_dir():  # a trial may write between the removal of a file and of its folder
        shutil.rmtree(path, ignore_errors=True)
    sound = _ended(session, descendants, f"{what} deleted", 1)
    status, text = session.end()
    sound = sound and "is gone: it was deleted" in text and has_reason(status, text)
    if not (night.folder / "mlflow.db").exists():
        return Row(f"{what} deleted meanwhile", 1, int(sound), 0, 0, 0)
    row = _searched(f"{what} deleted meanwhile", 1, night, night.resume())
    return row if sound else replace(row, survived=0)


def _searched(fault: str, injected: int, night: Night, session: Session) -> Row:
    status, text = session.end(1800)
    if status:
        print(text, flush=True)
    outcomes = Counter(member.outcome for member in members_of(night))
    lost = night.trials - outcomes["finished"]
    survived = injected if status == 0 and not lost and not night.leftovers() else 0
    if not survived:
        print(text, night.leftovers(), outcomes, flush=True)
    return Row(fault, injected, survived, lost, repeats(night), duplicates(night))


def members_of(night: Night) -> tuple[RecordedRun, ...]:
    """Return the recorded members; none if the record does not have the search."""
    try:
        return night.record()[1]
    except InputError:
        return ()


def repeats(night: Night, number: int | None = None) -> int:
    """Return the most epochs that any trial, or trial `number`, repeated because of one fault."""
    repeated = night.repeated_epochs()
    return max((n for (_, trial), n in repeated.items() if number in (None, trial)), default=0)


def duplicates(night: Night) -> int:
    """Return the number of surplus runs of members and surplus views in the pool."""
    members = members_of(night)
    if not members:
        return 0
    runs = Counter(member.name for member in members)
    views = Counter((view.member, view.kind) for view in load_pool(night.store(), [night.name]).views)
    return sum(times - 1 for times in (*runs.values(), *views.values()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--part", choices=["searches", "commands"], help="default: both")
    parser.add_argument("--only", nargs="+", default=[""], help="parts of the names of kinds; default: all")
    parser.add_argument(
        "--finished", type=Path, help="folder of a demo with its export `model`; default: new"
    )
    asked = parser.parse_args()

    def wanted(kind: str) -> bool:
        return any(part in kind for part in asked.only)

    if asked.part != "commands":
        break_searches(np.random.default_rng(asked.seed), wanted)
    if asked.part != "searches":
        break_commands(np.random.default_rng(asked.seed), asked.finished, wanted)


def break_commands(rng: np.random.Generator, finished: Path | None, wanted: Wanted) -> None:
    """Print the table of the faults of commands and inputs."""
    print("| fault of a command or an input | injected | survived | files left over |")
    print("|---|---|---|---|")
    with tempfile.TemporaryDirectory(prefix="faults-") as name:
        kinds = Commands(finished or finished_search(Path(name)), Path(name)).kinds(rng)
        for kind in filter(wanted, kinds):
            print("| " + " | ".join(map(str, vars(kinds[kind]()).values())) + " |", flush=True)


def break_searches(rng: np.random.Generator, wanted: Wanted) -> None:
    """Print the table of the faults of searches, each row as soon as it is known."""
    print("| fault | injected | survived | members lost | epochs repeated by a trial | duplicates |")
    print("|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory(prefix="faults-") as name:
        for row in _rows(Path(name), rng, wanted):
            cells = (str(int(v) if isinstance(v, bool) else v) for v in vars(row).values())
            print("| " + " | ".join(cells) + " |", flush=True)


class Nights:
    """New searches, each in a folder of its own.

    Args:
        root: Folder for their folders.
    """

    def __init__(self, root: Path) -> None:
        self.root, self._data = root, write_small_digits(root / "digits")

    def new(self, trials: int = 3, epochs: int = 4, **options: Any) -> Night:
        """Return a search that has not begun."""
        folder = self.root / f"night-{len(list(self.root.iterdir()))}"
        folder.mkdir()
        return Night(folder, self._data, trials, epochs, **options)


def _rows(root: Path, rng: np.random.Generator, wanted: Wanted) -> Iterator[Row]:
    nights = Nights(root)
    faults = dict(enumerate(filter(wanted, TRIAL_FAULTS)))
    if faults:
        yield from break_trials(nights.new(len(faults) + 1, 3, faults=faults))
    for kind, inject in _kinds(nights, rng).items():
        if wanted(kind):
            yield from inject()


def _kinds(nights: Nights, rng: np.random.Generator) -> dict[str, Callable[[], Iterable[Row]]]:
    """Return kind of fault, which begins the names of its rows → the function that injects it."""
    interrupt, term, hang_up = signal.SIGINT, signal.SIGTERM, signal.SIGHUP
    return {
        "kill -9 of the driver": lambda: [kill_drivers("the driver", nights.new(4), rng)],
        "kill -9 of raylet": lambda: [kill_process_of_ray(nights.new(), "raylet")],
        "kill -9 of gcs_server": lambda: [kill_process_of_ray(nights.new(), "gcs_server")],
        "kill -9 of a refit": lambda: kill_refits(nights.new(2, 6), rng),
        "SIGTERM to all processes of the job": lambda: [signal_whole_job(nights.new(), term)],
        "SIGTERM, some members finished": lambda: [signal_whole_job(nights.new(), term, finished=1)],
        "SIGINT to all processes of the job": lambda: [signal_whole_job(nights.new(), interrupt)],
        "SIGHUP to all processes of the job": lambda: [signal_whole_job(nights.new(), hang_up)],
        "record locked": lambda: [lock_database(nights.new())],
        "server that answers 500": lambda: [
            shut_server(nights, "server that answers 500", State.FAILING, FAILING_SECONDS)
        ],
        "server that hangs": lambda: [shut_server(nights, "server that hangs", State.HELD, HELD_SECONDS)],
        "folder of the search deleted": lambda: [delete(nights.new(), "folder of the search", "runs/night")],
        "record deleted": lambda: [delete(nights.new(), "record", "mlflow.db")],
        "working folder deleted": lambda: [delete(nights.new(), "working folder", "")],
        "clock set by +1 day": lambda: [jump_clock(nights, 1)],
        "clock set by -1 day": lambda: [jump_clock(nights, -1)],
        "no locks: flock": lambda: [run_without_locks(nights, "flock refused", NO_FLOCK)],
        "no locks: all": lambda: [run_without_locks(nights, "all locks refused", NO_LOCKS)],
    }


def kill_refits(night: Night, rng: np.random.Generator) -> Iterator[Row]:
    """Finish a search; then kill its refit while it trains, and while it writes its ensemble."""
    status, text = night.begin().end(1800)
    if status:
        print(text)
    refit = Refit(night.folder, night.data, night.trials, night.epochs)
    yield kill_drivers("a refit", refit, rng, 10)
    yield kill_writers(refit, rng, 12)


if __name__ == "__main__":
    main()
