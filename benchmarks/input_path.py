"""How much CPU time does an image take from its file to the network, compared with plain fastai?

    OMP_NUM_THREADS=1 python benchmarks/input_path.py [--images 96] [--rounds 3] [--seconds 20]

The notebook's path: 480×640 JPEGs, `Resize(480, method="squish")`, `aug_transforms(size=224,
min_scale=0.75)`, ImageNet's statistics, and `learn.tta(n=4)` with a network that only averages. This
project's path: the same member, from files and from the image cache. Milliseconds are this process's CPU time
per image with one thread, the minimum of interleaved rounds. They exclude imports, opening the cache and
other work on the machine. Two trials at once are two processes that work for the same wall time, each with
one thread; the ways alternate.

The photographs are parts of scikit-learn's two, slightly enlarged, with noise: about 100 kB each.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
warnings.filterwarnings("ignore")

import numpy as np  # noqa: E402 after OMP_NUM_THREADS is set
import torch  # noqa: E402
from fastai.vision.all import (  # noqa: E402
    CategoryBlock,
    DataBlock,
    ImageBlock,
    Learner,
    Normalize,
    RandomSplitter,
    Resize,
    aug_transforms,
    imagenet_stats,
)
from PIL import Image  # noqa: E402
from sklearn.datasets import load_sample_images  # noqa: E402
from torch import nn  # noqa: E402

from tune_paddy.core.config import MemberConfig  # noqa: E402
from tune_paddy.data.image_cache.cache import ImageCache, ImageSet, Resizing  # noqa: E402
from tune_paddy.data.image_cache.entry import CachedImages  # noqa: E402
from tune_paddy.training.batches.augment import augment, normalize  # noqa: E402
from tune_paddy.training.batches.decoding import load_scaled  # noqa: E402
from tune_paddy.training.batches.loaders import ImageReader, TrainLoader  # noqa: E402
from tune_paddy.training.devices import Device  # noqa: E402
from tune_paddy.training.views import predict  # noqa: E402

CONFIG = MemberConfig(arch="any", size=224, resize_size=480, batch_size=32, subsample=1.0)
STATS = (tuple(imagenet_stats[0]), tuple(imagenet_stats[1]))
GOALS = {"loader": 2.0, "whole path": 4.0, "tta": 3.0, "two at once": 4.0}
WAYS = ("fastai", "files", "cache")
N_CLASSES = 10


def make_photographs(folder: Path, n: int) -> list[str]:
    rng = np.random.default_rng(0)
    photographs = [Image.fromarray(image) for image in load_sample_images().images]
    paths = []
    for number in range(n):
        left, top = rng.integers(0, 300), rng.integers(0, 20)
        part = photographs[number % 2].crop((left, top, left + 300, top + 400))
        pixels = np.asarray(part.resize((480, 640), Image.Resampling.BICUBIC), float)
        noisy = (pixels + rng.normal(0, 6, pixels.shape)).clip(0, 255).astype(np.uint8)
        paths.append(str(folder / f"{number:04d}.jpg"))
        Image.fromarray(noisy).save(paths[-1], quality=90)
    return paths


def mean_network() -> nn.Module:
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, N_CLASSES))


class Fastai:
    """The notebook's input path."""

    def __init__(self, paths: list[str]) -> None:
        def block(batch_tfms: list[object]) -> DataBlock:
            return DataBlock(
                blocks=(ImageBlock, CategoryBlock),
                get_items=lambda _: list(map(Path, paths)),
                get_y=lambda path: str(int(path.stem) % N_CLASSES),
                splitter=RandomSplitter(0.0),
                item_tfms=Resize(CONFIG.item_size, method="squish"),
                batch_tfms=batch_tfms,
            )

        transforms = [*aug_transforms(size=224, min_scale=0.75), Normalize.from_stats(*imagenet_stats)]
        options = {"bs": CONFIG.batch_size, "num_workers": 0, "drop_last": False}
        self._dls = block(transforms).dataloaders(None, **options)
        self._bare = block([]).dataloaders(None, **options)
        self._bare.train.after_batch.fs.clear()
        self._learner = Learner(self._dls, mean_network(), loss_func=nn.CrossEntropyLoss())

    def loader(self) -> None:
        """Decode, resize and collate all images once."""
        for _ in self._bare.train:
            pass

    def whole(self) -> None:
        """Run everything before the network in a training epoch."""
        for _ in self._dls.train:
            pass

    def tta(self) -> None:
        """Predict the plain view and four augmented passes."""
        with self._learner.no_bar(), self._learner.no_logging():
            self._learner.tta(ds_idx=0, n=4)


class Ours:
    """This project's input path, from files or from the cache."""

    def __init__(self, paths: list[str], cached: CachedImages | None = None) -> None:
        self._reader = ImageReader(paths, CONFIG.item_size, CONFIG.resize, 1, cached)
        self._train = TrainLoader(self._reader, np.arange(len(paths)) % N_CLASSES, CONFIG)

    def loader(self) -> None:
        """Decode, resize and collate all images once."""
        for _ in self._train:
            pass

    def whole(self) -> None:
        """Run everything before the network in a training epoch."""
        for batch in self._train:
            normalize(augment(batch.images, batch.draws, CONFIG.size), *STATS)

    def tta(self) -> None:
        """Predict the plain view and four augmented passes."""
        predict(
            mean_network(),
            self._reader,
            CONFIG,
            device=Device("cpu", "fp32"),
            batch_size=CONFIG.batch_size,
            stats=STATS,
            n_classes=N_CLASSES,
        )


def open_cache(paths: list[str], folder: Path) -> CachedImages:
    def load(path: str) -> np.ndarray:
        return load_scaled(path, CONFIG.item_size, CONFIG.resize)

    resizing = Resizing(CONFIG.item_size, CONFIG.resize)
    return ImageCache(folder, 10**11).open(ImageSet("benchmark", tuple(paths)), resizing, load)


def make_way(name: str, paths: list[str], folder: Path) -> "Fastai | Ours":
    if name == "fastai":
        return Fastai(paths)
    return Ours(paths, open_cache(paths, folder) if name == "cache" else None)


def cpu_ms(work: Callable[[], object], n: int) -> float:
    started = time.process_time()
    work()
    return 1000 * (time.process_time() - started) / n


def one_at_a_time(paths: list[str], folder: Path, rounds: int) -> None:
    build = cpu_ms(lambda: open_cache(paths, folder).close(), len(paths))
    again = cpu_ms(lambda: open_cache(paths, folder).close(), len(paths))
    ways = {name: make_way(name, paths, folder) for name in WAYS}
    print(f"{'CPU ms / image':<16} {'fastai':>8} {'files':>8} {'ratio':>7} {'cache':>8} {'ratio':>7}  goal")
    for label, method in (("loader", "loader"), ("whole path", "whole"), ("tta", "tta")):
        todo = {name: getattr(way, method) for name, way in ways.items()}
        for do in todo.values():
            do()  # warm-up
        times = [{name: cpu_ms(do, len(paths)) for name, do in todo.items()} for _ in range(rounds)]
        fastai, files, cache = (min(each[name] for each in times) for name in WAYS)
        judged = "files" if label == "loader" else "cache"
        print(f"{label:<16} {fastai:8.2f} {files:8.2f} {fastai / files:6.1f}× ", end="")
        print(f"{cache:8.2f} {fastai / cache:6.1f}×  {judged} ≥ {GOALS[label]:g}")
    print(f"cache: {build:.2f} ms per image to build, {again:.3f} ms to open when it exists")


def two_at_once(folder: Path, n: int, seconds: float, rounds: int) -> None:
    """Run two processes of one way at a time; alternate the ways."""
    pairs = {name: [start_worker(name, folder, n) for _ in range(2)] for name in WAYS}
    images = dict.fromkeys(WAYS, 0.0)
    for _ in range(rounds):
        for name, pair in pairs.items():
            for worker in pair:
                print(seconds / rounds, file=worker.stdin, flush=True)
            images[name] += sum(float(worker.stdout.readline()) for worker in pair)
    for worker in (worker for pair in pairs.values() for worker in pair):
        worker.communicate()
    print(f"\n{'two at once':<16} {'images/s':>9} {'ratio':>7}")
    for name in WAYS:
        print(f"{name:<16} {images[name] / seconds:9.1f} {images[name] / images['fastai']:6.1f}×")
    print(f"goal: cache ≥ {GOALS['two at once']:g}")


def start_worker(name: str, folder: Path, n: int) -> subprocess.Popen[str]:
    command = [sys.executable, __file__, "--worker", name, "--folder", str(folder), "--images", str(n)]
    worker = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    worker.stdout.readline()  # wait until it is ready
    return worker


def work(name: str, folder: Path, n: int) -> None:
    """For each number of seconds on standard input, work that long and print the number of images."""
    paths = [str(folder / f"{number:04d}.jpg") for number in range(n)]
    way = make_way(name, paths, folder / "cache")
    way.whole()
    print("ready", flush=True)
    for line in sys.stdin:
        started, count = time.perf_counter(), 0
        while time.perf_counter() - started < float(line):
            way.whole()
            count += n
        print(count * float(line) / (time.perf_counter() - started), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--images", type=int, default=96)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--worker", choices=WAYS)
    parser.add_argument("--folder", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.worker:
        work(arguments.worker, arguments.folder, arguments.images)
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        paths = make_photographs(folder, arguments.images)
        kilobytes = np.mean([Path(path).stat().st_size for path in paths]) / 1000
        print(f"{len(paths)} photographs of 480×640 px, {kilobytes:.0f} kB each; torch {torch.__version__}")
        one_at_a_time(paths, folder / "cache", arguments.rounds)
        two_at_once(folder, len(paths), arguments.seconds, arguments.rounds)


if __name__ == "__main__":
    main()
