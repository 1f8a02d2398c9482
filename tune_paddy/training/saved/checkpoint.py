"""Checkpoints of a member in training: one safetensors file per epoch, written atomically.

They hold no random state: each epoch seeds its own random streams, see `loaders.TrainLoader` and `member`.
"""

import json
import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.amp.grad_scaler import GradScaler

from tune_paddy.training.saved.checkpoint_files import CHECKPOINTS

KEEP = 2
_MODEL, _OPTIMIZER, _AVERAGE = "model/", "optimizer/", "ema/"


@dataclass(frozen=True)
class Averaged:
    """The state of a moving average.

    Attributes:
        steps: Number of optimizer steps that it has counted.
        state: State dict of the averaged network.
    """

    steps: int
    state: Mapping[str, Tensor]


@dataclass(frozen=True)
class Checkpoint:
    """The state of a member after an epoch.

    Attributes:
        epoch: Number of finished epochs over all phases.
        model: State dict of the network.
        optimizer: `state` of the optimizer's state dict: parameter number → name → tensor.
        scaler: State dict of the loss scaler.
        history: Metrics of each finished epoch, in order.
        numbers: The numbers in the optimizer's state beside its tensors: parameter number → name → number.
        steps: Count of steps that an optimizer keeps for each parameter group; empty if it keeps none.
        averaged: State of the moving average; None without one.
    """

    epoch: int
    model: Mapping[str, Tensor]
    optimizer: Mapping[int, Mapping[str, Tensor]]
    scaler: Mapping[str, Any]
    history: list[dict[str, float]]
    numbers: Mapping[int, Mapping[str, float]] = field(default_factory=dict)
    steps: Sequence[float] = ()
    averaged: Averaged | None = None

    def restore_optimizer(self, optimizer: torch.optim.Optimizer) -> None:
        """Restore the moments; the schedule sets learning rates and momentum.

        The moments get the parameters' memory layout: fused kernels traverse both side by side.
        """
        parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
        state: dict[int, dict[str, Any]] = {
            number: {name: _laid_out(value, parameters[number]) for name, value in values.items()}
            for number, values in self.optimizer.items()
        }
        for number, numbers in self.numbers.items():
            state.setdefault(number, {}).update(numbers)
        groups = optimizer.state_dict()["param_groups"]
        for group, step in zip(groups, self.steps, strict=False):
            group["step"] = torch.tensor(step)
        optimizer.load_state_dict({"state": state, "param_groups": groups})


def save_checkpoint(
    folder: Path,
    *,
    epoch: int,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    scaler: GradScaler,
    history: list[dict[str, float]],
    averaged: Averaged | None = None,
    spared: Collection[int] = (),
) -> Path:
    """Write the checkpoint of an epoch atomically, and remove all but the last two and the spared epochs'.

    Returns:
        Path of the checkpoint.
    """
    tensors = {_MODEL + name: tensor for name, tensor in model.state_dict().items()}
    if averaged is not None:
        tensors |= {_AVERAGE + name: tensor for name, tensor in averaged.state.items()}
    saved = optimizer.state_dict()
    numbers: dict[int, dict[str, float]] = {}
    for number, values in saved["state"].items():
        for name, value in values.items():
            if isinstance(value, Tensor):
                tensors[f"{_OPTIMIZER}{number}/{name}"] = value
            elif value is not None:
                numbers.setdefault(number, {})[name] = value
    meta = {
        "epoch": epoch,
        "scaler": scaler.state_dict(),
        "history": history,
        "numbers": numbers,
        "steps": [float(group["step"]) for group in saved["param_groups"] if "step" in group],
        "ema_steps": 0 if averaged is None else averaged.steps,
    }
    path = _path(folder, epoch)
    write_safetensors(path, tensors, {"meta": json.dumps(meta)})
    stay = {_path(folder, number) for number in spared}
    for old in sorted(folder.glob(CHECKPOINTS))[:-KEEP]:
        if old not in stay:
            old.unlink()
    return path


def load_latest(folder: Path) -> Checkpoint | None:
    """Return the newest readable checkpoint, or None."""
    paths = sorted(folder.glob(CHECKPOINTS), reverse=True)
    # One that a full disk or a crash of the machine has truncated leaves the turn to the previous one.
    return next((found for found in map(_readable, paths) if found is not None), None)


def load_epoch(folder: Path, epoch: int) -> Checkpoint | None:
    """Return the checkpoint of an epoch, or None if it is missing or damaged."""
    return _readable(_path(folder, epoch))


def _path(folder: Path, epoch: int) -> Path:
    return folder / f"checkpoint-{epoch:05d}.safetensors"


def _readable(path: Path) -> Checkpoint | None:
    try:
        return _load(path)
    except (SafetensorError, OSError, ValueError, KeyError, TypeError, RuntimeError):
        return None


def write_safetensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write a safetensors file atomically.

    Tensors may be on any device and share memory, as tied parameters do; each is stored separately.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    stored = {name: _stored(tensor) for name, tensor in tensors.items()}
    try:
        save_file(stored, partial, metadata=dict(metadata))
        with partial.open("rb") as handle:
            os.fsync(handle.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _stored(tensor: Tensor) -> Tensor:
    return tensor.detach().to("cpu", copy=True).contiguous()


def _laid_out(value: Tensor, parameter: Tensor) -> Tensor:
    """Return a moment in the memory layout of its parameter, and a step count unchanged."""
    if value.shape != parameter.shape:
        return value
    return torch.empty_like(parameter, dtype=value.dtype, device=value.device).copy_(value)


def _load(path: Path) -> Checkpoint:
    model: dict[str, Tensor] = {}
    average: dict[str, Tensor] = {}
    optimizer: dict[int, dict[str, Tensor]] = {}
    with safe_open(path, framework="pt") as file:
        meta = json.loads(file.metadata()["meta"])
        for key in file.keys():  # noqa: SIM118 not a dict: it has no iterator
            if key.startswith(_MODEL):
                model[key.removeprefix(_MODEL)] = file.get_tensor(key)
            elif key.startswith(_AVERAGE):
                average[key.removeprefix(_AVERAGE)] = file.get_tensor(key)
            else:
                number, name = key.removeprefix(_OPTIMIZER).split("/")
                optimizer.setdefault(int(number), {})[name] = file.get_tensor(key)
    return Checkpoint(
        epoch=meta["epoch"],
        model=model,
        optimizer=optimizer,
        scaler=meta["scaler"],
        history=meta["history"],
        # Checkpoints of earlier versions lack the following.
        numbers={int(number): values for number, values in meta.get("numbers", {}).items()},
        steps=meta.get("steps", ()),
        averaged=Averaged(meta["ema_steps"], average) if average else None,
    )
