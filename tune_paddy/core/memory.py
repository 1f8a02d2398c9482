"""Plan the GPU memory of trials: what a step takes, what a process then holds, and what fits a budget.

A footprint counts bytes exactly and knows no GPU; a calibration turns them into the memory of a process
on one GPU and software stack; a plan chooses gradient accumulation, a share of the GPU, or both.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from tune_paddy.core.calibration import Calibration
from tune_paddy.core.errors import InputError

MIB = 2**20
FRACTIONS = (1.0, 0.5, 0.25, 0.125)
"""Shares of a GPU that are planned with: few, since workers are reused only between equal shares."""
EVALUATION_FACTOR = 2
"""Images of an evaluation batch per image of a micro-batch: without gradients more of them fit."""
FEW_FOR_BATCH_NORM = 8
"""Images below which the statistics of a micro-batch are noisy enough to be worth a word."""


@dataclass(frozen=True)
class Footprint:
    """What training one member allocates, as bytes that follow linearly from the batch.

    Epochs with a frozen body need no figures of their own: they keep a part of the same gradients,
    moments and activations.

    Attributes:
        parameters: Number of trained values.
        state_bytes: Weights, buffers, gradients and the optimizer's moments.
        saved_bytes: Kept for the backward pass whatever the micro-batch: weights in half precision.
        saved_bytes_per_image: Kept for the backward pass, per image of the micro-batch.
        input_bytes_per_image: Augmented images, per image of the whole batch.
        eval_bytes: Held besides the state while evaluating: weights in half precision.
        eval_bytes_per_image: Most that is alive at once while evaluating, inputs included.
        micro_batch: Images of one forward pass, where nothing else is said.
        batch_norm: Whether the body norms each micro-batch by its own statistics.
    """

    parameters: int
    state_bytes: int
    saved_bytes: int
    saved_bytes_per_image: int
    input_bytes_per_image: int
    eval_bytes: int
    eval_bytes_per_image: int
    micro_batch: int = 1
    batch_norm: bool = False

    def train_bytes(self, micro_batch: int, batch_size: int) -> int:
        """Bytes at the peak of a training step, where its backward pass begins."""
        saved = self.saved_bytes + micro_batch * self.saved_bytes_per_image
        return self.state_bytes + saved + batch_size * self.input_bytes_per_image

    def evaluation_bytes(self, micro_batch: int) -> int:
        """Bytes at the peak of validation and test-time augmentation between training epochs."""
        images = EVALUATION_FACTOR * micro_batch
        return self.state_bytes + self.eval_bytes + images * self.eval_bytes_per_image

    def raw_mib(self, micro_batch: int | None = None, batch_size: int | None = None) -> float:
        """MiB at the higher of both peaks, before a calibration.

        Args:
            micro_batch: Images of one forward pass; None: the footprint's own.
            batch_size: Images of one optimizer step, all held augmented; None: the micro-batch.
        """
        micro_batch = micro_batch or self.micro_batch
        train = self.train_bytes(micro_batch, batch_size or micro_batch)
        return max(train, self.evaluation_bytes(micro_batch)) / MIB


@dataclass(frozen=True)
class MemoryBudget:
    """The memory that one trial may take.

    Attributes:
        gpu_mib: What the whole GPU offers.
        fraction: The trial's share of it, above 0 and up to 1.
    """

    gpu_mib: float
    fraction: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.gpu_mib < math.inf:
            raise InputError(f"a GPU of {self.gpu_mib:g} MiB holds nothing; give its memory in MiB, as 16280")
        if not 0 < self.fraction <= 1:
            raise InputError(f"a GPU fraction of {self.fraction:g} is not in (0, 1]")

    @property
    def mib(self) -> float:
        """The budget in MiB; each process's own CUDA context has to fit in it too."""
        return self.gpu_mib * self.fraction


@dataclass(frozen=True)
class Plan:
    """How one trial runs within its budget, or that it cannot.

    Attributes:
        accum: Micro-batches of an optimizer step.
        micro_batch: Images of the largest of them.
        fraction: Share of the GPU.
        raw_mib: The footprint before the calibration.
        forecast_mib: Memory of the whole process, the calibration's safety margin included.
        budget_mib: What it may take.
    """

    accum: int
    micro_batch: int
    fraction: float
    raw_mib: float
    forecast_mib: float
    budget_mib: float

    @property
    def fits(self) -> bool:
        """Whether the forecast is within the budget."""
        return self.forecast_mib <= self.budget_mib

    @property
    def margin_mib(self) -> float:
        """What is left of the budget; negative where the trial does not fit."""
        return self.budget_mib - self.forecast_mib

    @property
    def at_once(self) -> int:
        """How many such trials share one GPU."""
        return math.floor(1 / self.fraction)


@dataclass(frozen=True)
class TrialMemory:
    """What a trial is given of a GPU.

    Attributes:
        gpu: Share that Ray reserves; 0 trains on the CPU.
        accum: Micro-batches of a step to begin with.
        allocator_mib: Where torch's allocator stops, since Ray's share limits nothing; None leaves it free.
        context_mib: What is expected beside torch's allocator.
        raw_mib: The forecast before calibration; 0 without a GPU.
        forecast_mib: Of the whole process.
        budget_mib: What it may take.
    """

    gpu: float
    accum: int
    allocator_mib: float | None = None
    context_mib: float = 0.0
    raw_mib: float = 0.0
    forecast_mib: float = 0.0
    budget_mib: float = 0.0


def accum_choices(batch_size: int, *, least: int = 1, most: int | None = None) -> tuple[int, ...]:
    """Return what accum may be, in increasing order: doublings of `least`, and last the largest allowed.

    Args:
        batch_size: Images of an optimizer step.
        least: The first choice.
        most: The last one; None: one image at a time.

    Raises:
        InputError: Nothing lies between both, or `least` is not in 1..batch_size.

    >>> accum_choices(48)
    (1, 2, 4, 8, 16, 32, 48)
    """
    if not 1 <= least <= batch_size:
        raise InputError(f"accum {least} is not in 1..{batch_size}, the batch size")
    last = batch_size if most is None else min(most, batch_size)
    if last < least:
        raise InputError(f"max_accum {last} is below accum {least}")
    doublings = (least * 2**power for power in range(batch_size.bit_length()))
    return (*(accum for accum in doublings if accum < last), last)


def plan_accum(
    footprint: Footprint,
    calibration: Calibration,
    budget: MemoryBudget,
    batch_size: int,
    *,
    accum: int = 1,
    max_accum: int | None = None,
) -> Plan:
    """Choose the smallest accum that fits a budget.

    Args:
        footprint: Of the member.
        calibration: Of the GPU and its software.
        budget: What the trial may take.
        batch_size: Images of an optimizer step.
        accum: The smallest to consider.
        max_accum: The largest to consider; None: one image at a time. Equal to `accum`: that one alone.

    Returns:
        The plan; where nothing fits, the one with the largest accum.

    Raises:
        InputError: No accum may be considered.
    """
    choices = accum_choices(batch_size, least=accum, most=max_accum)
    plans = [_plan(footprint, calibration, budget, batch_size, choice) for choice in choices]
    return next((plan for plan in plans if plan.fits), plans[-1])


def plan_fraction(
    footprint: Footprint,
    calibration: Calibration,
    gpu_mib: float,
    batch_size: int,
    *,
    accum: int = 1,
    max_accum: int | None = None,
    fractions: Sequence[float] = FRACTIONS,
) -> Plan:
    """Choose the smallest share of a GPU that holds a member at the wanted accum.

    With `max_accum`, accum may rise up to it for the sake of a smaller share. Where even the whole GPU
    does not hold the wanted accum, accum rises there as far as it may.

    Args:
        footprint: Of the member.
        calibration: Of the GPU and its software.
        gpu_mib: Memory of the whole GPU.
        batch_size: Images of an optimizer step.
        accum: The wanted one.
        max_accum: The largest to consider; None: the wanted one, or on the whole GPU any.
        fractions: Shares to consider.

    Returns:
        The plan; where nothing fits, the one on the largest share with the largest accum.

    Raises:
        InputError: The memory or a fraction makes no sense, or no accum may be considered.
    """
    for fraction in sorted(fractions):
        plan = plan_accum(
            footprint,
            calibration,
            MemoryBudget(gpu_mib, fraction),
            batch_size,
            accum=accum,
            max_accum=accum if max_accum is None else max_accum,
        )
        if plan.fits:
            return plan
    whole = MemoryBudget(gpu_mib, max(fractions))
    return plan_accum(footprint, calibration, whole, batch_size, accum=accum, max_accum=max_accum)


def allocator_mib(budget: MemoryBudget, calibration: Calibration) -> float:
    """Return the MiB at which torch's allocator has to stop: it does not see the process's CUDA context."""
    return max(0.0, budget.mib - calibration.context_mib)


def batch_norm_warning(images: int, accum: int) -> str | None:
    """Say what few images at a time do to a network with batch norm; None where they are enough.

    Args:
        images: Of the largest micro-batch.
        accum: Micro-batches of a step; 1: the batch is as small as it was asked for.
    """
    if accum == 1 or images >= FEW_FOR_BATCH_NORM:
        return None
    at_a_time = f"{images} image{'s' if images > 1 else ''} at a time"
    return f"batch norm sees {at_a_time}, since accum is {accum}: its statistics are noisy"


def _plan(
    footprint: Footprint, calibration: Calibration, budget: MemoryBudget, batch_size: int, accum: int
) -> Plan:
    micro_batch = math.ceil(batch_size / accum)
    raw_mib = footprint.raw_mib(micro_batch, batch_size)
    return Plan(
        accum=accum,
        micro_batch=micro_batch,
        fraction=budget.fraction,
        raw_mib=raw_mib,
        forecast_mib=calibration.process_mib(raw_mib, with_margin=True),
        budget_mib=budget.mib,
    )
