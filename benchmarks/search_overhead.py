"""What is a search's overhead: process starts, the MLflow record, gaps between trials, the command line?

    python benchmarks/search_overhead.py [--trials 16] [--noops 12]

1. The demo's space on the digits, two trials at once: the share of the workers' wall time spent on training,
   evaluation and test-time augmentation, as the members measured it. A worker's time runs from the start of
   the search's MLflow run, before any worker process starts, to the end of its last trial.
2. Trials that do everything but train (a process, a record with metrics and predictions, a report): a
   worker's wall time per trial, from the third trial on.
3. `tune-paddy --help` and `tune-paddy select` on that search, each in its own process: wall and CPU time, the
   best of three. Other load on the machine affects wall time, and hardly CPU time.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from rich.console import Console

from tune_paddy.core.config import MemberConfig
from tune_paddy.core.predictions import Predictions
from tune_paddy.data.dataset import Dataset
from tune_paddy.data.member_data import Parts
from tune_paddy.data.samples import write_digits
from tune_paddy.search import trainable, tuning
from tune_paddy.search.plan import SearchPlan
from tune_paddy.search.preflight import ready_session
from tune_paddy.search.ray.session import ray_session
from tune_paddy.search.run import run_search
from tune_paddy.spaces.space import SearchSpace, find_space
from tune_paddy.tracking.runs import RecordedRun, get_search
from tune_paddy.tracking.store import Store, open_store

AT_ONCE = 2
INSIDE = ("train_seconds_total", "predict_seconds")


def noop_trial(trial: dict[str, Any], *, context: trainable.TrialContext, parts: Parts) -> None:
    """Run a trial whose training takes no time."""
    from tune_paddy.training import member as training  # noqa: PLC0415 in the worker
    from tune_paddy.training.results import MemberResult  # noqa: PLC0415
    from tune_paddy.training.runtime import Runtime  # noqa: PLC0415

    def train(config: MemberConfig, parts: Parts, runtime: Runtime, **_: Any) -> MemberResult:
        runtime.folder.mkdir(parents=True, exist_ok=True)
        n_classes = len(parts.classes)
        views = [
            np.full((len(ids), n_classes), 1 / n_classes, np.float32)
            for ids in (parts.select.ids, parts.test.ids)
        ]
        predictions = Predictions(
            classes=parts.classes,
            split=parts.split,
            select_ids=parts.select.ids,
            select_labels=parts.select.labels,
            test_ids=parts.test.ids,
            select={"plain": views[0]},
            test={"plain": views[1]},
        )
        scores = {"plain/log_loss": 1.0, "plain/calibrated_log_loss": 1.0, "plain/error_rate": 0.5}
        metrics = {**scores, **dict.fromkeys(INSIDE, 0.0)}
        return MemberResult(config, predictions, (), metrics, accum=1, ooms=0)

    with mock.patch.object(training, "train_member", train):
        trainable.run_trial(trial, context=context, parts=parts)


def search(name: str, dataset: Dataset, store: Store, folder: Path, trials: int) -> Sequence[RecordedRun]:
    """Run the demo's space with `trials` trials, two at once."""
    space = SearchSpace.load(find_space("digits_demo"))
    settings = space.settings.override({"trials": trials, "concurrency": AT_ONCE, "cpus": 1})
    plan = SearchPlan(
        name=name, dataset=dataset, space=space, settings=settings, folder=folder / "runs" / name
    )
    with ready_session(plan) as ready:
        members = run_search(ready, store, console=Console(quiet=True))
    unfinished = [member.name for member in members if member.status != "FINISHED"]
    if unfinished:  # a retry starts a new process, which would dominate the times
        raise SystemExit(f"search {name}: {', '.join(unfinished)} did not finish")
    return members


def worker_seconds(started: float, members: Sequence[RecordedRun]) -> float:
    """Return the workers' total time in seconds, from the search's start to each worker's last trial."""
    free = [started] * AT_ONCE
    for member in sorted(members, key=lambda member: member.started):
        worker = int(np.argmin(free))
        free[worker] = member.ended or free[worker]
    return sum(free) - AT_ONCE * started


def best_of_three(arguments: Sequence[str], folder: Path) -> tuple[float, float]:
    """Return the minimum wall and CPU time of a command, in seconds."""
    walls, cpus = [], []
    for _ in range(3):
        before, started = os.times(), time.perf_counter()
        command = [sys.executable, "-c", "from tune_paddy.cli import program; program()", *arguments]
        subprocess.run(command, cwd=folder, check=True, capture_output=True)
        after = os.times()
        walls.append(time.perf_counter() - started)
        cpus.append(
            after.children_user + after.children_system - before.children_user - before.children_system
        )
    return min(walls), min(cpus)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=16)
    parser.add_argument("--noops", type=int, default=12)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        measure(folder, options)


def measure(folder: Path, options: argparse.Namespace) -> None:
    """Run all three measurements and print the table."""
    dataset = Dataset.open(write_digits(folder / "digits"))
    with ray_session(None):
        artifacts = folder / "runs/artifacts"
        store = open_store(
            f"sqlite:///{folder}/mlflow.db", experiment="digits", artifact_root=artifacts, create=True
        )
        members = search("demo", dataset, store, folder, options.trials)
        with mock.patch.object(tuning, "run_trial", noop_trial):
            noops = search("noops", dataset, store, folder, options.noops)
    whole = worker_seconds(get_search(store, "demo").started, members)
    inside = sum(member.metrics[key] for member in members for key in INSIDE)
    ends = sorted(member.ended or 0.0 for member in noops)
    noop = AT_ONCE * (ends[-1] - ends[AT_ONCE - 1]) / (len(ends) - AT_ONCE)
    print(f"{len(members)} trials on {os.cpu_count()} CPUs, load average {os.getloadavg()[1]:.1f}\n")
    print("| question | goal | result |\n|---|---|---|")
    print(f"| share of worker wall time inside | ≥ 85 % | {inside / whole:.1%} of {whole:.0f} s |")
    print(f"| a trial that does not train | ≤ 1 s | {noop:.2f} s |")
    for arguments, limit in ((["--help"], 0.5), (["select", "demo"], 5.0)):
        wall, cpu = best_of_three(arguments, folder)
        print(
            f"| tune-paddy {' '.join(arguments)} | ≤ {limit} s | {wall:.2f} s, {cpu:.2f} s of CPU |",
            flush=True,
        )


if __name__ == "__main__":
    main()
