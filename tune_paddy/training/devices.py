"""Where and in which number format a member trains: CPU, CUDA or MPS; fp32, fp16 or bf16."""

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
    """A device and the precision that training uses on it.

    Attributes:
        type: `cpu`, `cuda` or `mps`.
        precision: `fp32`, `fp16` or `bf16`, never `auto`.
    """

    type: str
    precision: str

    @property
    def torch(self) -> torch.device:
        """The torch device; within a trial there is only one of its type."""
        return torch.device(self.type)

    def autocast(self) -> AbstractContextManager[object]:
        """Context in which forward passes run in this precision."""
        if self.precision == "fp32":
            return nullcontext()
        return torch.autocast(self.type, dtype=_DTYPES[self.precision])

    def grad_scaler(self) -> GradScaler:
        """Loss scaler: at work for fp16, whose small gradients vanish, and idle otherwise."""
        return GradScaler(self.type, enabled=self.precision == "fp16")

    def prefer_speed(self) -> None:
        """Choose fast kernels for the whole process, on CUDA.

        cuDNN tries its algorithms for each new shape, of which a member has a handful. What is left in
        float32 multiplies in TF32 where the GPU has it: with ten bits of mantissa, as fp16 has.
        """
        if self.type == "cuda":
            torch.backends.cudnn.benchmark = True
            torch.set_float32_matmul_precision("high")

    def synchronize(self) -> None:
        """Wait until the device has done its work, so that a clock measures it."""
        if self.type == "cuda":
            torch.cuda.synchronize()
        elif self.type == "mps":
            torch.mps.synchronize()

    def limit_memory(self, mib: float | None) -> None:
        """Let torch's allocator take no more than so many MiB; None: all there is; CUDA only."""
        if self.type != "cuda":
            return
        total = torch.cuda.get_device_properties(0).total_memory / MIB
        torch.cuda.set_per_process_memory_fraction(1.0 if mib is None else min(1.0, mib / total))

    def alloc_retries(self) -> int:
        """How often the allocator has had to empty its cache and try again; 0 where it is not known."""
        if self.type != "cuda":
            return 0
        # The nested form is read once a step: the flat one sorts two hundred counters each time.
        return int(torch.cuda.memory_stats_as_nested_dict().get("num_alloc_retries", 0))

    def reset_peak(self) -> None:
        """Begin a new peak: a process may train several members, one after the other."""
        if self.type == "cuda":
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()

    def peak_mib(self) -> float:
        """Most memory reserved on the device since `reset_peak`, in MiB; 0 where it is not known."""
        return torch.cuda.max_memory_reserved() / 2**20 if self.type == "cuda" else 0.0


def use_threads(n: int) -> None:
    """Compute with `n` threads: as many as the trial was given CPUs, or trials on one machine fight for them.

    The threads between operators can be set once in a process, before its first work; later it is too late
    and of no matter, since nothing here uses them.
    """
    torch.set_num_threads(n)
    with suppress(RuntimeError):
        torch.set_num_interop_threads(n)


def send(tensor: Tensor, device: torch.device) -> Tensor:
    """Copy a tensor from the CPU to a device, and do not wait for it on CUDA.

    Only from pinned memory is a copy to CUDA asynchronous; from other memory it waits for all work before.
    """
    if device.type == "mps":
        return tensor.to(device)  # there, asynchronous copies have been seen to arrive too late
    return (tensor.pin_memory() if device.type == "cuda" else tensor).to(device, non_blocking=True)


def pick_device(precision: str = "auto", *, allow_gpu: bool = True) -> Device:
    """Choose the best device at hand, and resolve `auto` to a precision that it has.

    Args:
        precision: `auto`, `fp32`, `fp16` or `bf16`.
        allow_gpu: False keeps to the CPU, for a trial that was given no GPU.

    Raises:
        InputError: The device cannot train in the precision that was asked for.
    """
    kind = "cpu"
    if allow_gpu and torch.cuda.is_available():
        kind = "cuda"
    elif allow_gpu and torch.backends.mps.is_available():
        kind = "mps"
    return Device(kind, _resolve(precision, kind))


def device_by_name(name: str, precision: str = "auto") -> Device:
    """The device that a person names, and a precision that it has.

    Args:
        name: `auto` for the best at hand, `cpu`, `cuda`, `cuda:1` and so on, or `mps`.
        precision: `auto`, `fp32`, `fp16` or `bf16`.

    Raises:
        InputError: There is no such device here, or it lacks the precision.
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
        raise InputError(f"device {name!r}: there is none here; use auto, or one of {there}")
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
        raise InputError(f"precision: bf16 is not there on {torch.cuda.get_device_name()}; use fp16, or auto")
    return precision


def resize_uint8(images: Tensor, size: tuple[int, int], *, antialias: bool) -> Tensor:
    """Resize uint8 images [n, c, h, w] to `size` (height, width in px), bilinearly.

    The CPU has a fast filter for bytes, CUDA has none and gets floats: their results differ by rounding.

    Args:
        images: On any device; MPS lacks both filters, there the CPU does it.
        size: (height, width) in px.
        antialias: Average over all pixels when shrinking, instead of over the four nearest.

    Returns:
        Values 0..255; uint8 from a CPU, float32 from CUDA.
    """
    if images.device.type == "mps":
        return resize_uint8(images.cpu(), size, antialias=antialias).to(images.device)
    on_cuda = images.device.type == "cuda"
    # torch 2.15's filter for bytes fails or gives nonsense where a single column is left.
    values = images.to(torch.float32) if on_cuda or size[1] == 1 else images
    resized = F.interpolate(values, size, mode="bilinear", antialias=antialias, align_corners=False)
    return resized if on_cuda or values is images else resized.round().to(torch.uint8)
