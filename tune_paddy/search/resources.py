"""What a trial is given, and whether this machine or cluster can give it."""

import math
import platform
import sys
from collections.abc import Mapping

from tune_paddy.core.config import SearchSettings
from tune_paddy.core.errors import InputError
from tune_paddy.data.system.cpus import usable_cpus
from tune_paddy.data.system.text import counted
from tune_paddy.search.ray.internals import count_gpus


def check_resources(settings: SearchSettings, available: Mapping[str, float]) -> int:
    """Say how many trials run at once; refuse a search whose trials would wait for ever.

    Args:
        settings: CPUs and GPUs of one trial, and the wish for concurrency.
        available: Ray's resources of the whole cluster: `CPU`, `GPU`.

    Returns:
        Trials at once, at least 1; where each trial's share differs, Ray holds back what does not fit.

    Raises:
        InputError: One trial alone asks for more than there is.
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


def idle_gpus_note(settings: SearchSettings, available: Mapping[str, float]) -> str | None:
    """Say that there are GPUs which no trial uses, where nobody has asked for that; else None.

    Args:
        settings: As read from the space and the flags; what they leave out is a default.
        available: Ray's resources of the whole cluster.
    """
    gpus = available.get("GPU", 0)
    if not gpus or "gpu" in settings.model_fields_set:
        return None
    return f"Trials use none of the GPUs here ({gpus:g}); `gpu: auto` gives each what it needs, `gpu: 0` none"


def _fit_on_gpus(share: float, gpus: float) -> int:
    """Trials that fit on whole GPUs: a share below 1 never spans two of them."""
    if share >= 1:
        return math.floor(gpus / share)
    return math.floor(1 / share + 1e-9) * math.floor(gpus)


def resources_here(num_gpus: int | None) -> dict[str, float] | None:
    """Count what Ray will have on this machine, as Ray does, without starting it.

    Args:
        num_gpus: GPUs that Ray is told of; None: it counts.

    Returns:
        `CPU` and `GPU`; None if they can be counted only after Ray has started.
    """
    gpus = count_gpus() if num_gpus is None else num_gpus
    return None if gpus is None else {"CPU": usable_cpus(), "GPU": gpus}


def uncounted_gpus() -> int | None:
    """GPUs of this machine that Ray cannot count itself: Apple's one; None: it counts."""
    return 1 if platform.machine() == "arm64" and sys.platform == "darwin" else None
