"""Share of a GPU of each trial."""

from collections.abc import Callable

from tune_paddy.core.config import MemberConfig, SearchSettings
from tune_paddy.core.errors import TunePaddyError
from tune_paddy.core.memory import TrialMemory


def without_gpu(config: MemberConfig) -> TrialMemory:
    """Return a plan without a GPU, with the accum of the member's configuration."""
    return TrialMemory(0.0, config.accum if isinstance(config.accum, int) else 1)


def trial_planner(settings: SearchSettings, n_classes: int) -> Callable[[MemberConfig], TrialMemory]:
    """Return a function that decides a member's share of a GPU, its accum and its memory limit.

    Args:
        settings: Settings of the search.
        n_classes: Number of classes of the dataset.

    Raises:
        InputError: The memory of the GPU is unknown, and `gpu_memory` is not set.
    """
    if settings.gpu == 0:
        return without_gpu
    from tune_paddy.training.forecast.planning import (  # noqa: PLC0415 torch takes seconds
        find_trials_gpu,
        plan_trial,
        plan_unforecast_trial,
    )

    gpu = find_trials_gpu(settings.gpu_memory)

    def plan_memory(config: MemberConfig) -> TrialMemory:
        try:
            return plan_trial(config, gpu, settings.gpu, n_classes=n_classes, max_accum=settings.max_accum)
        except TunePaddyError:
            # A failed forecast does not end a search: the trial itself reports the error.
            return plan_unforecast_trial(config, gpu, settings.gpu)

    return plan_memory
