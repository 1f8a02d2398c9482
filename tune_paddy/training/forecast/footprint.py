"""Forecast the GPU memory of training a member, without a GPU, in about a second.

Every part is linear in the number of images, see `tune_paddy.core.memory.Footprint`.
"""

from dataclasses import replace
from math import prod
from pathlib import Path

from tune_paddy.core.config import MemberConfig
from tune_paddy.core.errors import InputError
from tune_paddy.core.memory import Footprint, LargeView
from tune_paddy.data.system.files import cache_folder
from tune_paddy.training.forecast.measurements import ForwardCache, ForwardMemory, Subject

PRECISIONS = ("fp32", "fp16", "bf16")
_FLOAT32 = 4
_OPTIMIZER: str = MemberConfig.model_fields["optimizer"].default
_MOMENTS = {
    "adamw": 2,
    "sgd": 1,
    "nadamw": 2,
    "radam": 2,
    "adopt": 2,
    "laprop": 2,
    "mars": 3,
    "lamb": 2,
    "lion": 1,
    "muon": 2,  # one for a matrix, two for any other parameter; a forecast must not be short
}
"""Number of float32 values that an optimizer keeps per parameter, at most."""


def forecast(
    arch: str,
    size: tuple[int, int],
    micro_batch: int = 1,
    *,
    precision: str = "fp16",
    optimizer: str = _OPTIMIZER,
    ema: bool = False,
    channels_last: bool | None = None,
    n_classes: int = 10,
    item_size: tuple[int, int] | None = None,
    unfused: bool = False,
    head: str = "concat_pool",
    frozen: bool = False,
    large_view: float = 1.0,
    cache: Path | None = None,
) -> Footprint:
    """Forecast a member's footprint; it is linear in the micro-batch, so one forecast serves every one.

    Args:
        arch: timm model name.
        size: (height, width) in px of the network's input.
        micro_batch: Number of images per forward pass, the default of `Footprint.raw_mib()`.
        precision: `fp32`, `fp16` or `bf16`.
        optimizer: A member's `optimizer`.
        ema: Whether the member averages its parameters.
        channels_last: Whether images and parameters are in channels-last layout; None: as in a member.
        n_classes: Width of the last layer.
        item_size: (height, width) in px of images before augmentation; None: `size`.
        unfused: Whether to assume attention without fused kernels, which saves its queries x keys matrix.
        head: `concat_pool`, `linear` or `fitted`.
        frozen: Whether the body stays frozen, so that forward passes alone take memory.
        large_view: Multiple of `size` of a further view; 1: none.
        cache: Folder of earlier measurements; None: $TUNE_PADDY_CACHE/footprints, or the user's cache.

    Raises:
        InputError: Unknown arch, precision or optimizer, no class, or a size that the arch does not accept.
    """
    if precision not in PRECISIONS:
        raise InputError(f"precision {precision!r} is not one of {', '.join(PRECISIONS)}")
    if optimizer not in _MOMENTS:
        raise InputError(f"optimizer {optimizer!r} is not one of {', '.join(_MOMENTS)}")
    if n_classes < 1:
        raise InputError(f"cannot choose among {n_classes} classes: there must be at least 1")
    subject = Subject(arch, size, n_classes, precision, channels_last, unfused, head, frozen)
    known = ForwardCache(cache or cache_folder("footprints"))
    memory = _measured(subject, known)
    whole = assemble(memory, size, item_size or size, optimizer, ema=ema)
    if large_view > 1:
        larger = _measured(replace(subject, large_view=large_view), known)
        whole = replace(whole, large=_large(larger, prod(size), item_size or size))
    return replace(forward_only(whole, memory) if frozen else whole, micro_batch=micro_batch)


def assemble(
    memory: ForwardMemory,
    size: tuple[int, int],
    item_size: tuple[int, int],
    optimizer: str,
    *,
    ema: bool = False,
) -> Footprint:
    """Add the tensors of the training loop to a measured forward pass.

    A step holds its whole augmented batch in float32. Evaluation holds uint8 images and their float32
    versions before and after normalisation. The gradients and each of the optimizer's moments are as large
    as the parameters. An average is a copy of parameters and buffers.
    """
    image, item = 3 * _FLOAT32 * prod(size), 3 * prod(item_size)
    fixed, alive = memory.predicting
    return Footprint(
        parameters=memory.parameters,
        state_bytes=(1 + ema) * memory.weight_bytes
        + memory.parameters * _FLOAT32 * (1 + _MOMENTS[optimizer]),
        saved_bytes=memory.saved[0],
        saved_bytes_per_image=memory.saved[1],
        input_bytes_per_image=image,
        eval_bytes=fixed,
        eval_bytes_per_image=alive + 2 * image + item,
        batch_norm=memory.batch_norm,
    )


def _large(memory: ForwardMemory, pixels: int, item_size: tuple[int, int]) -> LargeView:
    """Return the memory of the large view, whose inputs are held as those of the other views."""
    inputs = 2 * 3 * _FLOAT32 * memory.pixels
    return LargeView(pixels, memory.pixels, memory.predicting[1] + inputs, held_per_image=3 * prod(item_size))


def forward_only(footprint: Footprint, memory: ForwardMemory) -> Footprint:
    """Return the footprint without gradients, moments and saved tensors: a frozen member only predicts.

    Its head is fitted on the CPU.
    """
    return replace(
        footprint,
        state_bytes=memory.weight_bytes,
        saved_bytes=0,
        saved_bytes_per_image=0,
        input_bytes_per_image=0,
        batch_norm=False,  # it uses its running statistics
    )


def _measured(subject: Subject, cache: ForwardCache) -> ForwardMemory:
    known = cache.get(subject)
    if known is not None:
        return known
    from tune_paddy.training.forecast.forward_pass import measure  # noqa: PLC0415 torch and timm take seconds

    memory = measure(subject)
    cache.put(subject, memory)
    return memory
