"""A trained member on disk: a safetensors weights file beside a JSON configuration."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeVar

import torch
from pydantic import BaseModel, ConfigDict, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import nn

from tune_paddy.core.config import MemberConfig
from tune_paddy.core.errors import InputError
from tune_paddy.core.tasks.names import CLASSES, TaskName
from tune_paddy.core.tasks.task import Task
from tune_paddy.data.pixel_range import PixelRange
from tune_paddy.data.system.files import read_file, write_atomically
from tune_paddy.data.system.text import shown
from tune_paddy.training.networks.members import member_network
from tune_paddy.training.networks.model import lay_out
from tune_paddy.training.networks.plan import without_initial_weights
from tune_paddy.training.saved.checkpoint import write_safetensors
from tune_paddy.training.saved.weight_files import AVERAGE, CONFIG, WEIGHTS

Result = TypeVar("Result")


class _SavedConfig(BaseModel):
    model_config = ConfigDict(extra="forbid")

    format: Literal[1]
    config: MemberConfig
    classes: list[str]
    pixel_range: tuple[float, float] | None = None  # missing in files of versions before it
    task: TaskName = "classes"  # the same


@dataclass(frozen=True)
class SavedMember:
    """A loaded member.

    Attributes:
        config: Configuration.
        classes: Class names, in the order of the predictions' columns.
        model: Network in evaluation mode.
        pixel_range: Range of the deep images that it was trained on; None: 8 bits, or each by itself.
        task: What the labels are.
    """

    config: MemberConfig
    classes: tuple[str, ...]
    model: nn.Sequential
    pixel_range: PixelRange | None = None
    task: Task = field(default_factory=lambda: Task.of(CLASSES))


def save_member(
    folder: Path,
    model: nn.Module,
    config: MemberConfig,
    classes: tuple[str, ...],
    *,
    pixel_range: PixelRange | None = None,
    task: Task | None = None,
    ema: nn.Module | None = None,
) -> None:
    """Write a member; the configuration comes last, so a folder that has one is complete."""
    if ema is not None:
        write_safetensors(folder / AVERAGE, ema.state_dict(), {"format": "pt"})
    write_safetensors(folder / WEIGHTS, model.state_dict(), {"format": "pt"})
    saved = _SavedConfig(
        format=1,
        config=config,
        classes=list(classes),
        pixel_range=pixel_range,
        task=CLASSES if task is None else task.name,
    )
    write_atomically(folder / CONFIG, (saved.model_dump_json(indent=2) + "\n").encode())


def read_config(folder: Path) -> MemberConfig:
    """Read the configuration alone.

    Raises:
        InputError: The configuration is missing or damaged.
    """
    return _read(folder).config


def load_member(folder: Path) -> SavedMember:
    """Load a member from its folder.

    Raises:
        InputError: A file is missing, damaged or does not match the architecture; the message names it.
    """
    saved = _read(folder)
    model = _load_network(folder, WEIGHTS, saved)
    return SavedMember(saved.config, tuple(saved.classes), model, saved.pixel_range, Task.of(saved.task))


def load_average(folder: Path) -> nn.Sequential:
    """Load a member's network with its averaged parameters, in evaluation mode.

    Raises:
        InputError: A file is missing, damaged or does not match the architecture; the message names it.
    """
    if not (folder / AVERAGE).is_file():
        raise InputError(
            f"{shown(folder)} has no averaged parameters, which its view `ema` needs; train the member again "
            "with `ema`"
        )
    return _load_network(folder, AVERAGE, _read(folder))


def _load_network(folder: Path, name: str, saved: _SavedConfig) -> nn.Sequential:
    path = folder / name
    _check_shapes(path, saved)
    tensors = _opened(folder, lambda: load_file(path))
    model = _build(saved)
    try:
        model.load_state_dict(tensors)
    except RuntimeError as error:
        raise _misfit(path, saved, str(error).splitlines()[0]) from error
    lay_out(model, "cpu").eval()
    return model


def _build(saved: _SavedConfig) -> nn.Sequential:
    return member_network(saved.config, len(saved.classes))


def _check_shapes(path: Path, saved: _SavedConfig) -> None:
    """Compare the weights file with the configuration, without memory for either.

    Otherwise a few bytes of configuration decide how much memory is taken.
    """
    found = _opened(path.parent, lambda: _stored_shapes(path))
    try:
        with torch.device("meta"), without_initial_weights():
            model = _build(saved)
    except RuntimeError:
        return  # an architecture that needs values while it is built; torch compares it later
    wanted = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    odd = next((name for name in (*wanted, *found) if wanted.get(name) != found.get(name)), None)
    if odd is not None:
        there, needed = (_described(shapes.get(odd)) for shapes in (found, wanted))
        raise _misfit(path, saved, f"{shown(odd)} has {there} in the file, and needs {needed}")


def _stored_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    with safe_open(path, framework="pt") as file:
        return {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118


def _described(shape: tuple[int, ...] | None) -> str:
    return "no values" if shape is None else f"shape {list(shape)}"


def _opened(folder: Path, read: Callable[[], Result]) -> Result:
    try:
        return read()
    except (
        OSError,
        SafetensorError,
        RuntimeError,
        MemoryError,
    ) as error:  # the last two: it cannot be mapped
        raise _unreadable(folder, error) from error


def _misfit(path: Path, saved: _SavedConfig, reason: str) -> InputError:
    arch = saved.config.arch
    return InputError(f"{shown(path)} does not match {arch}: {reason}; train the member again")


def _read(folder: Path) -> _SavedConfig:
    try:
        return _SavedConfig.model_validate_json(read_file(folder / CONFIG, most=64, what="a saved member"))
    except (InputError, ValidationError) as error:
        raise _unreadable(folder, error) from error


def _unreadable(folder: Path, error: Exception) -> InputError:
    return InputError(f"{shown(folder)} holds no readable member: {_first_line(error)}")


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0] or "it does not fit into memory"
