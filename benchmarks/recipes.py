"""Which recipes of members pay: each lever alone, frozen members, further views, and the ensembles of all.

    python benchmarks/recipes.py train STORE DATASET [DATASET ...] [--seeds 5] [--processes 2]
    python benchmarks/recipes.py table STORE

Each dataset is a folder as `Dataset.open` reads it; `--group` names a column of groups, where there is one.
The twelve largest classes count. The members start from the ImageNet weights of `lite_weights.py`. For each
seed, the labelled images are divided anew, whole groups together, into training, select and test images. A
member is trained by the program itself, with one thread. Its predictions of all views and its CPU seconds,
training and prediction together, are kept in STORE, so `train` can be resumed. `table` fits on the select
images and scores on the test images: means over the seeds, with a 95 % interval of the mean ratio
(t distribution of its logarithm).
"""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from divisions import labelled_images, read_division, write_division
from lite_weights import write_all
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parents[1]))

BASE: dict[str, object] = {
    "arch": "tf_efficientnet_lite0.in1k",
    "size": 64,
    "schedule": "fine_tune",
    "epochs": 5,
    "freeze_epochs": 1,
    "lr": 0.01,
    "batch_size": 32,
    "flip": "horizontal",
    "tta": 4,
    "subsample": 1.0,
}
"""A member as the notebook and the space `paddy_search` train it, at a size for CPUs."""

VIEWS: dict[str, object] = {"flip_view": True, "large_view": 1.25, "zoom_view": 0.8}

FROZEN: dict[str, object] = {
    "schedule": "frozen",
    "size": 128,
    "flip": "horizontal",
    "tta": 0,
    "flip_view": True,
    "subsample": 1.0,
}

LONG: dict[str, object] = {**BASE, "epochs": 12}
"""A member as a search of today trains it: twelve epochs."""

MIXED: dict[str, object] = {"lr": 0.004, "mixup": 0.4}

LEVERS: dict[str, dict[str, object]] = {
    "ema": {"ema": 0.99},
    "half_lr": {"lr": 0.005},
    "layer_decay": {"layer_decay": 0.9, "lr": 0.005},
    "lamb": {"optimizer": "lamb", "lr": 0.05},
    "clip_grad": {"clip_grad": 1.0},
    "randaugment": {"randaugment": 9},
    "trivialaugment": {"trivialaugment": True},
    "erasing": {"erasing": 0.25},
    "calm_epochs": {"randaugment": 9, "erasing": 0.25, "calm_epochs": 2},
    "bce": {"loss": "bce"},
    "focal": {"loss": "focal"},
    "class_weights": {"class_weights": "effective"},
    "sampler": {"sampler": "balanced"},
    "linear_head": {"head": "linear"},
    "fitted_head": {"head": "fitted", "schedule": "one_cycle", "lr": 0.0003, "dropout": 0.1},
    "fitted_slow": {"head": "fitted", "schedule": "one_cycle", "lr": 0.0001, "dropout": 0.1},
    "one_cycle": {"head": "linear", "schedule": "one_cycle", "lr": 0.0003, "dropout": 0.1},
    "keep_best": {"keep": "best"},
}
"""Changes to the base member, each alone, with the learning rate or the further parameters that it needs."""

MEMBERS: dict[str, dict[str, object]] = {
    "base": {**BASE, **VIEWS},
    "lite1": {**BASE, "arch": "tf_efficientnet_lite1.in1k"},
    "lite2": {**BASE, "arch": "tf_efficientnet_lite2.in1k"},
    **{name: {**BASE, **change} for name, change in LEVERS.items()},
    **{f"frozen{n}": {**FROZEN, "arch": f"tf_efficientnet_lite{n}.in1k"} for n in range(3)},
    "new0": {**BASE, **VIEWS, "ema": 0.99, "erasing": 0.25, "size": 96, "epochs": 3},
    **{f"small{n}": {**FROZEN, "size": 64, "arch": f"tf_efficientnet_lite{n}.in1k"} for n in range(3)},
    **{f"six{n}": {**LONG, "arch": f"tf_efficientnet_lite{n}.in1k"} for n in range(3)},
    **{f"six{3 + n}": {**LONG, **MIXED, "arch": f"tf_efficientnet_lite{n}.in1k"} for n in range(3)},
}

USUAL = ("plain", "tta")
TODAY = "today: three fine-tuned"
"""The ensemble that the others are compared with; every seed that counts has its members."""

Choice = Sequence[tuple[str, tuple[str, ...] | None]]
"""Members, and which of their views count; None: all of them."""

ENSEMBLES: dict[str, Choice] = {
    TODAY: (("base", USUAL), ("lite1", USUAL), ("lite2", USUAL)),
    "the same with all views": (("base", None), ("lite1", None), ("lite2", None)),
    "frozen: two backbones": (("frozen0", None), ("frozen1", None)),
    "frozen: three backbones": (("frozen0", None), ("frozen1", None), ("frozen2", None)),
    "new: three frozen, one fine-tuned": (
        ("frozen0", None),
        ("frozen1", None),
        ("frozen2", None),
        ("new0", None),
    ),
}
"""Name → members and the views that count; None: all of them. The others are compared with the first."""

LONGER: dict[str, Choice] = {
    "today: six of twelve epochs, 64 px": tuple((f"six{n}", USUAL) for n in range(6)),
    "frozen: three backbones, 64 px": tuple((f"small{n}", None) for n in range(3)),
    "frozen: three backbones, 128 px": tuple((f"frozen{n}", None) for n in range(3)),
    "all nine of 64 px": (
        *((f"six{n}", USUAL) for n in range(6)),
        *((f"small{n}", None) for n in range(3)),
    ),
}
"""The frozen stage against a whole search, likewise."""

HEADS = "seeds | log loss | error | CPU s | ratio of the loss (95 %)"

DIVISION = "division"
"""Name of the file with the parts of a dataset, beside those of the members."""

WEIGHTS = "weights"
"""Name of the folder of pretrained weights in STORE."""

IMAGES = {"train": 600, "select": 300, "test": 600}
"""Part → number of its images for `--images 600`, at most."""


@dataclass(frozen=True)
class Result:
    """A trained member: view → probabilities [images, classes], labels of both parts, and CPU seconds."""

    select: Mapping[str, NDArray[np.float64]]
    test: Mapping[str, NDArray[np.float64]]
    labels: NDArray[np.int64]
    test_labels: NDArray[np.int64]
    seconds: float


def path_of(store: Path, dataset: str, seed: int, member: str) -> Path:
    """Return the file of one trained member."""
    return store / dataset / str(seed) / f"{member}.npz"


def train_one(store: Path, dataset: str, seed: int, member: str) -> None:
    """Train one member and keep its predictions."""
    from tune_paddy.core.config import MemberConfig  # noqa: PLC0415 after the number of threads is set
    from tune_paddy.training.member import train_member  # noqa: PLC0415
    from tune_paddy.training.runtime import Runtime  # noqa: PLC0415

    parts, test_labels = read_division(path_of(store, dataset, seed, DIVISION), seed)
    config = MemberConfig(**{**MEMBERS[member], "seed": seed})
    folder = store / "work" / f"{dataset}-{seed}-{member}"
    started = time.process_time()
    result = train_member(
        config, parts, Runtime(folder, allow_gpu=False, keep_weights=False, weights_dir=store / WEIGHTS)
    )
    seconds = time.process_time() - started
    predictions = result.predictions
    arrays = {f"select/{view}": probs for view, probs in predictions.select.items()}
    arrays |= {f"test/{view}": probs for view, probs in predictions.test.items()}
    path = path_of(store, dataset, seed, member)
    partial = path.with_suffix(".partial.npz")
    np.savez(
        partial,
        labels=predictions.select_labels,
        test_labels=test_labels,
        seconds=np.array(seconds),
        **arrays,
    )
    partial.replace(path)


def divide(store: Path, data: Path, seeds: Sequence[int], group: str | None, train: int) -> None:
    """Write the division of a dataset for each seed that lacks one."""
    files = {seed: path_of(store, data.name, seed, DIVISION) for seed in seeds}
    if all(file.exists() for file in files.values()):
        return
    frame = labelled_images(data, group)
    wanted = {part: round(images * train / IMAGES["train"]) for part, images in IMAGES.items()}
    for seed, file in files.items():
        write_division(file, frame, seed, wanted, store / "images")


def train_all(asked: argparse.Namespace) -> None:
    """Train every member that STORE lacks; one process for each dataset and seed."""
    list(write_all(asked.store / WEIGHTS))
    for data in asked.datasets:
        divide(asked.store, data, range(asked.seeds), asked.group, asked.images)
    lacking = {
        (data.name, seed): [
            member
            for member in asked.members or MEMBERS
            if not path_of(asked.store, data.name, seed, member).exists()
        ]
        for seed in range(asked.seeds)
        for data in asked.datasets
    }
    single = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "MKL", "OPENBLAS")}

    def run(job: tuple[tuple[str, int], list[str]]) -> None:
        (dataset, seed), members = job
        command = [sys.executable, __file__, "some", str(asked.store), dataset, str(seed), *members]
        environment = {**os.environ, **single}
        done = subprocess.run(command, env=environment, stderr=subprocess.PIPE, text=True, check=False)
        if done.returncode:
            print(dataset, seed, *done.stderr.strip().splitlines()[-1:], flush=True)

    jobs = [job for job in lacking.items() if job[1]]
    with ThreadPoolExecutor(asked.processes) as pool:
        list(pool.map(run, jobs))


def read(path: Path) -> Result:
    """Return a trained member."""
    with np.load(path, allow_pickle=False) as file:
        select, test = (
            {name.split("/")[1]: file[name].astype(float) for name in file.files if name.startswith(part)}
            for part in ("select/", "test/")
        )
        return Result(select, test, file["labels"], file["test_labels"], float(file["seconds"]))


def ensemble_scores(results: Sequence[tuple[Result, tuple[str, ...] | None]]) -> tuple[float, float]:
    """Select from the views of some members on the select images; return test log loss and error."""
    from tune_paddy.core.metrics import error_rate, log_loss  # noqa: PLC0415
    from tune_paddy.core.selection.auto import auto_select  # noqa: PLC0415

    pairs = [
        (result.select[view], result.test[view])
        for result, views in results
        for view in result.select
        if views is None or view in views
    ]
    select, test = (np.stack(part).astype(np.float32) for part in zip(*pairs, strict=True))
    chosen = auto_select(select, results[0][0].labels)
    answer, labels = chosen.blend(test), results[0][0].test_labels
    return log_loss(answer, labels), error_rate(answer, labels)


@dataclass(frozen=True)
class Row:
    """Scores of one choice: [seeds] each."""

    loss: NDArray[np.float64]
    error: NDArray[np.float64]
    seconds: NDArray[np.float64]


def described(name: str, row: Row, base: Row) -> str:
    """Return a line of a table: means over the seeds, and the ratio of the losses with its interval."""
    ratio, low, high = interval(row.loss / base.loss)
    return (
        f"| {name} | {len(row.loss)} | {row.loss.mean():.3f} | {100 * row.error.mean():.1f} % "
        f"| {row.seconds.mean():.0f} | {ratio:.3f} ({low:.3f} to {high:.3f}) |"
    )


def interval(ratios: NDArray[np.float64]) -> tuple[float, float, float]:
    """Return the geometric mean of ratios and its 95 % interval."""
    from scipy.stats import t as student  # noqa: PLC0415

    logs = np.log(ratios)
    if len(logs) == 1:
        return float(ratios[0]), float("nan"), float("nan")
    half = student.ppf(0.975, len(logs) - 1) * logs.std(ddof=1) / np.sqrt(len(logs))
    low, mean, high = np.exp(logs.mean() + np.array([-half, 0.0, half]))
    return float(mean), float(low), float(high)


def tables() -> dict[str, dict[str, Choice]]:
    """Return heading → name of a row → members; the others are compared with the first row."""
    own: dict[str, Choice] = {"base": [("base", USUAL)]}
    with_others: dict[str, Choice] = {"base": ENSEMBLES[TODAY]}
    for name in LEVERS:
        own[name] = [(name, (*USUAL, "ema"))]
        with_others[name] = [*own[name], ("lite1", USUAL), ("lite2", USUAL)]
    views = ("plain", "tta", "flips", "large", "zoom")
    return {
        "the base member with one lever (plain and tta, and ema where there is one)": own,
        "the same in the ensemble with lite1 and lite2": with_others,
        "one view of the base member": {view: [("base", (view,))] for view in views},
        "ensemble": dict(ENSEMBLES),
        "the frozen stage against a search": dict(LONGER),
    }


def rows_of(store: Path, dataset: str) -> Iterator[str]:
    """Yield the tables of one dataset; a row counts the seeds that have its members and the first row's."""
    trained = sorted(path for path in (store / dataset).iterdir() if path.is_dir())

    def seeds_of(choice: Choice) -> set[Path]:
        return {seed for seed in trained if all((seed / f"{member}.npz").exists() for member, _ in choice)}

    def row(choice: Choice, seeds: Sequence[Path]) -> Row:
        runs = [[(read(seed / f"{member}.npz"), views) for member, views in choice] for seed in seeds]
        scores = np.array([ensemble_scores(run) for run in runs])
        return Row(scores[:, 0], scores[:, 1], np.array([sum(one.seconds for one, _ in run) for run in runs]))

    for heading, rows in tables().items():
        first = next(iter(rows.values()))
        lines = []
        for name, choice in rows.items():
            seeds = sorted(seeds_of(choice) & seeds_of(first))
            if seeds:
                lines.append(described(name, row(choice, seeds), row(first, seeds)))
        if len(lines) > 1:
            yield f"\n### {dataset}\n\n| {heading} | {HEADS} |\n|---|---|---|---|---|---|"
            yield from lines


def main() -> None:
    if sys.argv[1:2] == ["some"]:
        store, dataset, seed, *members = sys.argv[2:]
        for member in members:
            train_one(Path(store), dataset, int(seed), member)
            print(dataset, seed, member, flush=True)
        return
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("action", choices=["train", "table"])
    parser.add_argument("store", type=Path)
    parser.add_argument("datasets", type=Path, nargs="*")
    parser.add_argument(
        "--images", type=int, default=IMAGES["train"], help="training images; others in proportion"
    )
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--members", nargs="*", help="names of members; default: all")
    parser.add_argument("--group", help="column of groups in train.csv")
    asked = parser.parse_args()
    if asked.action == "train":
        train_all(asked)
        return
    for folder in sorted(path for path in asked.store.iterdir() if path.is_dir()):
        if folder.name not in ("work", "images", WEIGHTS):
            print("\n".join(rows_of(asked.store, folder.name)) or f"{folder.name}: nothing yet")


if __name__ == "__main__":
    main()
