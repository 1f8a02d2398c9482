"""A trained member on disk: a safetensors weights file beside a JSON configuration."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from tune_paddy.core.config import MemberConfig
from tune_paddy.core.errors import InputError
from tune_paddy.core.tasks.names import CLASSES
from tune_paddy.core.tasks.task import Task
from tune_paddy.data.pixel_range import PixelRange
from tune_paddy.data.system.files import read_file, write_atomically
from tune_paddy.training.networks.model import build_model, lay_out
from tune_paddy.training.saved.checkpoint import write_safetensors
from tune_paddy.training.saved.weight_files import CONFIG, WEIGHTS


class _SavedConfig(BaseModel):
    model_config = ConfigDict(extra="forbid")

    format: Literal[1]
    config: MemberConfig
    classes: list[str]
    pixel_range: tuple[float, float] | None = None  # missing in files of versions before it
    task: Literal["classes", "ordered", "multilabel"] = "classes"  # the same


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
) -> None:
    """Write a member; the configuration comes last, so a folder that has one is complete."""
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
    try:
        tensors = load_file(folder / WEIGHTS)
    except (OSError, SafetensorError) as error:
        raise _unreadable(folder, error) from error
    config = saved.config
    model = build_model(
        config.arch, len(saved.classes), size=config.size, drop_path=config.drop_path, dropout=config.dropout
    )
    try:
        model.load_state_dict(tensors)
    except RuntimeError as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"{folder / WEIGHTS} does not match {config.arch}: {reason}") from error
    lay_out(model, "cpu").eval()
    return SavedMember(config, tuple(saved.classes), model, saved.pixel_range, Task.of(saved.task))


def _read(folder: Path) -> _SavedConfig:
    try:
        return _SavedConfig.model_validate_json(read_file(folder / CONFIG, most=64, what="a saved member"))
    except (InputError, ValidationError) as error:
        raise _unreadable(folder, error) from error


def _unreadable(folder: Path, error: Exception) -> InputError:
    return InputError(f"{folder} holds no readable member: {str(error).splitlines()[0]}")
