"""Device and precision of training: CPU, CUDA or MPS; fp32, fp16 or bf16."""

from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.amp.grad_scaler import GradScaler

from tune_paddy.core.errors import InputError
from tune_paddy.core.memory import MIB

_DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


@dataclass(frozen=True)
class Device:
    """A device and its training precision.

    Attributes:
        type: `cpu`, `cuda` or `mps`.
        precision: `fp32`, `fp16` or `bf16`, never `auto`.
    """

    type: str
    precision: str

    @property
    def torch(self) -> torch.device:
        """The torch device; a trial sees at most one device of each type."""
        return torch.device(self.type)

    def autocast(self) -> AbstractContextManager[object]:
        """Return a context in which forward passes run in this precision."""
        if self.precision == "fp32":
            return nullcontext()
        return torch.autocast(self.type, dtype=_DTYPES[self.precision])

    def grad_scaler(self) -> GradScaler:
        """Return a loss scaler: enabled for fp16, whose small gradients underflow, disabled otherwise."""
        return GradScaler(self.type, enabled=self.precision == "fp16")

    def prefer_speed(self) -> None:
        """Select fast kernels for the whole process, on CUDA only.

        cuDNN benchmarks its algorithms for each new shape; a member has few shapes. The remaining float32
        matrix products use TF32 if the GPU has it: ten bits of mantissa, as fp16 has.
        """
        if self.type == "cuda":
            torch.backends.cudnn.benchmark = True
            torch.set_float32_matmul_precision("high")

    def synchronize(self) -> None:
        """Wait until the device has finished its queued work, so that a clock measures it."""
        if self.type == "cuda":
            torch.cuda.synchronize()
        elif self.type == "mps":
            torch.mps.synchronize()

    def limit_memory(self, mib: float | None) -> None:
        """Limit torch's allocator to `mib` MiB; None: the whole GPU. Does nothing unless on CUDA."""
        if self.type != "cuda":
            return
        total = torch.cuda.get_device_properties(0).total_memory / MIB
        torch.cuda.set_per_process_memory_fraction(1.0 if mib is None else min(1.0, mib / total))

    def alloc_retries(self) -> int:
        """Return how often the allocator emptied its cache and retried; 0 if unknown."""
        if self.type != "cuda":
            return 0
        # This runs once per step: the flat form would sort two hundred counters each time.
        return int(torch.cuda.memory_stats_as_nested_dict().get("num_alloc_retries", 0))

    def reset_peak(self) -> None:
        """Reset the peak: a process may train several members, one after the other."""
        if self.type == "cuda":
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()

    def peak_mib(self) -> float:
        """Return the most memory reserved on the device since `reset_peak`, in MiB; 0 if unknown."""
        return torch.cuda.max_memory_reserved() / 2**20 if self.type == "cuda" else 0.0


def use_threads(n: int) -> None:
    """Compute with `n` threads, the CPUs of the trial, so that trials on one machine do not compete.

    torch accepts the number of inter-op threads only once per process, before the first operator. A later
    refusal is ignored, since nothing here uses these threads.
    """
    torch.set_num_threads(n)
    with suppress(RuntimeError):
        torch.set_num_interop_threads(n)


def send(tensor: Tensor, device: torch.device) -> Tensor:
    """Copy a tensor from the CPU to a device, without waiting for it on CUDA.

    A copy to CUDA is asynchronous only from pinned memory; otherwise it waits for all earlier work.
    """
    if device.type == "mps":
        return tensor.to(device)  # asynchronous copies to MPS have been seen to arrive too late
    return (tensor.pin_memory() if device.type == "cuda" else tensor).to(device, non_blocking=True)


def pick_device(precision: str = "auto", *, allow_gpu: bool = True) -> Device:
    """Choose the best available device, and resolve `auto` to a precision that it supports.

    Args:
        precision: `auto`, `fp32`, `fp16` or `bf16`.
        allow_gpu: Whether a GPU may be used; False for a trial without a GPU.

    Raises:
        InputError: The device does not support the requested precision.
    """
    kind = "cpu"
    if allow_gpu and torch.cuda.is_available():
        kind = "cuda"
    elif allow_gpu and torch.backends.mps.is_available():
        kind = "mps"
    return Device(kind, _resolve(precision, kind))


def device_by_name(name: str, precision: str = "auto") -> Device:
    """Return the named device, with `auto` resolved to a precision that it supports.

    Args:
        name: `auto` for the best available, `cpu`, `cuda`, `cuda:1` and so on, or `mps`.
        precision: `auto`, `fp32`, `fp16` or `bf16`.

    Raises:
        InputError: This machine has no such device, or the device does not support the precision.
    """
    if name == "auto":
        return pick_device(precision)
    kind, _, number = name.partition(":")
    counts = {
        "cpu": 1,
        "cuda": torch.cuda.device_count() if torch.cuda.is_available() else 0,
        "mps": int(torch.backends.mps.is_available()),
    }
    index = int(number) if number.isdecimal() else 0
    if kind not in counts or (number and not number.isdecimal()) or index >= counts[kind]:
        there = ", ".join(known for known, count in counts.items() if count)
        raise InputError(f"device {name!r}: this machine has no such device; use auto, or one of {there}")
    if kind == "cuda":
        torch.cuda.set_device(index)
    return Device(kind, _resolve(precision, kind))


def _resolve(precision: str, kind: str) -> str:
    if kind != "cuda":
        # fp16 exists to save GPU memory; elsewhere it is slower, so a space written for GPUs runs in fp32.
        return "bf16" if precision == "bf16" and kind == "cpu" else "fp32"
    has_bf16 = torch.cuda.is_bf16_supported(including_emulation=False)
    if precision == "auto":
        return "bf16" if has_bf16 else "fp16"
    if precision == "bf16" and not has_bf16:
        raise InputError(f"precision: {torch.cuda.get_device_name()} does not support bf16; use fp16 or auto")
    return precision


def resize_uint8(images: Tensor, size: tuple[int, int], *, antialias: bool) -> Tensor:
    """Resize uint8 images [n, c, h, w] to `size` (height, width in px), bilinearly.

    The CPU has a fast filter for bytes. CUDA has none and computes with floats: the results differ by
    rounding. MPS lacks both filters and falls back to the CPU.

    Args:
        images: uint8 [n, c, h, w] on any device.
        size: (height, width) in px.
        antialias: Whether to average over all pixels when shrinking, instead of over the four nearest.

    Returns:
        Values 0..255; uint8 from a CPU, float32 from CUDA.
    """
    if images.device.type == "mps":
        return resize_uint8(images.cpu(), size, antialias=antialias).to(images.device)
    on_cuda = images.device.type == "cuda"
    # torch 2.15's filter for bytes fails or returns wrong values for a width of one pixel.
    values = images.to(torch.float32) if on_cuda or size[1] == 1 else images
    resized = F.interpolate(values, size, mode="bilinear", antialias=antialias, align_corners=False)
    return resized if on_cuda or values is images else resized.round().to(torch.uint8)
