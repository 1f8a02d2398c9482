"""Measure, without a GPU, the memory that a network keeps per image in training and in prediction.

The forward pass runs on the meta device, which computes shapes and allocates nothing. The tensors that
autograd would save for the backward pass, with parameters, gradients and moments, are 98-99 % of a training
step's peak, since the peak occurs at the start of the backward pass. The few networks that need values
while they are built or run fall back to the CPU.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from math import prod

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tune_paddy.core.errors import TunePaddyError
from tune_paddy.training.forecast.activations import LiveBytes, SavedBytes
from tune_paddy.training.forecast.autocast import CudaAutocast
from tune_paddy.training.forecast.cuda_kernels import CudaKernels, UnfusedAttention
from tune_paddy.training.forecast.measurements import ForwardMemory, Subject
from tune_paddy.training.networks.model import build_model, has_batch_norm, lay_out
from tune_paddy.training.networks.plan import plan_body, without_initial_weights

_HALF = {"fp16": torch.float16, "bf16": torch.bfloat16}
_BATCHES = (2, 3)
"""Sizes of the two batches that determine a line; batch norms refuse a single image."""


def measure(subject: Subject) -> ForwardMemory:
    """Measure a network with its head; torch's random state stays unchanged.

    Raises:
        InputError: Unknown arch, or a size that it does not accept.
        TunePaddyError: The network's forward pass fails.
    """
    with torch.random.fork_rng(devices=[]):
        for device in ("meta", "cpu"):
            try:
                return _measure_on(device, subject)
            except (RuntimeError, ValueError) as error:  # on meta: the network needs values
                reason = str(error).splitlines()[0][:160]
    raise TunePaddyError(f"the memory of {subject.arch} cannot be forecast: {reason}")


def _measure_on(device: str, subject: Subject) -> ForwardMemory:
    size = _measured_size(subject)
    with torch.device(device):
        with without_initial_weights():
            model = build_model(
                subject.arch,
                subject.n_classes,
                size=subject.size,
                head=subject.head,
                frozen=subject.frozen,
                large_view=subject.large_view,
            )
        if subject.channels_last is None:
            lay_out(model, "cuda")
        elif subject.channels_last:
            model.to(memory_format=torch.channels_last)
        fewer, more = (saved_bytes(model, _images(n, size, subject), subject) for n in _BATCHES)
        per_image = (more - fewer) // (_BATCHES[1] - _BATCHES[0])
        return ForwardMemory(
            parameters=sum(p.numel() for p in model.parameters() if p.requires_grad),
            weight_bytes=sum(t.nbytes for t in (*model.parameters(), *model.buffers())),
            saved=(fewer - _BATCHES[0] * per_image, per_image),
            predicting=_predicting_bytes(model, _images(_BATCHES[0], size, subject), subject),
            batch_norm=has_batch_norm(model[0]),
            pixels=prod(size),
        )


def _measured_size(subject: Subject) -> tuple[int, int]:
    if subject.large_view == 1:
        return subject.size
    return plan_body(subject.arch, subject.size, 0.0, subject.large_view).large or subject.size


def _images(n: int, size: tuple[int, int], subject: Subject) -> Tensor:
    layout = torch.channels_last if subject.channels_last else torch.contiguous_format
    return torch.zeros(n, 3, *size).contiguous(memory_format=layout)


def saved_bytes(model: nn.Module, images: Tensor, subject: Subject) -> int:
    """Return the bytes saved for the backward pass of one micro-batch, without the images themselves."""
    model.train()
    saved = SavedBytes([*model.parameters(), *model.buffers(), images])
    with _cuda(subject), saved.collecting():
        logits = model(images)
        F.cross_entropy(logits.float(), torch.zeros(len(images), dtype=torch.long), reduction="sum")
    return saved.total


def _predicting_bytes(model: nn.Module, images: Tensor, subject: Subject) -> tuple[int, int]:
    """Return the bytes of (parameters cast down, peak per image), without the images themselves."""
    model.eval()
    live = LiveBytes()
    with torch.inference_mode(), live, _cuda(subject) as autocast:
        model(images)
    cast = autocast.cast_weight_bytes if autocast else 0
    return cast, -(-live.peak // len(images))


@contextmanager
def _cuda(subject: Subject) -> Iterator[CudaAutocast | None]:
    """Imitate CUDA for torch functions: kernels innermost, then casts, then attention."""
    half = _HALF.get(subject.precision)
    autocast = None if half is None else CudaAutocast(half)
    with ExitStack() as stack:
        stack.enter_context(CudaKernels())
        stack.enter_context(autocast or nullcontext())
        stack.enter_context(UnfusedAttention() if subject.unfused else nullcontext())
        yield autocast
