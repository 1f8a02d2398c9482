"""Share of a GPU of each trial."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

from tune_paddy.core.config import MemberConfig, SearchSettings
from tune_paddy.core.errors import TunePaddyError
from tune_paddy.core.memory import TrialMemory
from tune_paddy.search.cluster.gpu_models import GpuModel, ModelPlanner


class Planner(Protocol):
    """Decides a member's share of a GPU, its accum and its memory limit."""

    def __call__(self, config: MemberConfig, running: Sequence[TrialMemory] = ()) -> TrialMemory:
        """Return the plan of a trial.

        Args:
            config: Configuration of the member.
            running: Plans of the trials that have not ended.
        """


def without_gpu(config: MemberConfig, running: Sequence[TrialMemory] = ()) -> TrialMemory:  # noqa: ARG001 a `Planner`
    """Return a plan without a GPU, with the accum of the member's configuration."""
    return TrialMemory(0.0, config.accum if isinstance(config.accum, int) else 1)


def trial_planner(settings: SearchSettings, n_classes: int, models: Sequence[GpuModel] = ()) -> Planner:
    """Return a function that decides a member's share of a GPU, its accum and its memory limit.

    Args:
        settings: Settings of the search.
        n_classes: Number of classes of the dataset.
        models: Models of GPU of a cluster that has several; (): all GPUs count as equal.

    Raises:
        InputError: The memory of the GPU is unknown, and `gpu_memory` is not set.
    """
    if settings.gpu == 0:
        return without_gpu
    from tune_paddy.training.forecast.planning import (  # noqa: PLC0415 torch takes seconds
        Gpu,
        find_trials_gpu,
        known_gpu,
        plan_trial,
        plan_unforecast_trial,
    )

    def plan_for(config: MemberConfig, gpu: Gpu) -> TrialMemory:
        try:
            return plan_trial(config, gpu, settings.gpu, n_classes=n_classes, max_accum=settings.max_accum)
        except TunePaddyError:
            # A failed forecast does not end a search: the trial itself reports the error.
            return plan_unforecast_trial(config, gpu, settings.gpu)

    if models and settings.gpu_memory is None:
        gpus = {model.label: known_gpu(model.name, model.mib) for model in models}
        return ModelPlanner(
            models,
            lambda config, model: replace(plan_for(config, gpus[model.label]), accelerator=model.label),
        )
    gpu = find_trials_gpu(settings.gpu_memory)

    def plan_memory(config: MemberConfig, running: Sequence[TrialMemory] = ()) -> TrialMemory:  # noqa: ARG001
        return plan_for(config, gpu)

    return plan_memory
