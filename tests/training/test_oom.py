import pytest
import torch

from tune_paddy.core.errors import TunePaddyError
from tune_paddy.training.oom import ThrashingError, ThrashWatch, is_out_of_memory, release_memory


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        MemoryError(),
        ThrashingError("the allocator had to retry in 5 consecutive steps"),
        RuntimeError("CUDA error: out of memory"),
        RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasCreate(handle)`"),
        RuntimeError("cuDNN error: CUDNN_STATUS_NOT_INITIALIZED"),
        RuntimeError("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED"),
        RuntimeError(
            "cuDNN error: CUDNN_STATUS_NOT_SUPPORTED. "
            "This error may appear if you passed in a non-contiguous input."
        ),
        RuntimeError("cusolver error: CUSOLVER_STATUS_ALLOC_FAILED"),
        RuntimeError(
            '!handles_.at(i) INTERNAL ASSERT FAILED at "/pytorch/c10/cuda/CUDACachingAllocator.cpp":430'
        ),
        RuntimeError("Invalid buffer size: 72.00 GiB"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: not enough memory: you tried to allocate 9 bytes"),
        RuntimeError("cuFFT error: CUFFT_ALLOC_FAILED"),
        RuntimeError("CUDA driver error: CUDA_ERROR_OUT_OF_MEMORY"),
        RuntimeError("MPS backend out of memory (MPS allocated: 8.00 GB)"),
        RuntimeError(
            "[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"
        ),
        RuntimeError("Unable to find a valid cuDNN algorithm to run convolution"),
    ],
    ids=lambda error: str(error)[:60] or "no message",
)
def test_every_form_of_out_of_memory_is_detected(error: Exception) -> None:
    assert is_out_of_memory(error)


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("mat1 and mat2 shapes cannot be multiplied (4x5 and 6x7)"),
        RuntimeError("CUDA error: device-side assert triggered"),
        RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"),
        RuntimeError("cuDNN error: CUDNN_STATUS_NOT_SUPPORTED_ARCH_MISMATCH"),
        RuntimeError('x INTERNAL ASSERT FAILED at "/pytorch/torch/csrc/autograd/engine.cpp":1'),
        ValueError("out of memory"),
        OSError(28, "No space left on device"),
        TunePaddyError("weights are missing"),
        KeyboardInterrupt(),
    ],
    ids=lambda error: str(error)[:30] or type(error).__name__,
)
def test_other_errors_are_not_out_of_memory(error: BaseException) -> None:
    assert not is_out_of_memory(error)


def test_the_error_of_the_cpus_allocator_is_detected() -> None:
    """The actual error of the installed torch, for more memory than any machine has."""
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**60, dtype=torch.uint8)
    assert is_out_of_memory(caught.value)


def test_releasing_works_without_a_gpu_and_collects_cycles() -> None:
    alive = []

    class Held:
        def __init__(self) -> None:
            self.me = self

        def __del__(self) -> None:
            alive.append("collected")

    Held()
    release_memory()
    assert alive == ["collected"]


def test_consecutive_retries_exhaust_the_patience() -> None:
    counts = iter([0, 1, 2, 4])
    watch = ThrashWatch(lambda: next(counts), patience=3)
    watch.step()
    watch.step()
    with pytest.raises(ThrashingError, match="3 consecutive steps"):
        watch.step()


def test_a_step_without_retries_resets_the_patience() -> None:
    """Retries before the watch started do not count either."""
    counts = iter([7, 8, 9, 9, 10, 11, 11])
    watch = ThrashWatch(lambda: next(counts), patience=3)
    for _ in range(6):
        watch.step()
    assert next(counts, None) is None
