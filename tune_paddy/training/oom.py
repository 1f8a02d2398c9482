"""One classifier for all the faces of "out of memory"."""

import gc
import re

import torch

# What CUDA's libraries say in a plain RuntimeError when an allocation failed, and the CPU's allocator.
_MESSAGES = re.compile(
    r"out of memory|CUDNN_STATUS_ALLOC_FAILED|CUBLAS_STATUS_ALLOC_FAILED|CUFFT_ALLOC_FAILED"
    r"|CUDNN_STATUS_NOT_SUPPORTED.*workspace|DefaultCPUAllocator: can't allocate memory"
    r"|Unable to find a valid cuDNN algorithm|cannot allocate memory",
    re.IGNORECASE,
)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error means that memory ran out, on a GPU or on the CPU."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and bool(_MESSAGES.search(str(error)))


def release_memory() -> None:
    """Give back what a failed attempt held; call it after its last reference is gone."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
