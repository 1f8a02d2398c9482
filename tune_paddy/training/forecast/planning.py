"""Choose a member's accum and GPU share from its forecast, before a search and for each trial."""

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch

from tune_paddy.core.calibration import Calibration
from tune_paddy.core.config import MemberConfig
from tune_paddy.core.domains import SubSpace, candidates, largest, side_or_pair
from tune_paddy.core.errors import InputError
from tune_paddy.core.gpus import Share, gpu_mib
from tune_paddy.core.memory import (
    Footprint,
    MemoryBudget,
    MemoryPlan,
    TrialMemory,
    allocator_mib,
    batch_norm_warning,
    plan_accum,
    plan_fraction,
)
from tune_paddy.core.timing.cost import MemberTime
from tune_paddy.core.views import SYMMETRIES
from tune_paddy.spaces.space import SearchSpace
from tune_paddy.training.forecast.calibration_files import choose_calibration, load_calibration
from tune_paddy.training.forecast.footprint import forecast
from tune_paddy.training.gpu_memory import load_nvml, visible_gpu

_ROW_PARAMETERS = ("arch", "size", "resize_size", "batch_size", "accum", "precision", "optimizer", "head")
"""Parameters that determine a footprint; a plan lists every combination of their values."""


_TIME_PARAMETERS = ("epochs", "freeze_epochs", "subsample", "tta", "ema")
"""Parameters that multiply the time of a member, or its memory; a plan takes the largest value of each."""


@dataclass(frozen=True)
class Gpu:
    """The GPU that trials are planned for.

    Attributes:
        mib: Memory of the GPU, in MiB.
        calibration: Calibration that converts a footprint into the memory of a process on this GPU.
        stated: Whether the user specified the memory, which may be less than the installed GPU has.
    """

    mib: float
    calibration: Calibration
    stated: bool = False


@dataclass(frozen=True)
class MemoryRow:
    """One line of a memory plan: a member, or one combination of a sub-space's values.

    Attributes:
        origin: Name of the recipe or the sub-space.
        config: Configuration of a member with these values.
        footprint: Forecast footprint of the member.
        at_one: Plan with accum 1 on the whole GPU, whether it fits or not.
        plan: Plan that fits, or the closest one.
        time: Forecast time of the member; None: it is not known.
    """

    origin: str
    config: MemberConfig
    footprint: Footprint
    at_one: MemoryPlan
    plan: MemoryPlan
    time: MemberTime | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {
            "origin": self.origin,
            "arch": self.config.arch,
            "schedule": self.config.schedule,
            "size": list(self.config.size),
            "batch_size": self.config.batch_size,
            "precision": self.config.precision,
            "parameters": self.footprint.parameters,
            "forecast_at_accum_1_mib": round(self.at_one.forecast_mib, 1),
            **{name: round(value, 1) if name.endswith("_mib") else value for name, value in self._plan()},
            "warning": self.warning,
            "seconds_per_epoch": None if self.time is None else round(self.time.epoch, 3),
            "seconds": None if self.time is None else round(self.time.total, 3),
            "time_from": None if self.time is None else self.time.source,
        }

    @property
    def warning(self) -> str | None:
        """Warning about the plan for the user, or None."""
        plan = self.plan
        return batch_norm_warning(plan.micro_batch, plan.accum) if self.footprint.batch_norm else None

    def _plan(self) -> Iterator[tuple[str, Any]]:
        yield from asdict(self.plan).items()
        yield from (("fits", self.plan.fits), ("margin_mib", self.plan.margin_mib))
        yield "at_once", self.plan.at_once if self.plan.fits else 0


def find_gpu(name: str | None = None, mib: float | None = None, calibration: str | None = None) -> Gpu:
    """Describe a GPU by its memory or its name, or detect the installed one.

    Args:
        name: Name such as `Tesla P100`.
        mib: Memory in MiB; if a name is given too, the name chooses the calibration.
        calibration: Name or path of a calibration; None: the one measured on this GPU, else the generic one.

    Raises:
        InputError: Neither is given and there is no GPU, or the name or calibration is unknown.
    """
    stated = name is not None or mib is not None
    if not stated:
        try:
            name, mib = _gpu_at_hand()
        except InputError as error:
            raise InputError(
                f"{error}, or its name, such as `gpu='Tesla P100'`", options=(*error.options, "gpu")
            ) from error
    memory = float(gpu_mib(name)) if mib is None and name is not None else mib
    if calibration is not None:
        chosen = load_calibration(calibration)
    else:
        chosen = choose_calibration(name, torch.__version__)
    return Gpu(memory or 0.0, chosen, stated=stated)


def find_trials_gpu(mib: float | None = None) -> Gpu:
    """Describe the GPU of a search's trials: the installed one, limited to `mib` if given.

    The installed GPU's calibration applies whatever the limit. Without a GPU here, as for a cluster, the
    generic calibration applies.

    Args:
        mib: Memory that trials may use, in MiB; None: the whole GPU.

    Raises:
        InputError: `mib` is None and there is no GPU.
    """
    try:
        name, whole_mib = _gpu_at_hand()
    except InputError:
        if mib is None:
            raise
        return find_gpu(mib=mib)
    calibration = choose_calibration(name, torch.__version__)
    return Gpu(whole_mib if mib is None else mib, calibration, stated=mib is not None)


def known_gpu(name: str, mib: float) -> Gpu:
    """Describe a GPU of another machine by what its driver reports: its name, and its memory in MiB."""
    return Gpu(mib, choose_calibration(name, torch.__version__))


def plan_trial(
    config: MemberConfig, gpu: Gpu | None, share: Share, *, n_classes: int, max_accum: int | None = None
) -> TrialMemory:
    """Plan the memory of one trial; a fixed accum or share stays, the rest is chosen.

    Args:
        config: Configuration of the member.
        gpu: GPU that the member trains on; None: CPU.
        share: Share of a GPU per trial, or auto.
        n_classes: Number of classes of the dataset.
        max_accum: Largest accum to choose; None: down to a micro-batch of one image.

    Raises:
        InputError: Unknown arch, or a size that it does not accept.
    """
    if gpu is None or share == 0:
        return TrialMemory(0.0, config.accum if isinstance(config.accum, int) else 1)
    footprint = member_footprint(config, gpu, n_classes=n_classes)
    plan = plan_member(config, footprint, gpu, share, max_accum=max_accum)
    return TrialMemory(
        gpu=plan.fraction if share == "auto" else float(share),
        accum=plan.accum,
        allocator_mib=_cap_mib(gpu, plan.fraction),
        context_mib=gpu.calibration.context_mib,
        raw_mib=plan.raw_mib,
        forecast_mib=plan.forecast_mib,
        budget_mib=plan.budget_mib,
    )


def plan_unforecast_trial(config: MemberConfig, gpu: Gpu, share: Share) -> TrialMemory:
    """Limit a trial without a forecast to its share: it may raise accum, but not harm other trials.

    Args:
        config: Configuration of the member.
        gpu: GPU that the member trains on.
        share: Share of a GPU per trial; auto: the whole GPU, since nothing shows that less suffices.
    """
    fraction = 1.0 if share == "auto" else float(share)
    return TrialMemory(
        gpu=fraction,
        accum=config.accum if isinstance(config.accum, int) else 1,
        allocator_mib=_cap_mib(gpu, fraction),
        context_mib=gpu.calibration.context_mib,
        budget_mib=MemoryBudget(gpu.mib, fraction).mib,
    )


def plan_member(
    config: MemberConfig, footprint: Footprint, gpu: Gpu, share: Share, *, max_accum: int | None = None
) -> MemoryPlan:
    """Choose a member's open values: accum within a fixed share, the smallest share, or both."""
    wanted = config.accum if isinstance(config.accum, int) else 1
    most = config.accum if isinstance(config.accum, int) else max_accum
    if share == "auto":
        return plan_fraction(
            footprint, gpu.calibration, gpu.mib, config.batch_size, accum=wanted, max_accum=most
        )
    budget = MemoryBudget(gpu.mib, float(share))
    return plan_accum(footprint, gpu.calibration, budget, config.batch_size, accum=wanted, max_accum=most)


def member_footprint(
    config: MemberConfig, gpu: Gpu, *, n_classes: int, unfused: bool | None = None
) -> Footprint:
    """Forecast a member's footprint on a GPU, where precision `auto` means half precision.

    Raises:
        InputError: Unknown arch, or a size that it does not accept.
    """
    return forecast(
        config.arch,
        config.size,
        precision="bf16" if config.precision == "auto" else config.precision,
        optimizer=config.optimizer,
        ema=config.ema > 0,
        n_classes=n_classes,
        item_size=config.item_size,
        unfused=gpu.calibration.unfused_attention if unfused is None else unfused,
        head=config.head,
        frozen=config.frozen,
        large_view=config.large_view,
    )


def plan_space(
    space: SearchSpace,
    gpu: Gpu,
    share: Share,
    *,
    n_classes: int = 10,
    max_accum: int | None = None,
    unfused: bool | None = None,
) -> Iterator[MemoryRow]:
    """Plan every recipe, and every combination of a sub-space's values that determine the footprint.

    The largest value represents a range.

    Raises:
        InputError: Unknown arch, or a size that it does not accept.
    """
    for origin, config in _members(space):
        footprint = member_footprint(config, gpu, n_classes=n_classes, unfused=unfused)
        whole = MemoryBudget(gpu.mib)
        at_one = plan_accum(footprint, gpu.calibration, whole, config.batch_size, max_accum=1)
        plan = plan_member(config, footprint, gpu, share, max_accum=max_accum)
        yield MemoryRow(origin, config, footprint, at_one, plan)


def _cap_mib(gpu: Gpu, fraction: float) -> float | None:
    """Return the allocator's limit in MiB for the trial's share; None for a whole, not stated GPU."""
    if fraction >= 1 and not gpu.stated:
        return None
    return allocator_mib(MemoryBudget(gpu.mib, fraction), gpu.calibration)


def _members(space: SearchSpace) -> Iterator[tuple[str, MemberConfig]]:
    for recipe in space.recipes:
        yield recipe.name, MemberConfig(**recipe.values)
    for sub in space.spaces:
        yield from ((sub.name, config) for config in _combinations(sub))


def _combinations(sub: SubSpace) -> list[MemberConfig]:
    names = [name for name in _ROW_PARAMETERS if name in sub.domains]
    values = [candidates(sub.domains[name]) for name in names]
    most = {name: largest(sub.domains[name]) for name in _TIME_PARAMETERS if name in sub.domains}
    most |= _most_views(sub)
    if "schedule" in sub.domains:
        names, values = [*names, "schedule"], [*values, _schedules(candidates(sub.domains["schedule"]))]
    configs = [
        MemberConfig(**dict(zip(names, chosen, strict=True)), **most) for chosen in itertools.product(*values)
    ]
    return list(dict.fromkeys(configs))


def _schedules(choices: Sequence[str]) -> tuple[str, ...]:
    """Return the schedules that get a row: the longest of trained members, and that of frozen ones.

    >>> _schedules(("one_cycle", "fine_tune")), _schedules(("frozen", "one_cycle"))
    (('fine_tune',), ('one_cycle', 'frozen'))
    """
    trained = [name for name in ("fine_tune", "one_cycle") if name in choices]
    return (*trained[:1], *(name for name in choices if name == "frozen"))


def _most_views(sub: SubSpace) -> dict[str, Any]:
    """Return the values of the parameters of views that take the most passes."""
    costliest: dict[str, Callable[[Sequence[Any]], Any]] = {
        "flip": lambda values: max(values, key=SYMMETRIES.__getitem__),
        "flip_view": any,
        "large_view": max,
        "zoom_view": min,
    }
    return {
        name: pick(candidates(sub.domains[name])) for name, pick in costliest.items() if name in sub.domains
    }


def size_words(size: tuple[int, int]) -> str:
    """Format a size as in a search space: 224, or 320x224 (height x width)."""
    shown = side_or_pair(size)
    return f"{shown[0]}x{shown[1]}" if isinstance(shown, tuple) else str(shown)


def _gpu_at_hand() -> tuple[str, float]:
    """Return the name and usable MiB of the first GPU that this process sees."""
    try:
        return visible_gpu(load_nvml())
    except InputError as error:
        raise InputError(
            f"this machine has no GPU ({error}); give the memory of yours in MiB, such as `gpu_memory=16280`",
            options=("gpu_memory",),
        ) from error
