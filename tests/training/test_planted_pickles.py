"""Files that would run code if they were unpickled are refused, and the code does not run."""

import io
import pickle
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tune_paddy.core.errors import InputError
from tune_paddy.data.ensemble_file import read_ensemble
from tune_paddy.data.images import ImageError, load_rgb
from tune_paddy.spaces.problems import SpaceError
from tune_paddy.spaces.space import SearchSpace
from tune_paddy.tracking.predictions_file import read_predictions
from tune_paddy.training.forecast.calibration_files import load_calibration
from tune_paddy.training.networks.model import build_model
from tune_paddy.training.saved.checkpoint import load_latest
from tune_paddy.training.saved.member_files import WEIGHTS, load_member


class Canary:
    """Creates a file when it is unpickled."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.trace,)


def plain_pickle(trace: Path) -> bytes:
    return pickle.dumps(Canary(trace))


def torch_file(trace: Path) -> bytes:
    file = io.BytesIO()
    torch.save({"weight": Canary(trace)}, file)
    return file.getvalue()


def numpy_file(trace: Path) -> bytes:
    file = io.BytesIO()
    np.save(file, np.array([Canary(trace)], object), allow_pickle=True)
    return file.getvalue()


def numpy_archive(trace: Path) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name in ("format", "classes", "split", "select_ids", "select_labels", "test_ids"):
            archive.writestr(f"{name}.npy", numpy_file(trace))
    return file.getvalue()


def yaml_tag(trace: Path) -> bytes:
    return f"!!python/object/apply:os.system ['touch {trace}']\n".encode()


PLANTS = (plain_pickle, torch_file, numpy_file, numpy_archive, yaml_tag)


def load_weights(path: Path) -> Any:
    return build_model("test_resnet", 3, size=(32, 32), pretrained=str(path))


def load_checkpoint(path: Path) -> None:
    shutil.copy(path, path.with_name("checkpoint-00001.safetensors"))
    if load_latest(path.parent) is None:
        raise InputError("no readable checkpoint")


def load_saved_member(path: Path) -> Any:
    shutil.copy(path, path.with_name(WEIGHTS))
    config = '{"format": 1, "config": {"arch": "test_resnet", "size": 32}, "classes": ["a", "b"]}'
    (path.parent / "member.json").write_text(config)
    return load_member(path.parent)


READERS: dict[str, tuple[str, Callable[[Path], Any]]] = {
    "predictions": ("predictions.npz", read_predictions),
    "space": ("space.yaml", SearchSpace.load),
    "ensemble": ("ensemble.json", read_ensemble),
    "calibration": ("mine.json", lambda path: load_calibration(str(path))),
    "image": ("image.jpg", load_rgb),
    "pretrained weights": ("weights.safetensors", load_weights),
    "checkpoint": ("planted", load_checkpoint),
    "saved member": ("planted", load_saved_member),
}


@pytest.mark.parametrize("plant", PLANTS)
@pytest.mark.parametrize(("name", "read"), READERS.values(), ids=READERS)
def test_a_planted_file_is_refused_and_nothing_runs(
    tmp_path: Path, plant: Callable[[Path], bytes], name: str, read: Callable[[Path], Any]
) -> None:
    trace = tmp_path / "trace"
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / name).write_bytes(plant(trace))
    with pytest.raises((InputError, ImageError, SpaceError)):
        read(folder / name)
    assert not trace.exists()


@pytest.mark.parametrize("content", [b"[" * 100_000, b"\xff", b"", b"[]", b'{"format": 1, "classes": 1}'])
def test_a_damaged_configuration_of_a_member_gives_a_one_line_error(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "member.json").write_bytes(content)
    with pytest.raises(InputError) as error:
        load_member(tmp_path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("plant", PLANTS[:3])
def test_the_plants_would_run(tmp_path: Path, plant: Callable[[Path], bytes]) -> None:
    """Otherwise the first test would prove nothing."""
    trace = tmp_path / "trace"
    content = io.BytesIO(plant(trace))
    unpickle: dict[Any, Callable[[Any], Any]] = {
        plain_pickle: pickle.load,
        torch_file: lambda file: torch.load(file, weights_only=False),
        numpy_file: lambda file: np.load(file, allow_pickle=True),
    }
    unpickle[plant](content)
    assert trace.exists()
