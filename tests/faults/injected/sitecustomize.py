"""Inject faults into this Python process; only the processes under test have this folder on their path.

`FAULTS` is JSON: number of a trial → fault of its first attempt, and after `THEN` that of its second.
`FAULTS_LOG` is a folder that gets a line for every epoch that begins and every file of an image cache that is
made, and a file for every fault.
"""

import importlib.abc
import importlib.util
import json
import os
import resource
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import patch

FAULTS = json.loads(os.environ.get("FAULTS", "{}"))
LOG = Path(os.environ.get("FAULTS_LOG", "."))
HOUR = 3600
THEN = ", then "


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@contextmanager
def full_disk() -> Iterator[None]:
    """Limit files of this process to 1,000 bytes, so that writes fail as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def in_second_epoch(action: Callable[[Any], None]) -> Any:
    """Call a function after each batch of a member's second epoch."""
    from tune_paddy.training.epochs.watch import EpochWatch

    before = EpochWatch.after_batch

    def after_batch(watch: Any) -> None:
        if watch.first + watch.learn.epoch == 1:
            action(watch)
        before(watch)

    return patch.object(EpochWatch, "after_batch", after_batch)


def hang(watch: Any) -> None:
    """Make no progress; the time limit of this trial alone is short, since other trials need more."""
    stall = watch.attempt.runtime.alive.__self__
    stall._minutes, stall._set = 0.02, float("-inf")
    stall.alive()
    time.sleep(HOUR)


def freeze(watch: Any) -> None:
    """Stop this process, which may make no progress for a second only."""
    from tune_paddy.search.stopping.stall_watch import Heartbeat

    stall = watch.attempt.runtime.alive.__self__
    beat = Heartbeat.read(stall._path)
    stall._path.write_text(replace(beat, seconds=1).line())
    os.kill(os.getpid(), signal.SIGSTOP)


def wait(_watch: Any) -> None:
    """Make no progress until a test lets this process go on."""
    while not (LOG / "go").exists():
        time.sleep(0.05)


def lose_loss(watch: Any) -> None:
    watch.learn.loss = watch.learn.loss * float("nan")


def in_second_checkpoint(action: Callable[..., None]) -> Any:
    from tune_paddy.training.saved import checkpoint

    before, calls = checkpoint.save_file, []

    def save_file(tensors: Any, path: Any, **options: Any) -> None:
        calls.append(path)
        if len(calls) == 2:
            action(before, tensors, path, **options)
        before(tensors, path, **options)

    return patch.object(checkpoint, "save_file", save_file)


def write_half(save: Any, tensors: Any, path: Any, **options: Any) -> None:
    """Write the first half of a checkpoint."""
    save(tensors, path, **options)
    content = Path(path).read_bytes()
    Path(path).write_bytes(content[: len(content) // 2])


def die_in_checkpoint(*arguments: Any, **options: Any) -> None:
    write_half(*arguments, **options)
    die()


def hold_in_checkpoint(*arguments: Any, **options: Any) -> None:
    """Keep a half of a checkpoint until this process ends with its driver's; say so in the file `held`."""
    write_half(*arguments, **options)
    (LOG / "held").touch()
    time.sleep(HOUR)


def fail_in_checkpoint(save: Any, tensors: Any, path: Any, **options: Any) -> None:
    with full_disk():
        save(tensors, path, **options)


def in_upload(action: Callable[..., None]) -> Any:
    before = shutil.copyfileobj

    def copyfileobj(source: Any, target: Any, length: int = 0) -> None:
        if str(source.name).endswith("predictions.npz"):
            action(before, source, target)
        before(source, target, length)

    return patch.object(shutil, "copyfileobj", copyfileobj)


def die_in_upload(_copy: Any, source: Any, target: Any) -> None:
    content = source.read()
    target.write(content[: len(content) // 2])
    target.flush()
    die()


def fail_in_upload(copy: Any, source: Any, target: Any) -> None:
    with full_disk():
        copy(source, target)
        target.flush()


def in_tta() -> Any:
    from tune_paddy.training import views

    return patch.object(views, "augment", lambda *_: die())


def clock_back() -> Any:
    """Set this process's clock back by an hour in the second epoch."""
    true, back = time.time, [0]
    stack = ExitStack()
    stack.enter_context(patch.object(time, "time", lambda: true() - back[0]))
    stack.enter_context(patch.object(time, "time_ns", lambda: int(1e9 * (true() - back[0]))))
    stack.enter_context(in_second_epoch(lambda _: back.__setitem__(0, HOUR)))
    return stack


BREAKS: dict[str, Callable[[], Any]] = {
    "kill in training": lambda: in_second_epoch(lambda _: die()),
    "kill in TTA": in_tta,
    "kill in a checkpoint": lambda: in_second_checkpoint(die_in_checkpoint),
    "hold in a checkpoint": lambda: in_second_checkpoint(hold_in_checkpoint),
    "kill in an upload": lambda: in_upload(die_in_upload),
    "hang": lambda: in_second_epoch(hang),
    "wait": lambda: in_second_epoch(wait),
    "frozen process": lambda: in_second_epoch(freeze),
    "NaN": lambda: in_second_epoch(lose_loss),
    "full disk in a checkpoint": lambda: in_second_checkpoint(fail_in_checkpoint),
    "full disk in an upload": lambda: in_upload(fail_in_upload),
    "clock set back": clock_back,
}


def fault_of_attempt(number: int) -> str | None:
    """Return the fault of a trial that begins now; a file has the faults that have begun, one a line."""
    mark = LOG / f"fault-{number}"
    begun = mark.read_text().splitlines() if mark.exists() else []
    faults = FAULTS.get(str(number), "").split(THEN)[len(begun) :]
    if not faults or not faults[0]:
        return None
    mark.write_text("".join(f"{fault}\n" for fault in [*begun, faults[0]]))
    return str(faults[0])


def break_trials(trainable: ModuleType) -> None:
    """Wrap the function that runs a trial: log its epochs, and inject its fault."""
    run = trainable._run_locked

    def run_locked(trial: Any, *arguments: Any, **options: Any) -> None:
        from tune_paddy.training.epochs.watch import EpochWatch

        begin = EpochWatch.before_train

        def before_train(watch: Any) -> None:
            begin(watch)
            with (LOG / "epochs").open("a") as file:
                file.write(f"{trial.number} {watch.first + watch.learn.epoch + 1}\n")

        fault = fault_of_attempt(trial.number)
        with ExitStack() as stack:
            stack.enter_context(patch.object(EpochWatch, "before_train", before_train))
            if fault is not None:
                stack.enter_context(BREAKS[fault]())
            run(trial, *arguments, **options)

    trainable._run_locked = run_locked


def log_shards(entry: ModuleType) -> None:
    """Log the files of image caches that are written."""
    write = entry.write_shard

    def write_shard(path: Path, *arguments: Any) -> None:
        with (LOG / "shards").open("a") as file:
            file.write(f"{path}\n")
        write(path, *arguments)

    entry.write_shard = write_shard


def draw_nothing(figures: ModuleType) -> None:
    """Leave out the figures of the selection that ends a search; they take seconds."""
    figures.draw_figures = lambda *_: {}  # type: ignore[attr-defined]


WRAPPED = {
    "tune_paddy.search.trainable": break_trials,
    "tune_paddy.data.image_cache.entry": log_shards,
    "tune_paddy.ensemble.reports.figures": draw_nothing,
}
"""Module → function that changes it as soon as it has been imported."""


class Finder(importlib.abc.MetaPathFinder):
    """Changes the modules in `WRAPPED`."""

    def find_spec(self, name: str, path: Any, target: Any = None) -> Any:
        change = WRAPPED.pop(name, None)
        if change is None:
            return None
        spec = importlib.util.find_spec(name)
        load = spec.loader.exec_module

        def exec_module(module: ModuleType) -> None:
            load(module)
            change(module)

        spec.loader.exec_module = exec_module
        return spec


if "FAULTS_LOG" in os.environ:
    sys.meta_path.insert(0, Finder())
