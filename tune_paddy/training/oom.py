"""One classifier for all the faces of "out of memory"."""

import re
from collections.abc import Callable

import torch

from tune_paddy.data.system.gc_policy import give_memory_back

# What libraries say in a plain RuntimeError when an allocation failed. A handle of cuBLAS or cuDNN that
# cannot be made says NOT_INITIALIZED, and cuDNN without room for its workspace NOT_SUPPORTED; both have
# rarer causes, too, and with these the member ends as infeasible with the message beside it.
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
    """Memory is so short that the allocator empties its cache at nearly every step."""


class ThrashWatch:
    """Notices an allocator that keeps giving memory back to get it again, long before it fails.

    A single retry is normal where shapes change; several steps in a row that each need one mean that
    training runs several times slower than with a smaller micro-batch.

    Args:
        retries: Reads how often the allocator has had to retry so far.
        patience: Steps in a row with new retries that are borne.
    """

    def __init__(self, retries: Callable[[], int], patience: int = 5) -> None:
        self._retries, self._patience = retries, patience
        self._seen, self._in_a_row = retries(), 0

    def step(self) -> None:
        """Look once after an optimizer step.

        Raises:
            ThrashingError: Patience has run out.
        """
        now = self._retries()
        self._in_a_row = self._in_a_row + 1 if now > self._seen else 0
        self._seen = now
        if self._in_a_row >= self._patience:
            raise ThrashingError(f"the allocator had to retry in {self._in_a_row} steps in a row")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error means that memory ran out, on a GPU or on the CPU."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError | ThrashingError):
        return True
    return isinstance(error, RuntimeError) and bool(_MESSAGES.search(str(error)))


def release_memory() -> None:
    """Give back what a failed attempt held; call it after its last reference is gone."""
    give_memory_back()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
