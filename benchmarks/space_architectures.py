"""Does every architecture of a search space build, load, fit and train?

    python benchmarks/space_architectures.py strong

For each architecture: its largest size, the accum and memory forecast for a GPU of 16,280 MiB, whether a file
with the tensors of its pretrained weights loads at each of the space's sizes, and two real optimizer steps of
the whole network on the CPU, at its smallest size with two images. The tensors of the file have random
values: only their names and shapes count, and no network is needed. Large networks take 5 GB of memory.
"""

import argparse
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import timm
import torch
from safetensors.torch import save_file

from tune_paddy.core.config import MemberConfig
from tune_paddy.core.errors import InputError
from tune_paddy.spaces.space import SearchSpace, find_space
from tune_paddy.training.forecast.planning import MemoryRow, find_gpu, plan_space
from tune_paddy.training.networks.architectures import resolve_arch
from tune_paddy.training.networks.licences import weights_origin
from tune_paddy.training.networks.model import build_model
from tune_paddy.training.optimizer import optimizer_factory, split_parameters

KAGGLE_MIB = 16_280.0
CLASSES = 10


def main() -> None:
    """Print one line per architecture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("space", nargs="?", default="strong")
    parser.add_argument("--mib", type=float, default=KAGGLE_MIB, help="memory of the GPU, MiB")
    options = parser.parse_args()
    torch.manual_seed(0)
    space = SearchSpace.load(find_space(options.space))
    share = 1.0 if space.settings.gpu in (0, "auto") else float(space.settings.gpu)
    by_arch: dict[str, list[MemoryRow]] = {}
    for row in plan_space(space, find_gpu(None, options.mib, None), share, n_classes=CLASSES):
        by_arch.setdefault(row.config.arch, []).append(row)
    print(f"A GPU of {options.mib:,.0f} MiB, share {share:g}; {len(by_arch)} architectures")
    print(
        f"{'architecture':55} {'px':>5} {'M par.':>6} accum {'MiB':>7} loads  loss of two steps, s   licence"
    )
    for arch, rows in by_arch.items():
        print(line_of(arch, rows), flush=True)


def line_of(arch: str, rows: list[MemoryRow]) -> str:
    """Return the findings on one architecture."""
    worst = max(rows, key=lambda row: row.plan.accum * row.plan.forecast_mib)
    configs = list({row.config.size: row.config for row in rows}.values())
    loads = "yes" if all(loads_at(configs)) else "NO"
    started = time.perf_counter()
    losses = two_steps(min(configs, key=lambda config: config.size))
    seconds = time.perf_counter() - started
    fits = "" if worst.plan.fits else " DOES NOT FIT"
    return (
        f"{arch:55} {worst.config.size[0]:5} {worst.footprint.parameters / 1e6:6.1f} {worst.plan.accum:5} "
        f"{worst.plan.forecast_mib:7,.0f}{fits} {loads:5}  {losses[0]:.2f} {losses[1]:.2f} {seconds:6.1f} s  "
        f"{weights_origin(arch, True).licence}"
    )


def loads_at(configs: list[MemberConfig]) -> Iterator[bool]:
    """Yield whether a file with the tensors of the pretrained weights loads at each size."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "weights.safetensors"
        native = timm.create_model(resolve_arch(configs[0].arch))
        save_file({name: tensor.contiguous().clone() for name, tensor in native.state_dict().items()}, file)
        del native
        for config in configs:
            try:
                build_model(config.arch, CLASSES, size=config.size, pretrained=str(file))
            except InputError as error:
                print(error)
                yield False
            else:
                yield True


def two_steps(config: MemberConfig) -> list[float]:
    """Train all parameters on two noise images for two steps; return the loss of each step."""
    model = build_model(config.arch, CLASSES, size=config.size).train()
    optimizer = optimizer_factory(config)(split_parameters(model), lr=1e-4)
    images, labels = torch.randn(2, 3, *config.size), torch.tensor([0, 1])
    losses = []
    for _ in range(2):
        loss = torch.nn.functional.cross_entropy(model(images), labels)
        loss.backward()
        if not all(parameter.grad is not None for parameter in model[1].parameters()):
            raise RuntimeError(f"{config.arch}: a parameter of the head has no gradient")
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    if not torch.isfinite(torch.tensor(losses)).all():
        raise RuntimeError(f"{config.arch}: losses {losses}")
    return losses


if __name__ == "__main__":
    main()
