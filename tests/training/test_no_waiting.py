"""A training step never waits for its device: each wait would leave a GPU idle."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from tune_paddy.core.config import MemberConfig
from tune_paddy.data.member_data import Parts
from tune_paddy.training.accumulation import MemberLearner
from tune_paddy.training.batches.loaders import ImageReader, TrainLoader
from tune_paddy.training.devices import Device, use_threads
from tune_paddy.training.optimizer import optimizer_factory, phases, run_phase, split_parameters

AUGMENTED = {"mixup": 0.4, "max_lighting": 0.2, "max_warp": 0.2, "flip": "horizontal"}
STRONG = {"randaugment": 9, "randaugment_ops": 8, "erasing": 0.5, "loss": "focal"}


class Waits(TorchDispatchMode):
    """Records operators whose results Python has to wait for, and blocking copies."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.n = 0

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run one operator (torch calls this)."""
        kwargs = kwargs or {}
        name = func.overloadpacket.__name__
        self.n += 1
        source = args[0].device.type if args and isinstance(args[0], Tensor) else None
        target = torch.device(kwargs["device"]).type if kwargs.get("device") is not None else source
        if name in {"_local_scalar_dense", "nonzero", "is_nonzero", "equal", "unique_dim", "masked_select"}:
            self.found.append(name)
        if name == "_to_copy" and source != target and not kwargs.get("non_blocking"):
            self.found.append(f"a copy from {source} to {target}")
        return func(*args, **kwargs)


def learner(
    config: MemberConfig, parts: Parts, reader: ImageReader, model: nn.Module, device: Device
) -> MemberLearner:
    return MemberLearner(
        TrainLoader(reader, parts.train.labels, config),
        model,
        config,
        n_classes=10,
        device=device,
        accum=2,
        class_weights=torch.ones(10) if config.loss == "focal" else None,
        opt_func=optimizer_factory(config),
        splitter=split_parameters,
    )


@pytest.mark.parametrize(
    ("precision", "changes"),
    [  # the scaler of fp16 decides about the optimizer's step; any other two meet in one row
        ("fp16", {"optimizer": "adamw"}),
        ("fp16", {"optimizer": "sgd"}),
        ("fp16", {"optimizer": "adamw", "clip_grad": 1.0}),
        ("fp16", {"optimizer": "sgd", "clip_grad": 1.0, "loss": "bce"}),
        ("bf16", {"optimizer": "sgd", "clip_grad": 1.0}),
        ("bf16", STRONG),
        ("bf16", {"loss": "bce"}),
        ("fp32", {"optimizer": "sgd", "loss": "bce"}),
        ("fp32", {"optimizer": "adamw", "clip_grad": 1.0, **STRONG}),
        ("fp16", {"optimizer": "sgd", **STRONG}),
        ("fp32", {}),
    ],
    ids=str,
)
def test_no_step_reads_a_value_back(
    *,
    precision: str,
    changes: dict[str, object],
    parts: Parts,
    reader: ImageReader,
    make_config: Callable[..., MemberConfig],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Neither the loss nor whether the scaler found an overflow."""
    config = make_config(schedule="one_cycle", epochs=1, **AUGMENTED, **changes)
    body = nn.Sequential(nn.Conv2d(3, 4, 8, 8), nn.BatchNorm2d(4))
    model = nn.Sequential(body, nn.Sequential(nn.Flatten(), nn.Linear(64, 10)))
    trained = learner(config, parts, reader, model, Device("cpu", precision))
    step, waits = trained._do_one_batch, Waits()

    def watched() -> None:  # the step alone: fastai's schedule computes with CPU tensors
        with waits:
            step()

    monkeypatch.setattr(trained, "_do_one_batch", watched)
    run_phase(trained, phases(config)[0], start_epoch=0)
    assert waits.n > 500
    assert waits.found == []


@pytest.mark.parametrize("changes", [{}, STRONG], ids=str)
def test_copies_to_the_device_do_not_block(
    changes: dict[str, object], parts: Parts, reader: ImageReader, make_config: Callable[..., MemberConfig]
) -> None:
    """Images, labels, and the numbers of augmentation, normalisation and mixing; `meta` stands for a GPU."""
    config = make_config(**AUGMENTED, **changes)
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, 4))
    with torch.device("meta"):
        sending = learner(config, parts, reader, model, Device("meta", "fp32"))
    batch = next(iter(TrainLoader(reader, parts.train.labels, config)))
    with Waits() as waits:
        images, targets = sending._prepare(batch)
    assert (images.device.type, targets.device.type) == ("meta", "meta")
    assert waits.found == []


def test_the_threads_of_a_trial_are_its_cpus() -> None:
    """Also at the second call in a process, when torch refuses to change the inter-op threads."""
    before = torch.get_num_threads()
    try:
        for n in (2, 1):
            use_threads(n)
            assert torch.get_num_threads() == n
    finally:
        torch.set_num_threads(before)
