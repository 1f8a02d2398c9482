"""How close to a GPU's limit does a member train, and how much faster than the notebook's way?

    python benchmarks/gpu_training.py --out results

Three networks with random initialization at batch size 64. Images per second of (a) the notebook's way in
plain fastai: fp16 by MixedPrecision, Adam, GradientAccumulation over two halves, its augmentation, JPEGs of
480x640 decoded by worker processes; (b) a member's way, as `tune-paddy search` trains it. Each runs from
JPEGs and from ready tensors on the device, which excludes the input path. Floating-point operations are three
times those counted in the forward pass. The ceiling is a large bf16 matrix product, measured first. Then four
processes, each with a quarter of the GPU, train a small network at once, compared with one alone.

Without a GPU the same runs use tiny networks in fp32 on one thread, two steps each. That only tests the
command: the figures do not apply to a GPU. Runs that have not started when the time is up are skipped and
listed.
"""

import argparse
import itertools
import json
import multiprocessing
import os
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

os.environ.setdefault("PYTHONWARNINGS", "ignore")  # fastai's and its worker processes'

import numpy as np
import timm
import torch
from fastai.callback.core import Callback, CancelFitException, TrainEvalCallback
from fastai.callback.fp16 import MixedPrecision
from fastai.callback.training import GradientAccumulation
from fastai.learner import Learner
from fastai.losses import CrossEntropyLossFlat
from fastai.optimizer import Adam
from fastai.vision.augment import Resize, aug_transforms
from fastai.vision.data import ImageDataLoaders
from PIL import Image
from sklearn.datasets import load_sample_images
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from tune_paddy.core.config import MemberConfig
from tune_paddy.training.accumulation import MemberLearner
from tune_paddy.training.batches.loaders import ImageReader, TrainLoader
from tune_paddy.training.devices import Device, pick_device, use_threads
from tune_paddy.training.networks.model import build_model, lay_out
from tune_paddy.training.optimizer import optimizer_factory, phases, run_phase, split_parameters

N_CLASSES = 10
ITEM_SIDE = 480
BACKWARD = 3
"""Number of operations of a training step per operation of its forward pass."""
WAIT_S = 300
"""Timeout of the processes that start together, in seconds; a failed one would block the others forever."""


@dataclass(frozen=True)
class Size:
    """Workload: networks, batch size and number of steps."""

    networks: tuple[tuple[str, int], ...]
    small: tuple[str, int]
    batch_size: int
    n_images: int
    warm_up: int
    steps: int
    matrix: int


ON_GPU = Size(
    networks=(
        ("convnext_large", 224),
        ("vit_large_patch16_224", 224),
        ("swinv2_large_window12_192", 192),
    ),
    small=("convnext_tiny", 128),
    batch_size=64,
    n_images=1024,
    warm_up=5,
    steps=20,
    matrix=8192,
)
ON_CPU = Size(
    networks=(("test_convnext", 64), ("test_vit", 64), ("tiny_swinv2", 64)),
    small=("test_resnet", 64),
    batch_size=4,
    n_images=16,
    warm_up=1,
    steps=2,
    matrix=512,
)


@dataclass(frozen=True)
class Row:
    """Result of one network, way and source of images."""

    arch: str
    way: str
    source: str
    images_per_second: float
    share_of_ceiling: float


class Deadline:
    """A time limit that records the skipped runs."""

    def __init__(self, minutes: float) -> None:
        self.started = time.monotonic()
        self.ends = self.started + 60 * minutes
        self.left_out: list[str] = []

    def allows(self, what: str) -> bool:
        """Return whether there is time to start `what`; if not, record it as skipped."""
        if time.monotonic() < self.ends:
            return True
        self.left_out.append(what)
        return False


class Clock(Callback):
    """Times an optimizer's steps after a warm-up, then ends the fit."""

    def __init__(self, size: Size, device: Device, begin: Callable[[], object] = lambda: None) -> None:
        self.warm_up, self.steps, self.n = size.warm_up, size.steps, 0
        self.wait, self.begin = device.synchronize, begin
        self.seconds = float("nan")

    def after_step(self) -> None:
        """Count a step; synchronize with the device only at the start and at the end."""
        self.n += 1
        if self.n == self.warm_up:
            self.wait()
            self.begin()
            self.started = time.perf_counter()
        if self.n == self.warm_up + self.steps:
            self.wait()
            self.seconds = time.perf_counter() - self.started
            raise CancelFitException


class Repeated:
    """A loader that yields the same batch `n` times."""

    def __init__(self, batch: Any, n: int) -> None:
        self.batch, self.n, self.epoch = batch, n, 0

    def __len__(self) -> int:
        return self.n

    def __iter__(self) -> Iterator[Any]:
        return itertools.repeat(self.batch, self.n)


class ReadyLearner(MemberLearner):
    """A member's learner whose batches are ready tensors on the device."""

    def _prepare(self, batch: Any) -> tuple[Tensor, Tensor]:
        return batch


def ceiling(device: Device, side: int) -> float:
    """Return the floating-point operations per second of a large matrix product, bf16 on a GPU."""
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    a, b = (torch.randn(side, side, device=device.torch, dtype=dtype) for _ in range(2))
    for repeat in (5, 20):
        device.synchronize()
        started = time.perf_counter()
        for _ in range(repeat):
            a @ b
        device.synchronize()
    return repeat * 2 * side**3 / (time.perf_counter() - started)


def operations_per_image(arch: str, side: int) -> float:
    """Return a training step's floating-point operations per image; torch's formulas count attention."""
    with torch.device("meta"):
        model = build_model(arch, N_CLASSES, size=(side, side)).eval()
        counter = FlopCounterMode(display=False)
        with counter:
            model(torch.zeros(2, 3, side, side))
    return BACKWARD * counter.get_total_flops() / 2


def write_jpegs(folder: Path, n: int) -> list[str]:
    """Write `n` different photographs of 480x640 px, cropped from scikit-learn's two; return their paths."""
    rng = np.random.default_rng(0)
    photographs = [Image.fromarray(pixels) for pixels in load_sample_images().images]
    paths = []
    for number in range(n):
        photograph = photographs[number % 2]
        left, top = rng.integers(0, photograph.width // 2), rng.integers(0, photograph.height // 2)
        box = (left, top, left + photograph.width // 2, top + photograph.height // 2)
        path = folder / f"{number:05d}.jpg"
        photograph.crop(box).resize((640, 480)).save(path, quality=92)
        paths.append(str(path))
    return paths


def notebook_way(arch: str, side: int, size: Size, device: Device, paths: list[str] | None) -> float:
    """Return the images per second of plain fastai."""
    half = size.batch_size // 2
    model = build_model(arch, N_CLASSES, size=(side, side)).to(device.torch)
    if paths is None:
        images = torch.rand(half, 3, side, side, device=device.torch)
        labels = torch.zeros(half, dtype=torch.long, device=device.torch)
        loaders: Any = SimpleNamespace(train=Repeated((images, labels), 10_000), device=device.torch)
    else:
        loaders = ImageDataLoaders.from_lists(
            Path(),
            paths,
            [str(number % N_CLASSES) for number in range(len(paths))],
            valid_pct=0.02,
            item_tfms=Resize(ITEM_SIDE, method="squish"),
            batch_tfms=aug_transforms(size=side, min_scale=0.75),
            bs=half,
            num_workers=min(16, os.cpu_count() or 1) if device.type == "cuda" else 0,
            device=device.torch,
        )
    clock = Clock(size, device)
    callbacks = [TrainEvalCallback(), GradientAccumulation(size.batch_size), clock]
    callbacks += [MixedPrecision()] if device.type == "cuda" else []
    learner = Learner(
        loaders,
        model,
        loss_func=CrossEntropyLossFlat(),
        opt_func=Adam,
        splitter=lambda network: [list(part.parameters()) for part in network],
        cbs=callbacks,
        default_cbs=False,
    )
    learner._do_epoch_validate = lambda *_args, **_kwargs: None
    learner.fit(100, 1e-4)
    return size.steps * size.batch_size / clock.seconds


def members_way(
    arch: str,
    side: int,
    size: Size,
    device: Device,
    paths: list[str] | None,
    *,
    begin: Callable[[], object] = lambda: None,
) -> float:
    """Return the images per second of a member's training; `begin` is called after the warm-up."""
    device.prefer_speed()
    config = MemberConfig(
        arch=arch,
        pretrained=False,
        size=side,
        resize_size=ITEM_SIDE,
        batch_size=size.batch_size,
        epochs=100,
        schedule="one_cycle",
        lr=1e-4,
    )
    model = lay_out(build_model(arch, N_CLASSES, size=(side, side)), device.type).to(device.torch)
    if paths is None:
        images = torch.rand(size.batch_size, 3, side, side, device=device.torch)
        labels = torch.zeros(size.batch_size, dtype=torch.long, device=device.torch)
        train: Any = Repeated((images, labels), 10_000)
        kind: type[MemberLearner] = ReadyLearner
    else:
        reader = ImageReader(paths, (ITEM_SIDE, ITEM_SIDE), "squish", os.cpu_count() or 1)
        train = TrainLoader(reader, np.arange(len(paths)) % N_CLASSES, config)
        kind = MemberLearner
    clock = Clock(size, device, begin)
    learner = kind(
        train,
        model,
        config,
        n_classes=N_CLASSES,
        device=device,
        opt_func=optimizer_factory(config),
        splitter=split_parameters,
        cbs=[clock],
    )
    run_phase(learner, phases(config)[0], start_epoch=0)
    return size.steps * size.batch_size / clock.seconds


def at_once(size: Size, n: int) -> float:
    """Return the total images per second of `n` processes that start together and share the device."""
    spawn = multiprocessing.get_context("spawn")
    with spawn.Manager() as manager, ProcessPoolExecutor(n, mp_context=spawn) as pool:
        barrier = manager.Barrier(n)
        jobs = [pool.submit(small_member, size, n, barrier) for _ in range(n)]
        return sum(job.result() for job in jobs)


def together(size: Size, deadline: Deadline) -> dict[int, float]:
    """Return the images per second of one process and of four at once."""
    return {n: at_once(size, n) for n in (1, 4) if deadline.allows(f"{size.small[0]} in {n} processes")}


def small_member(size: Size, n: int, barrier: Any) -> float:
    """Train the small network in this process, which shares its device with n - 1 others."""
    use_threads(1)
    device = pick_device()
    if device.type == "cuda":
        torch.cuda.set_per_process_memory_fraction(1 / n)
    longer = replace(size, steps=10 * size.steps)
    return members_way(*size.small, longer, device, None, begin=lambda: barrier.wait(WAIT_S))


def measure(size: Size, device: Device, paths: list[str], limit: float, deadline: Deadline) -> Iterator[Row]:
    ways = {"notebook": notebook_way, "member": members_way}
    for arch, side in size.networks:
        operations = operations_per_image(arch, side)
        for source, way in itertools.product(("ready tensors", "JPEGs"), ways):
            if not deadline.allows(f"{arch} from {source}, {way}"):
                continue
            rate = ways[way](arch, side, size, device, paths if source == "JPEGs" else None)
            row = Row(arch, way, source, rate, rate * operations / limit)
            print(f"{arch:<28} {source:<14} {way:<9} {rate:9.1f} {row.share_of_ceiling:9.1%}", flush=True)
            yield row
            if device.type == "cuda":
                torch.cuda.empty_cache()


def ratios(rows: list[Row]) -> dict[str, float]:
    """Return the speed-up of a member's way, by network and source of images."""
    rates = {(row.arch, row.source, row.way): row.images_per_second for row in rows}
    return {
        f"{arch}, {source}": rate / rates[arch, source, "notebook"]
        for (arch, source, way), rate in rates.items()
        if way == "member"
    }


def print_together(arch: str, rates: dict[int, float]) -> None:
    if len(rates) == 2:
        print(
            f"{arch}: {rates[1]:.0f} images/s alone, {rates[4]:.0f} with four at once, "
            f"{rates[4] / rates[1]:.2f} x (goal on a GPU: 1.5)"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("results"), help="folder for the full results")
    parser.add_argument("--minutes", type=float, default=8, help="time after which no run starts")
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    device = pick_device()
    on_gpu = device.type == "cuda"
    if not on_gpu:
        use_threads(1)
    size = ON_GPU if on_gpu else ON_CPU
    deadline = Deadline(options.minutes)
    limit = ceiling(device, size.matrix)
    name = torch.cuda.get_device_name() if on_gpu else "no GPU: the figures only show that the command runs"
    print(f"{name}; torch {torch.__version__}, timm {timm.__version__}; ceiling {limit / 1e12:.3g} TFLOP/s")
    print(f"{'network':<28} {'images from':<14} {'way':<9} {'images/s':>9} {'ceiling':>9}")
    with tempfile.TemporaryDirectory() as folder:
        paths = write_jpegs(Path(folder), size.n_images)
        rows = list(measure(size, device, paths, limit, deadline))
    rates = together(size, deadline)
    print("\na member's way against the notebook's (goal on a GPU: 3 from JPEGs)")
    for what, ratio in ratios(rows).items():
        print(f"  {what:<44} {ratio:5.2f} x")
    print_together(size.small[0], rates)
    for what in deadline.left_out:
        print(f"skipped, the time was up: {what}")
    print(f"{time.monotonic() - deadline.started:.0f} s in all")
    options.out.mkdir(parents=True, exist_ok=True)
    full = {"device": name, "torch": torch.__version__, "timm": timm.__version__, "ceiling": limit}
    full |= {"rows": [asdict(row) for row in rows], "at_once": rates, "left_out": deadline.left_out}
    (options.out / "gpu_training.json").write_text(json.dumps(full, indent=1), "utf-8")


if __name__ == "__main__":
    main()
