"""Resources of a machine or cluster, and how many trials they can run concurrently."""

import math
import platform
import sys
from collections.abc import Mapping, Sequence

from tune_paddy.core.config import SearchSettings
from tune_paddy.core.errors import InputError
from tune_paddy.data.system.cpus import usable_cpus
from tune_paddy.data.system.text import counted
from tune_paddy.search.ray.internals import count_gpus


def check_resources(settings: SearchSettings, available: Mapping[str, float]) -> int:
    """Return the number of concurrent trials; refuse a search whose trials would wait for ever.

    Args:
        settings: CPUs and GPUs of one trial, and `concurrency`.
        available: Ray's resources of the whole cluster: `CPU`, `GPU`.

    Returns:
        Number of concurrent trials, at least 1. If shares of a GPU differ, Ray delays trials that do not fit.

    Raises:
        InputError: A single trial needs more than the cluster has.
    """
    cpus, gpus = available.get("CPU", 0), available.get("GPU", 0)
    if settings.cpus > cpus:
        raise InputError(
            f"a trial asks for {counted(settings.cpus, 'CPU')}, of {cpus:g} in total; lower `cpus`",
            options=("cpus",),
        )
    wanted = 1 if settings.gpu == "auto" else settings.gpu
    if wanted > gpus:
        raise InputError(
            f"a trial asks for {counted(wanted, 'GPU')}, of {gpus:g} in total; use `gpu=0` to train on the "
            "CPU",
            options=("gpu",),
        )
    fits = math.floor(cpus / settings.cpus + 1e-9)
    if settings.gpu != "auto" and settings.gpu > 0:
        fits = min(fits, _fit_on_gpus(settings.gpu, gpus))
    return min(fits, settings.concurrency or fits)


def check_machines(settings: SearchSettings, machines: Sequence[Mapping[str, float]]) -> int:
    """Return the number of concurrent trials on several machines; a trial never spans two of them.

    Args:
        settings: CPUs and GPUs of one trial, and `concurrency`.
        machines: Ray's resources of each machine: `CPU`, `GPU`.

    Raises:
        InputError: A single trial needs more than any machine has; as `check_resources`.
    """
    fits, refusals = 0, []
    # The machine that comes closest is the one that a refusal names.
    closest = sorted(machines, key=lambda one: (-one.get("GPU", 0), -one.get("CPU", 0)))
    for machine in closest:
        try:
            fits += check_resources(settings.model_copy(update={"concurrency": None}), machine)
        except InputError as error:
            refusals.append(error)
    if not fits:
        raise refusals[0]
    return min(fits, settings.concurrency or fits)


def idle_gpus_note(settings: SearchSettings, available: Mapping[str, float]) -> str | None:
    """Return a note on GPUs that no trial uses; None if there are none or `gpu` was set explicitly.

    Args:
        settings: Settings from the space and the options; unset fields are defaults.
        available: Ray's resources of the whole cluster: `CPU`, `GPU`.
    """
    gpus = available.get("GPU", 0)
    if not gpus or "gpu" in settings.model_fields_set:
        return None
    return f"No trial uses the available GPUs ({gpus:g}); set `gpu: auto` to use them, `gpu: 0` to use none"


def _fit_on_gpus(share: float, gpus: float) -> int:
    """Return the number of trials that fit; a share never spans two GPUs."""
    return math.floor(1 / share + 1e-9) * math.floor(gpus)


def resources_here(num_gpus: int | None) -> dict[str, float] | None:
    """Count the resources of this machine as Ray does, without starting it.

    Args:
        num_gpus: Number of GPUs to start Ray with; None: Ray counts them.

    Returns:
        `CPU` and `GPU`; None if only a running Ray can count them.
    """
    gpus = count_gpus() if num_gpus is None else num_gpus
    return None if gpus is None else {"CPU": usable_cpus(), "GPU": gpus}


def uncounted_gpus() -> int | None:
    """Return 1 on Apple silicon, whose GPU Ray cannot count; None elsewhere: Ray counts."""
    return 1 if platform.machine() == "arm64" and sys.platform == "darwin" else None
