"""GPU memory planning: the footprint of a step, the memory of a process, and the plan within a budget.

A footprint is an exact byte count, independent of the GPU. A calibration turns it into the memory of a
process on one GPU and software stack. A plan chooses gradient accumulation, a share of the GPU, or both.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from tune_paddy.core.calibration import Calibration
from tune_paddy.core.errors import InputError

MIB = 2**20
FRACTIONS = (1.0, 0.5, 0.25, 0.125)
"""Candidate shares of a GPU: few, since workers are reused only between equal shares."""
EVALUATION_FACTOR = 2
"""Images of an evaluation batch per image of a micro-batch: more of them fit without gradients."""
FEW_FOR_BATCH_NORM = 8
"""Micro-batch size, in images, below which noisy batch statistics deserve a warning."""


def large_at_a_time(images: int, pixels: int, large_pixels: int) -> int:
    """Return how many images of a batch the large view takes at a time: no more pixels than it has, or one.

    Args:
        images: Number of images of the batch.
        pixels: Number of pixels of one of its images.
        large_pixels: Number of pixels of an image of the large view.

    >>> large_at_a_time(64, 100, 196), large_at_a_time(1, 100, 196)
    (32, 1)
    """
    return max(1, images * pixels // large_pixels)


@dataclass(frozen=True)
class LargeView:
    """Memory of the view at a larger size, which is computed in smaller batches.

    Attributes:
        pixels: Number of pixels of an image of the other views.
        large_pixels: Number of pixels of an image of this view.
        bytes_per_image: Peak bytes of a forward pass, inputs included, per image of the smaller batch.
        held_per_image: Bytes of the decoded images, which are held meanwhile, per image of the whole batch.
    """

    pixels: int
    large_pixels: int
    bytes_per_image: int
    held_per_image: int

    def peak_bytes(self, images: int) -> int:
        """Return the peak bytes of a batch of `images`, without parameters."""
        at_a_time = large_at_a_time(images, self.pixels, self.large_pixels)
        return images * self.held_per_image + at_a_time * self.bytes_per_image


@dataclass(frozen=True)
class Footprint:
    """Memory that training one member allocates, as a linear function of the batch.

    Epochs with a frozen body need no separate figures: they hold a subset of the same gradients, moments
    and activations.

    Attributes:
        parameters: Number of trainable parameters.
        state_bytes: Size of parameters, buffers, gradients and optimizer moments, in bytes.
        saved_bytes: Bytes saved for the backward pass at any micro-batch: half-precision parameters.
        saved_bytes_per_image: Bytes saved for the backward pass, per image of the micro-batch.
        input_bytes_per_image: Bytes of augmented images, per image of the whole batch.
        eval_bytes: Bytes held besides the state in evaluation: half-precision parameters.
        eval_bytes_per_image: Peak bytes during evaluation, inputs included, per image.
        micro_batch: Default number of images of one forward pass.
        batch_norm: Whether the body normalises each micro-batch by its own statistics.
        large: Memory of the large view; None: there is none.
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
    large: LargeView | None = None

    def train_bytes(self, micro_batch: int, batch_size: int) -> int:
        """Return the peak bytes of a training step, at the start of its backward pass."""
        saved = self.saved_bytes + micro_batch * self.saved_bytes_per_image
        return self.state_bytes + saved + batch_size * self.input_bytes_per_image

    def evaluation_bytes(self, micro_batch: int) -> int:
        """Return the peak bytes of validation and test-time augmentation between training epochs."""
        images = EVALUATION_FACTOR * micro_batch
        large = 0 if self.large is None else self.large.peak_bytes(images)
        return self.state_bytes + self.eval_bytes + max(images * self.eval_bytes_per_image, large)

    def raw_mib(self, micro_batch: int | None = None, batch_size: int | None = None) -> float:
        """Return the higher of the training and evaluation peaks, in MiB, before calibration.

        Args:
            micro_batch: Images of one forward pass; None: the footprint's default.
            batch_size: Images of one optimizer step, all held augmented; None: the micro-batch.
        """
        micro_batch = micro_batch or self.micro_batch
        train = self.train_bytes(micro_batch, batch_size or micro_batch)
        return max(train, self.evaluation_bytes(micro_batch)) / MIB


@dataclass(frozen=True)
class MemoryBudget:
    """GPU memory available to one trial.

    Attributes:
        gpu_mib: Memory of the whole GPU, in MiB.
        fraction: The trial's share of it, in (0, 1].
    """

    gpu_mib: float
    fraction: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.gpu_mib < math.inf:
            raise InputError(f"GPU memory must be a finite number above 0, in MiB, not {self.gpu_mib:g}")
        if not 0 < self.fraction <= 1:
            raise InputError(f"GPU fraction must be in (0, 1], not {self.fraction:g}")

    @property
    def mib(self) -> float:
        """The budget in MiB; it includes the CUDA context of the process."""
        return self.gpu_mib * self.fraction


@dataclass(frozen=True)
class MemoryPlan:
    """Memory plan of one trial; it may exceed the budget, see `fits`.

    Attributes:
        accum: Micro-batches per optimizer step.
        micro_batch: Images of the largest micro-batch.
        fraction: Share of the GPU.
        raw_mib: Footprint before calibration, in MiB.
        forecast_mib: Memory of the whole process, with the calibration's safety margin, in MiB.
        budget_mib: Memory available to the process, in MiB.
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
        """Rest of the budget, in MiB; negative if the trial does not fit."""
        return self.budget_mib - self.forecast_mib

    @property
    def at_once(self) -> int:
        """Number of such trials that share one GPU."""
        return math.floor(1 / self.fraction)


@dataclass(frozen=True)
class TrialMemory:
    """GPU allotment of one trial.

    Attributes:
        gpu: Share that Ray reserves; 0 trains on the CPU.
        accum: Initial number of micro-batches per optimizer step.
        allocator_mib: Limit of torch's allocator, in MiB, since Ray's share limits nothing; None: no limit.
        context_mib: Expected memory outside torch's allocator, in MiB.
        raw_mib: Forecast before calibration, in MiB; 0 without a GPU.
        forecast_mib: Forecast memory of the whole process, in MiB.
        budget_mib: Memory available to the process, in MiB.
        accelerator: Ray's name of the model of GPU that the plan is for; empty: any GPU.
    """

    gpu: float
    accum: int
    allocator_mib: float | None = None
    context_mib: float = 0.0
    raw_mib: float = 0.0
    forecast_mib: float = 0.0
    budget_mib: float = 0.0
    accelerator: str = ""


def accum_choices(batch_size: int, *, least: int = 1, most: int | None = None) -> tuple[int, ...]:
    """Return the candidate values of accum in increasing order: doublings of `least`, then the maximum.

    Args:
        batch_size: Images per optimizer step.
        least: Smallest accum.
        most: Largest accum; None: batch_size, which trains one image at a time.

    Raises:
        InputError: `most` is below `least`, or `least` is not in 1..batch_size.

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
) -> MemoryPlan:
    """Choose the smallest accum that fits a budget.

    Args:
        footprint: Footprint of the member.
        calibration: Calibration of the GPU and its software stack.
        budget: Memory available to the trial.
        batch_size: Images per optimizer step.
        accum: Smallest accum to consider.
        max_accum: Largest accum to consider; None: batch_size. Equal to `accum`: only that value.

    Returns:
        The plan; if nothing fits, the plan with the largest accum.

    Raises:
        InputError: The accum limits exclude every value.
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
) -> MemoryPlan:
    """Choose the smallest share of a GPU on which a member fits at the requested accum.

    With `max_accum`, accum may rise up to that value to reach a smaller share. If the member does not fit
    on the whole GPU at the requested accum, accum rises there as far as allowed.

    Args:
        footprint: Footprint of the member.
        calibration: Calibration of the GPU and its software stack.
        gpu_mib: Memory of the whole GPU, in MiB.
        batch_size: Images per optimizer step.
        accum: Requested accum.
        max_accum: Largest accum to consider; None: the requested one, and batch_size on the whole GPU.
        fractions: Shares to consider.

    Returns:
        The plan; if nothing fits, the plan on the largest share with the largest accum.

    Raises:
        InputError: The memory or a fraction is invalid, or the accum limits exclude every value.
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
    """Return the limit of torch's allocator, in MiB: the allocator does not count the CUDA context."""
    return max(0.0, budget.mib - calibration.context_mib)


def batch_norm_warning(images: int, accum: int) -> str | None:
    """Return a warning if a micro-batch is too small for batch norm, or None.

    Args:
        images: Images of the largest micro-batch.
        accum: Micro-batches per optimizer step; 1: the user chose this batch size, so there is no warning.
    """
    if accum == 1 or images >= FEW_FOR_BATCH_NORM:
        return None
    at_a_time = f"{images} image{'s' if images > 1 else ''} at a time"
    return f"batch norm sees {at_a_time}, since accum is {accum}: its statistics are noisy"


def _plan(
    footprint: Footprint, calibration: Calibration, budget: MemoryBudget, batch_size: int, accum: int
) -> MemoryPlan:
    micro_batch = math.ceil(batch_size / accum)
    raw_mib = footprint.raw_mib(micro_batch, batch_size)
    return MemoryPlan(
        accum=accum,
        micro_batch=micro_batch,
        fraction=budget.fraction,
        raw_mib=raw_mib,
        forecast_mib=calibration.process_mib(raw_mib, with_margin=True),
        budget_mib=budget.mib,
    )
