"""Resources that a member trains with."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tune_paddy.data.image_cache.entry import CachedImages
from tune_paddy.training.frozen.store import EmbeddingCache
from tune_paddy.training.results import Report


@dataclass(frozen=True)
class Runtime:
    """Resources that a member trains with; none of them changes its predictions.

    Attributes:
        folder: Folder of this member alone: checkpoints during training, the weights file afterwards.
        cpus: Number of threads for decoding and for torch.
        allow_gpu: Whether a GPU may be used.
        accum: Initial number of micro-batches per step; a fixed `accum` of the member overrides it.
        max_accum: Largest `accum` to retry with after out of memory; None: a micro-batch of one image.
        memory_mib: Limit of torch's allocator on a GPU, in MiB; None: no limit.
        weights_dir: Folder of pretrained weights, or None.
        keep_weights: Whether to save the trained parameters.
        keep_checkpoints: Whether to keep the last checkpoints, for a caller that still has to record the
            result: if it dies first, only the predictions are repeated.
        cached: Image cache entries at this member's size, or None.
        embeddings: Embedding cache for heads that are fitted, or None.
        metrics: Names of metrics to score besides the usual ones, see `member_scores`.
        resumes: Callback with the last epoch of the checkpoint that a training resumes from. A process may
            have died after it saved the checkpoint and before it reported the epoch.
        saved: Callback after each checkpoint and each fold's result, before the epoch is reported.
        alive: Callback for every batch of training and prediction.
        clock: Source of time in seconds, for durations.
    """

    folder: Path
    cpus: int = 1
    allow_gpu: bool = True
    accum: int = 1
    max_accum: int | None = None
    memory_mib: float | None = None
    weights_dir: Path | None = None
    keep_weights: bool = True
    keep_checkpoints: bool = False
    cached: CachedImages | None = None
    embeddings: EmbeddingCache | None = None
    metrics: tuple[str, ...] = ()
    resumes: Report = field(default=lambda report: None)
    saved: Callable[[], None] = field(default=lambda: None)
    alive: Callable[[], None] = field(default=lambda: None)
    clock: Callable[[], float] = field(default=time.perf_counter)
