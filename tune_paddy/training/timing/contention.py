"""Measure how much concurrent trials slow each other on the CPUs of this machine."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import torch

from tune_paddy.data.system.cpus import usable_cpus
from tune_paddy.training.devices import use_threads

SECONDS = 0.5
"""Duration of each of the two measurements, in s."""

_MOST = 2.0
"""Slowdown of two trials that share a core."""

_SIDE, _CHANNELS, _IMAGES = 32, 32, 8


def cpu_slowdown(trials: int, cpus: int, *, clock: Callable[[], float] = time.perf_counter) -> float:
    """Return the time of a step beside other trials over its time alone, at least 1.

    Trials share caches, the two threads of a core, and what other programs leave of the machine. The result
    is at most 2, or the number of threads per CPU if there are more: a busy machine disturbs the measurement.

    Args:
        trials: Number of concurrent trials, at least 1.
        cpus: Number of threads of one trial.
        clock: Source of time in seconds.
    """
    if trials == 1:
        return 1.0
    use_threads(1)  # each worker computes on a thread of its own
    try:
        alone, crowded = (_pace(workers, clock) for workers in (cpus, trials * cpus))
    finally:
        use_threads(cpus)
    return min(max(1.0, alone / crowded), max(_MOST, trials * cpus / usable_cpus()))


def _pace(workers: int, clock: Callable[[], float]) -> float:
    """Return the convolutions per second of each of some concurrent workers."""
    with ThreadPoolExecutor(workers) as pool:
        return sum(pool.map(lambda _: _convolve(clock), range(workers))) / workers


def _convolve(clock: Callable[[], float]) -> float:
    """Convolve for a while; return the number of convolutions per second."""
    images = torch.ones(_IMAGES, _CHANNELS, _SIDE, _SIDE)
    filters = torch.ones(_CHANNELS, _CHANNELS, 3, 3)
    started, done = clock(), 0
    with torch.inference_mode():
        while clock() - started < SECONDS:
            torch.nn.functional.conv2d(images, filters, padding=1).relu_()
            done += 1
    return done / (clock() - started)
