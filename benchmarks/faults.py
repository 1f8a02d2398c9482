"""What does a search lose to killed processes, a full disk, a clock set back or a locked database?

    python benchmarks/faults.py [--seed 0] [--part searches|commands]

Real searches of tiny members on 150 digits, each in its own process with injected faults (see tests/faults/).
Prints one row per fault: how often it was injected, how many of the affected trials or searches survived, the
members missing from the pool, the most epochs that one trial repeated because of one fault, and the members
that the pool holds twice. A second table has the faults of commands and inputs, see `fault_commands.py`.
Takes about half an hour on two cores.
"""

import argparse
import signal
import sqlite3
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.fault_commands import Commands, finished_search
from tests.conftest import write_small_digits
from tests.faults.harness import NAME, Night, Session, kill, signal_job
from tune_paddy.core.errors import InputError
from tune_paddy.tracking.pool import load_pool

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
    outcomes = {int(m.tags["tune_paddy.trial"]): m.outcome for m in night.record()[1]}
    for number, fault in night.faults.items():
        came = (night.folder / f"fault-{number}").exists()
        as_expected = outcomes.get(number) == EXPECTED.get(fault, "finished")
        lost = int(fault not in EXPECTED and outcomes.get(number) != "finished")
        yield Row(fault, came, came and as_expected, lost, repeats(night, number), duplicates(night))


def kill_drivers(night: Night, rng: np.random.Generator, times: int = 5) -> Row:
    """Kill the driver at random moments of the search, and resume after each."""
    moments = sorted(rng.uniform(0, night.trials * night.epochs) for _ in range(times))
    session, killed = night.begin(), 0
    for moment in moments:
        night.wait_for_epochs(int(moment), session, 900)
        time.sleep(rng.uniform(0, 3))
        if session.process.poll() is None:
            kill(session.process)
            killed += 1
            session = night.resume()
    return _searched(f"kill -9 of the driver, {times} moments, seed given", killed, night, session)


def kill_process_of_ray(night: Night, name: str) -> Row:
    """Kill a process of Ray during training, then resume."""
    session = night.begin()
    night.wait_for_epochs(3, session, 900)
    descendants = psutil.Process(session.process.pid).children(recursive=True)
    for process in descendants:
        if process.name() == name:
            process.kill()
    _print_end(session, descendants, f"{name} killed")
    return _searched(f"kill -9 of {name}", 1, night, night.resume())


def signal_whole_job(night: Night, number: signal.Signals) -> Row:
    """Signal all processes of a search during training, then resume."""
    session = night.begin()
    night.wait_for_epochs(3, session, 900)
    descendants = psutil.Process(session.process.pid).children(recursive=True)
    signal_job(session.process, number)
    _print_end(session, descendants, f"{number.name} to all processes")
    submission = (night.search / "submission.csv").exists()
    print(f"  a submission from the members so far: {'yes' if submission else 'no'}")
    return _searched(f"{number.name} to all processes of the job", 1, night, night.resume())


def _print_end(session: Session, descendants: list[psutil.Process], what: str) -> None:
    """Print how and when the driver exited, its last line, and how many of its processes it left."""
    started = time.monotonic()
    status, text = session.end(900)
    seconds = time.monotonic() - started
    left = [process for process in descendants if process.is_running() and process.status() != "zombie"]
    print(f"{what}: the driver exited with status {status} after {seconds:.0f} s; {len(left)} processes left")
    print(f"  its last line: {text.splitlines()[-1] if text else ''}")


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


def _searched(fault: str, injected: int, night: Night, session: Session) -> Row:
    status, text = session.end(1800)
    outcomes = Counter(member.outcome for member in night.record()[1])
    lost = night.trials - outcomes["finished"]
    survived = injected if status == 0 and not lost and not night.leftovers() else 0
    if not survived:
        print(text, night.leftovers(), outcomes)
    return Row(fault, injected, survived, lost, repeats(night), duplicates(night))


def repeats(night: Night, number: int | None = None) -> int:
    """Return the most epochs that any trial, or trial `number`, repeated because of one fault."""
    repeated = night.repeated_epochs()
    return max((n for (_, trial), n in repeated.items() if number in (None, trial)), default=0)


def duplicates(night: Night) -> int:
    """Return the number of surplus runs of members and surplus views in the pool."""
    try:
        _, members = night.record()
    except InputError:
        return 0
    runs = Counter(member.name for member in members)
    views = Counter((view.member, view.kind) for view in load_pool(night.store(), [NAME]).views)
    return sum(times - 1 for times in (*runs.values(), *views.values()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--part", choices=["searches", "commands"], help="default: both")
    parser.add_argument(
        "--finished", type=Path, help="folder of a demo with its export `model`; default: new"
    )
    asked = parser.parse_args()
    if asked.part != "commands":
        break_searches(np.random.default_rng(asked.seed))
    if asked.part != "searches":
        break_commands(np.random.default_rng(asked.seed), asked.finished)


def break_commands(rng: np.random.Generator, finished: Path | None) -> None:
    """Print the table of the faults of commands and inputs."""
    print("| fault of a command or an input | injected | survived | files left over |")
    print("|---|---|---|---|")
    with tempfile.TemporaryDirectory(prefix="faults-") as name:
        for outcome in Commands(finished or finished_search(Path(name)), Path(name)).all(rng):
            print("| " + " | ".join(map(str, vars(outcome).values())) + " |", flush=True)


def break_searches(rng: np.random.Generator) -> None:
    """Print the table of the faults of searches."""
    with tempfile.TemporaryDirectory(prefix="faults-") as name:
        root = Path(name)
        data = write_small_digits(root / "digits")

        def night(label: str, trials: int, epochs: int, faults: dict[int, str] | None = None) -> Night:
            (root / label).mkdir()
            return Night(root / label, data, trials, epochs, faults or {})

        broken = night("trials", len(TRIAL_FAULTS) + 1, 3, dict(enumerate(TRIAL_FAULTS)))
        rows = list(break_trials(broken))
        rows.append(kill_drivers(night("drivers", 4, 4), rng))
        rows += [kill_process_of_ray(night(name, 3, 4), name) for name in ("raylet", "gcs_server")]
        rows += [
            signal_whole_job(night(number.name, 3, 4), number) for number in (signal.SIGTERM, signal.SIGHUP)
        ]
        rows.append(lock_database(night("locked", 3, 4)))
    print("| fault | injected | survived | members lost | epochs repeated by a trial | duplicates |")
    print("|---|---|---|---|---|---|")
    for row in rows:
        print("| " + " | ".join(str(int(v) if isinstance(v, bool) else v) for v in vars(row).values()) + " |")


if __name__ == "__main__":
    main()
