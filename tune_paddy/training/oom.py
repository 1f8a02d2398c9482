"""Detect out-of-memory errors in all their forms."""

import re
from collections.abc import Callable

import torch

from tune_paddy.data.system.gc_policy import give_memory_back

# Messages of libraries that raise a plain RuntimeError when an allocation fails. cuBLAS and cuDNN report
# NOT_INITIALIZED if they cannot allocate a handle, and cuDNN NOT_SUPPORTED if its workspace does not fit.
# Both messages also have rarer causes; the member then ends as infeasible and keeps the message.
_MESSAGES = re.compile(
    r"out[ _]of[ _]memory|cannot allocate memory"
    r"|(CUDNN|CUBLAS|CUSOLVER|CUSPARSE)_STATUS_(ALLOC_FAILED|NOT_INITIALIZED)|CUFFT_ALLOC_FAILED"
    r"|CUDNN_STATUS_INTERNAL_ERROR_(HOST|DEVICE)_ALLOCATION_FAILED"
    r"|CUDNN_STATUS_NOT_SUPPORTED.*(workspace|non-contiguous input)|Unable to find a valid cuDNN algorithm"
    r"|INTERNAL ASSERT FAILED at .*CUDACachingAllocator"
    r"|DefaultCPUAllocator: (can't allocate|not enough) memory|^Invalid buffer size: ",
    re.IGNORECASE,
)


class ThrashingError(RuntimeError):
    """Memory is so scarce that the allocator empties its cache in several consecutive steps."""


class ThrashWatch:
    """Detects an allocator that repeatedly frees and re-allocates memory, long before it fails.

    A single retry is normal when shapes change. Retries in several consecutive steps mean that training
    runs several times slower than with a smaller micro-batch.

    Args:
        retries: Callback that returns the allocator's total number of retries.
        patience: Number of consecutive steps with new retries after which the watch raises.
    """

    def __init__(self, retries: Callable[[], int], patience: int = 5) -> None:
        self._retries, self._patience = retries, patience
        self._seen, self._in_a_row = retries(), 0

    def step(self) -> None:
        """Check for new retries; call once after each optimizer step.

        Raises:
            ThrashingError: The allocator retried in `patience` consecutive steps.
        """
        now = self._retries()
        self._in_a_row = self._in_a_row + 1 if now > self._seen else 0
        self._seen = now
        if self._in_a_row >= self._patience:
            raise ThrashingError(f"the allocator had to retry in {self._in_a_row} consecutive steps")


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error means out of memory, on a GPU or on the CPU."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError | ThrashingError):
        return True
    return isinstance(error, RuntimeError) and bool(_MESSAGES.search(str(error)))


def release_memory() -> None:
    """Free the memory of a failed attempt; call it after the last reference to the attempt is gone."""
    give_memory_back()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
