"""Does `compile: true` save time, and does a compiled network compute the same?

    python benchmarks/compile_option.py [--out results]

Each network trains twice on the digits through `train_member`, from the same random initialization and
without dropout, once plain and once compiled. The table shows the seconds of the first epoch, which include
the compilation, the minimum of the later epochs, the number of epochs after which the compilation pays off,
and the error rates on the test images. Two runs that differ by a rounding error diverge: AdamW turns the
rounding errors of zero gradients, such as those of a bias before a normalisation, into full steps. The
networks are therefore compared on one step from the initialization: the relative distance of all gradients
from those in double precision. On a GPU, that step runs in fp32 and the training in bf16.
"""

import argparse
import copy
import json
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from tune_paddy.core.config import MemberConfig
from tune_paddy.core.metrics import error_rate
from tune_paddy.data.dataset import Dataset
from tune_paddy.data.member_data import Parts, make_parts
from tune_paddy.data.samples import TEST_LABELS, write_digits
from tune_paddy.data.split import make_select_split
from tune_paddy.training.member import train_member
from tune_paddy.training.networks.compilation import compile_model
from tune_paddy.training.networks.model import build_model, lay_out
from tune_paddy.training.results import MemberResult
from tune_paddy.training.runtime import Runtime

NETWORKS = (("resnet18", 64), ("vit_tiny_patch16_224", 64), ("convnext_atto", 64))
EPOCHS, THREADS = 4, 2
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


@dataclass(frozen=True)
class Row:
    """Results of one network; each pair is (plain, compiled)."""

    arch: str
    first_seconds: tuple[float, float]
    later_seconds: tuple[float, float]
    error_rate: tuple[float, float]
    gradient_error: tuple[float, float]

    @property
    def epochs_to_repay(self) -> float:
        """Number of epochs after which the compilation pays off; infinity if it never does."""
        gain = self.later_seconds[0] - self.later_seconds[1]
        return (self.first_seconds[1] - self.first_seconds[0]) / gain if gain > 0 else float("inf")


def compare(arch: str, side: int, parts: Parts, truth: NDArray[np.int64], folder: Path) -> Row:
    """Train a network, plain and compiled, and compare."""
    results = [_trained(arch, side, parts, folder / f"{arch}-{way}", compile_it=way) for way in (False, True)]
    seconds = [[epoch["train_seconds"] for epoch in result.history] for result in results]
    errors = [error_rate(result.predictions.test["plain"], truth) for result in results]
    return Row(
        arch=arch,
        first_seconds=(seconds[0][0], seconds[1][0]),
        later_seconds=(min(seconds[0][1:]), min(seconds[1][1:])),
        error_rate=(errors[0], errors[1]),
        gradient_error=gradient_errors(arch, side),
    )


def gradient_errors(arch: str, side: int) -> tuple[float, float]:
    """Return the relative distance of one step's gradients from double precision, (plain, compiled)."""
    torch.manual_seed(0)
    plain = build_model(arch, 10, size=(side, side), pretrained=False, drop_path=0.0, dropout=0.0)
    lay_out(plain, DEVICE).to(DEVICE)
    compiled, double = copy.deepcopy(plain), copy.deepcopy(plain).double()
    compile_model(compiled, THREADS)
    images = torch.randn(64, 3, side, side, device=DEVICE)
    labels = torch.randint(0, 10, (64,), device=DEVICE)
    exact = _gradients(double, images.double(), labels)
    distances = [(_gradients(net, images, labels) - exact).norm() / exact.norm() for net in (plain, compiled)]
    return float(distances[0]), float(distances[1])


def _gradients(network: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    loss = cross_entropy(network(images), labels)
    loss.backward()  # type: ignore[no-untyped-call]
    found = [parameter.grad for parameter in network.parameters() if parameter.grad is not None]
    return torch.cat([gradient.double().flatten() for gradient in found])


def _trained(arch: str, side: int, parts: Parts, folder: Path, *, compile_it: bool) -> MemberResult:
    config = MemberConfig(
        arch=arch,
        size=(side, side),
        pretrained=False,
        schedule="one_cycle",
        epochs=EPOCHS,
        lr=1e-3,
        batch_size=64,
        dropout=0.0,
        drop_path=0.0,
        tta=0,
        compile=compile_it,
    )
    return train_member(config, parts, Runtime(folder, cpus=THREADS))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, help="Folder for the figures as JSON.")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = f"{name}/compiled"  # no cache hits from an earlier run
        dataset = Dataset.open(write_digits(Path(name) / "digits"))
        parts = make_parts(dataset, make_select_split(dataset, share=0.2, seed=0))
        labels = pd.read_csv(Path(name) / "digits" / TEST_LABELS, dtype=str).set_index("image_id")["label"]
        truth = np.array([parts.classes.index(labels[image]) for image in parts.test.ids])
        rows = [compare(arch, side, parts, truth, Path(name)) for arch, side in NETWORKS]
    device = torch.cuda.get_device_name() if DEVICE == "cuda" else f"CPU, {THREADS} threads"
    print(f"{len(parts.train)} images, {device}; plain / compiled\n")
    print("| network | first epoch, s | later epoch, s | epochs to pay off | error rate | gradient error |")
    print("|---|---|---|---|---|---|")
    for row in rows:
        first, later = (f"{a:.2f} / {b:.2f}" for a, b in (row.first_seconds, row.later_seconds))
        errors, off = row.error_rate, row.gradient_error
        print(
            f"| {row.arch} | {first} | {later} | {row.epochs_to_repay:.0f} "
            f"| {errors[0]:.1%} / {errors[1]:.1%} | {off[0]:.1e} / {off[1]:.1e} |"
        )
    if options.out:
        options.out.mkdir(parents=True, exist_ok=True)
        text = json.dumps([vars(row) for row in rows], indent=1)
        (options.out / "compile_option.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
