"""Describe this machine for a built space: its GPU or CPUs, its memory, and the speed of a few networks."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from tune_paddy.core.config import MemberConfig, SearchSettings
from tune_paddy.core.domains import SubSpace, candidates
from tune_paddy.core.errors import InputError
from tune_paddy.core.memory import MIB
from tune_paddy.core.timing.kinds import kind_of
from tune_paddy.core.timing.speed import TimedNetwork
from tune_paddy.data.system.memory import free_memory
from tune_paddy.data.system.progress.stages import Progress
from tune_paddy.search.resources import check_resources, resources_here
from tune_paddy.spaces.building.build import build_space, source_spaces
from tune_paddy.spaces.building.builder import FURTHER_SIDES, shared_parameters
from tune_paddy.spaces.building.estimates import FREE, Estimates, largest_side
from tune_paddy.spaces.building.facts import Facts, Machine
from tune_paddy.spaces.building.networks import known_network

SHARED_MIB = 40_000
"""Memory of a GPU from which trials share it, in MiB."""

TRIAL_MIB = 2500.0
"""Assumed memory of a trial of small networks on CPUs, in MiB; see `benchmarks/LOG.md`."""

MOST_CPUS, MOST_AT_ONCE = 8, 8
"""Most CPUs of a trial, and most concurrent trials on CPUs."""

AUTO_PLACES = 4
"""Trials that are expected to share a GPU with `gpu: auto`, if there are CPUs for them."""

AMPLE = 1e30
"""Time that suffices for any member while the speed of the machine is not known, in any unit."""

_PLACES: Mapping[bool, tuple[tuple[bool, float], ...]] = {
    True: ((False, 0.1), (False, 0.5), (False, 0.9), (True, 0.5)),
    False: ((False, 0.0), (False, 0.3), (True, 0.2)),
}
"""On a GPU or not → (frozen, place among the networks by operations from 0 to 1) of those that are timed."""


def machine_here(settings: Mapping[str, Any], ray_gpus: int | None) -> Machine:
    """Describe this machine, without its speed.

    Args:
        settings: Settings that the user chose: setting → value.
        ray_gpus: Number of GPUs that Ray cannot count itself; None: Ray counts them.

    Raises:
        InputError: A trial needs more than this machine has, or the memory of its GPU is unknown.
    """
    available = resources_here(ray_gpus)
    if available is None:
        raise InputError("the GPUs of this machine cannot be counted; give `space`", options=("space",))
    chosen = SearchSettings().override(settings)
    cpus, gpus = int(available["CPU"]), int(available["GPU"])
    if settings.get("gpu", gpus) == 0:
        machine = _on_cpus(cpus, settings)
    else:
        check_resources(chosen.override({"gpu": settings.get("gpu", 1)}), available)  # without a GPU, too
        machine = _on_gpus(cpus, gpus, chosen, settings)
    known = chosen.override({"cpus": settings.get("cpus", machine.cpus), "gpu": machine.gpu})
    at_once = check_resources(known, available)  # refuses what Ray could never place
    return replace(machine, at_once=min(machine.at_once, at_once))


def _on_cpus(cpus: int, settings: Mapping[str, Any]) -> Machine:
    memory = free_memory() / MIB
    wanted = settings.get("concurrency") or min(MOST_AT_ONCE, max(1, int(FREE * memory / TRIAL_MIB)))
    own = settings.get("cpus")
    at_once = max(1, min(wanted, int(cpus / own) if own else cpus))
    own_cpus = max(1, int(own)) if own else max(1, min(MOST_CPUS, cpus // at_once))
    return Machine(own_cpus, at_once, memory, ())


def _on_gpus(cpus: int, gpus: int, chosen: SearchSettings, settings: Mapping[str, Any]) -> Machine:
    from tune_paddy.training.forecast.planning import find_trials_gpu  # noqa: PLC0415 torch takes seconds

    gpu = find_trials_gpu(chosen.gpu_memory)
    share = settings.get("gpu", "auto" if gpu.mib >= SHARED_MIB else 1)
    part = 1.0 if share == "auto" else float(share)
    places = gpus * (AUTO_PLACES if share == "auto" else math.floor(1 / part + 1e-9))
    own = settings.get("cpus", max(1, min(MOST_CPUS, cpus // places)))
    at_once = min(places, settings.get("concurrency") or places)
    memory = free_memory() / MIB
    room, cpus = part * gpu.mib, max(1, int(own))
    return Machine(cpus, at_once, memory, (), share, gpus, room, calibration=gpu.calibration)


def timed_machine(
    facts: Facts, paths: Sequence[str], *, limit: float, progress: Progress
) -> tuple[Machine, float]:
    """Time the steps of a few networks; return the machine with their costs, and the time to decode an image.

    Args:
        facts: The facts, whose machine has not been timed.
        paths: Image files of the dataset.
        limit: Time after which no further network is timed, in s.
        progress: Receiver of the stages.

    Raises:
        InputError: Nothing fits the memory, no network can be used, or none could be timed.
    """
    from tune_paddy.training.timing.kinds import time_kinds  # noqa: PLC0415 torch takes seconds

    machine, estimates = facts.machine, Estimates(facts)
    configs = list(_to_time(facts, estimates))
    if not configs:
        build_space(replace(facts, seconds=AMPLE))  # whose refusal names the obstacle
    found = time_kinds(
        configs,
        paths,
        n_classes=facts.images.classes,
        cpus=machine.cpus,
        allow_gpu=machine.on_gpu,
        accum_of=estimates.accum,
        limit=limit,
        progress=progress,
        operations_of=_operations,
    )
    crowd = _crowd(machine)
    timed = tuple(
        TimedNetwork(_operations(kind), kind.frozen, found.costs[kind].scaled(crowd)) for kind in found.timed
    )
    if not timed:
        reason = next(iter(found.skipped.values()), "no network fits the images and the memory")
        raise InputError(f"no network can be timed: {reason}; give `space`", options=("space",))
    return replace(machine, timed=timed), found.decode


def _to_time(facts: Facts, estimates: Estimates) -> Iterator[MemberConfig]:
    """Yield the members that are timed: from a small network to a large one, and a frozen one."""
    known = sorted(set(_usable(facts, estimates, pretrained=True)), key=_operations)
    known = known or sorted(set(_usable(facts, estimates, pretrained=False)), key=_operations)
    for frozen, place in _PLACES[facts.machine.on_gpu] if known else ():
        config = known[round(place * (len(known) - 1))]
        if not frozen or config.pretrained is True:
            yield kind_of(config.model_copy(update={"schedule": "frozen"})) if frozen else config


def _usable(facts: Facts, estimates: Estimates, *, pretrained: bool) -> Iterator[MemberConfig]:
    """Yield a member of each network that fits the images and the memory, at its smallest sharp size."""
    shared = shared_parameters(facts, pretrained=pretrained)
    most = largest_side(facts.images, pretrained=pretrained)
    names = ("strong", "light") if pretrained else ("scratch",)
    for sub in (sub for name in names for sub in source_spaces()[name].spaces):
        for arch in candidates(sub.domains["arch"]):
            sides = () if arch in facts.refused else _sides(sub, most)
            known = (estimates.of(**shared, arch=arch, size=side) for side in sides)
            fitting = next((one for one in known if one is not None and one.fits), None)
            if fitting is not None:
                yield fitting.config


def _sides(sub: SubSpace, most: float) -> list[int]:
    """Return the sides to time a sub-space's networks at: the smallest sharp one, then those that need less.

    Args:
        sub: Sub-space of a shipped space.
        most: Largest side that the images justify, in px.
    """
    sharp = min(side for side in candidates(sub.domains["size"]) if isinstance(side, int))
    if sharp > most and sub.name in ("light", "scratch"):  # whose networks take any side
        sharp = 32 * max(1, int(most // 32))
    further = sorted(FURTHER_SIDES.get(sub.name, ()), reverse=True)
    return [side for side in (sharp, *further) if side <= min(sharp, most)]


def _operations(config: MemberConfig) -> int:
    """Return the operations of a measured network."""
    network = known_network(config.arch, config.size)
    return 0 if network is None else network.operations


def _crowd(machine: Machine) -> float:
    """Return by how much concurrent trials slow each other."""
    if machine.on_gpu:
        return max(1.0, machine.at_once / machine.gpus)
    from tune_paddy.training.timing.contention import cpu_slowdown  # noqa: PLC0415 torch takes seconds

    return cpu_slowdown(machine.at_once, machine.cpus)
