"""Plan the space of a search from the images, this machine and the time that is left."""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tune_paddy.core.config import SearchSettings
from tune_paddy.core.errors import InputError
from tune_paddy.core.timing.cost import Workload
from tune_paddy.core.timing.forecast import spoken
from tune_paddy.core.timing.speed import TimedNetwork
from tune_paddy.core.timing.workload import workload
from tune_paddy.data.dataset import Dataset
from tune_paddy.data.split import folds_of
from tune_paddy.data.system.progress.stages import SILENT, Progress
from tune_paddy.search.building.machine import machine_here, timed_machine
from tune_paddy.search.building.typical import SAMPLED, typical_images
from tune_paddy.search.resources import uncounted_gpus
from tune_paddy.search.timing.budget import TimeBudget
from tune_paddy.search.timing.dry_run import OPENING
from tune_paddy.spaces.building.build import build_space, source_spaces
from tune_paddy.spaces.building.facts import Facts
from tune_paddy.spaces.space import SearchSpace

TIMING_SHARE, LEAST_TIMING, MOST_TIMING = 0.03, 5.0, 30.0
"""Time for timing steps: its share of the budget, the least and the most of it in s."""

IMPORTS = 2.0
"""Start of Ray and of its workers, in imports of torch by this process."""

RESIZINGS = 3
"""Number of sizes that images are decoded for: two of a sub-space, and that of frozen members."""


@dataclass(frozen=True)
class PlannedSpace:
    """A space that was built for a search.

    Attributes:
        space: The space.
        lines: What it trains in its time and what it leaves out, one line each.
        timed: Timed networks, from which its members are forecast.
        decode: Time to read one image from its file on one thread, in s.
    """

    space: SearchSpace
    lines: tuple[str, ...]
    timed: tuple[TimedNetwork, ...]
    decode: float


def plan_space_here(
    dataset: Dataset,
    settings: Mapping[str, Any],
    *,
    started: float,
    imports: float,
    weights_dir: Path | None = None,
    progress: Progress = SILENT,
    clock: Callable[[], float] = time.monotonic,
) -> PlannedSpace:
    """Build the space of a search.

    Args:
        dataset: Labelled images and test images.
        settings: Settings that the user chose; `minutes` must be among them.
        started: Start of the command by the clock, in s.
        imports: Duration of the import of torch, in s: a measure of how busy the machine is.
        weights_dir: Folder of pretrained weights, or None.
        progress: Receiver of the stages.
        clock: Monotonic clock, in seconds.

    Raises:
        InputError: The time is too short for a member, nothing fits the memory, no network can be used, or
            the settings contradict the dataset's split.
    """
    chosen = SearchSettings().override(settings)
    settings = {name: getattr(chosen, name) for name in settings}  # a command gives texts
    folds = folds_of(dataset, chosen.folds, chosen="folds" in settings)
    chosen = chosen.override({"folds": folds})
    minutes = float(settings["minutes"])
    _check_start(minutes, clock() - started)
    progress.stage("looking at the images and this machine")
    paths = [
        str(path)
        for path in dataset.labelled["path"].sample(min(SAMPLED, len(dataset.labelled)), random_state=0)
    ]
    counts = {"labelled": len(dataset.labelled), "test": len(dataset.test), "classes": len(dataset.classes)}
    refused, to_download = _weights(settings, weights_dir)
    facts = Facts(
        images=typical_images(paths, **counts),
        load=_load(dataset, chosen),
        machine=machine_here(settings, uncounted_gpus()),
        minutes=minutes,
        seconds=0.0,
        refused=refused,
        to_download=to_download,
        settings={name: value for name, value in settings.items() if name != "minutes"},
    )
    limit = min(max(TIMING_SHARE * 60 * minutes, LEAST_TIMING), MOST_TIMING)
    machine, decode = timed_machine(facts, paths, limit=limit, progress=progress)
    progress.clear()
    load = _load(dataset, chosen.override({"cpus": machine.cpus}), decode)
    # A cache holds each image at each size before the first member; without one, members read the files.
    cached = RESIZINGS * (counts["labelled"] + counts["test"]) if load.cached else 0
    opened = clock() + OPENING + IMPORTS * imports + cached * decode / (machine.cpus * machine.at_once)
    budget = TimeBudget(started, 60 * minutes, opened=opened, clock=clock)
    facts = replace(facts, load=load, machine=machine, seconds=budget.training_end - opened)
    built = build_space(facts)
    return PlannedSpace(built.space, built.lines, machine.timed, decode)


def _load(dataset: Dataset, chosen: SearchSettings, decode: float = 0.0) -> Workload:
    """Return the images that one model of a search reads, with the split that a column defines."""
    select = None if dataset.given is None else sum(dataset.given.selected)
    return workload(chosen, len(dataset.labelled), select=select, test=len(dataset.test), decode=decode)


def _check_start(minutes: float, spent: float) -> None:
    """Refuse a time budget that the start alone has used up.

    Args:
        minutes: Time budget of the search, in minutes.
        spent: Duration of the start so far, in s.

    Raises:
        InputError: It has.
    """
    if TimeBudget(0.0, 60 * minutes, clock=lambda: spent).left() <= 0:
        needed = math.ceil(10 * spent / 60)
        raise InputError(
            f"`minutes={minutes:g}`: the start alone has taken {spoken(spent)} on this machine; give "
            f"`minutes={needed}` or more",
            options=("minutes",),
        )


def _weights(settings: Mapping[str, Any], weights_dir: Path | None) -> tuple[dict[str, str], frozenset[str]]:
    """Return the architectures that cannot be used, each with the reason, and those to download."""
    from tune_paddy.training.networks.licences import commercial_refusal  # noqa: PLC0415 torch takes seconds
    from tune_paddy.training.networks.pretrained import weights_at_hand  # noqa: PLC0415

    archs = dict.fromkeys(
        arch for name in ("strong", "light") for arch in source_spaces()[name].architectures()
    )
    here, reachable = weights_at_hand(archs, weights_dir)
    missing = [arch for arch in archs if arch not in here]
    why = "have no pretrained weights on this machine, and the hub does not respond"
    refused = {} if reachable else dict.fromkeys(missing, why)
    if settings.get("licences") == "commercial":
        unfree = ((arch, commercial_refusal(arch, True)) for arch in archs)
        refused |= {arch: "are not under a commercial licence" for arch, reason in unfree if reason}
    return refused, frozenset(missing) - refused.keys()
