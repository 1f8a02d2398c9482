"""Make tables of real trainings, by which `replay.py` compares ways to search.

    uv sync --extra benchmark
    python benchmarks/search_efficiency/make_tables.py STORE DATASET [DATASET ...] [--group emoji]

Each dataset is a folder as `Dataset.open` reads it; `--group` names a column of groups, where there is one.
scikit-learn's digits, plain and with the noise of the demo, are always among them. The program itself trains
every configuration of `configurations.py` on each, with one thread and real ImageNet weights for the frozen
and fine-tuned members. STORE/tables/DATASET holds a file per training: the predictions of all views on the
select and test images at a quarter, half and the end of the epochs (float16), the calibrated loss at every
epoch, and the CPU seconds without what the keeping costs. A training that has its file is not repeated, so
the command can be interrupted.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from configurations import Configuration

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2])]

from divisions import labelled_images, read_division, write_division  # noqa: E402

IMAGES = {"train": 300, "select": 200, "test": 400}
"""Part → number of its images for `--images 300`, at most."""
SEED = 0
AT_ONCE = 100
"""Trainings of one process, which grows by some ten MB with each."""
DIGITS = {"digits": 0.0, "digits_hard": 3 / 16}
"""Dataset of scikit-learn's digits → noise; the second is the demo's."""


def file_of(store: Path, dataset: str, name: str) -> Path:
    """Return the file of a training."""
    return store / "tables" / dataset / f"{name}.npz"


def division_of(store: Path, dataset: str) -> Path:
    """Return the file of a dataset's division."""
    return store / "divisions" / f"{dataset}.npz"


def prepare(store: Path, datasets: list[Path], group: str | None, train: int) -> list[str]:
    """Write the digits, the weights and the divisions that STORE lacks; return the names of the datasets."""
    from lite_weights import write_all  # noqa: PLC0415 takes torch

    from tune_paddy.data.samples import write_digits  # noqa: PLC0415

    list(write_all(store / "weights"))
    wanted = {part: round(images * train / IMAGES["train"]) for part, images in IMAGES.items()}
    own = [write_digits(store / "data" / name, noise=noise) for name, noise in DIGITS.items()]
    for data in (*own, *datasets):
        file = division_of(store, data.name)
        if not file.exists():
            write_division(file, labelled_images(data, group), SEED, wanted, store / "images")
    return [data.name for data in (*own, *datasets)]


def lacking(store: Path, datasets: list[str]) -> list[tuple[str, str]]:
    """Return dataset and name of the trainings without a file, all datasets in turn."""
    from configurations import configurations  # noqa: PLC0415 takes Optuna

    names = [configuration.name for configuration in configurations()]
    every = [(dataset, name) for name in names for dataset in datasets]
    return [(dataset, name) for dataset, name in every if not file_of(store, dataset, name).exists()]


def train_some(store: Path, trainings: list[tuple[str, str]]) -> None:
    """Train some configurations in this process, after one that only warms it up."""
    from configurations import configurations  # noqa: PLC0415
    from keeping import keep_member  # noqa: PLC0415

    known = {configuration.name: configuration for configuration in configurations()}
    all_parts = {dataset: read_division(division_of(store, dataset), SEED)[0] for dataset in dict(trainings)}

    def keep(dataset: str, configuration: "Configuration", path: Path) -> None:
        flip = "none" if dataset in DIGITS else "horizontal"
        path.parent.mkdir(parents=True, exist_ok=True)
        keep_member(path, configuration, flip, all_parts[dataset], store=store, weights=store / "weights")

    small = next(one for one in known.values() if one.origin == "scratch" and one.kind == "short")
    warm_up = replace(small, values={**small.values, "arch": "test_resnet.r160_in1k", "size": 32})
    path = store / "work" / f"warm-up-{os.getpid()}.npz"
    keep(trainings[0][0], warm_up, path)
    path.unlink()
    for dataset, name in trainings:
        started = time.process_time()
        keep(dataset, known[name], file_of(store, dataset, name))
        print(f"{dataset} {name}: {time.process_time() - started:.1f} CPU s", flush=True)


def train_all(asked: argparse.Namespace) -> None:
    """Train every configuration that STORE lacks."""
    left = lacking(asked.store, prepare(asked.store, asked.datasets, asked.group, asked.images))
    single = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "MKL", "OPENBLAS")}

    def run(trainings: list[tuple[str, str]]) -> None:
        command = [sys.executable, __file__, str(asked.store), "--batch", json.dumps(trainings)]
        environment = {**os.environ, **single}
        done = subprocess.run(command, env=environment, stderr=subprocess.PIPE, text=True, check=False)
        if done.returncode:
            print(*done.stderr.strip().splitlines()[-1:], flush=True)

    with ThreadPoolExecutor(asked.processes) as pool:
        list(pool.map(run, [left[start : start + AT_ONCE] for start in range(0, len(left), AT_ONCE)]))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("store", type=Path)
    parser.add_argument("datasets", type=Path, nargs="*")
    parser.add_argument("--group", help="column of groups in train.csv")
    parser.add_argument(
        "--images", type=int, default=IMAGES["train"], help="training images; others in proportion"
    )
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--batch", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.batch:
        train_some(asked.store, [tuple(pair) for pair in json.loads(asked.batch)])
    else:
        train_all(asked)


if __name__ == "__main__":
    main()
