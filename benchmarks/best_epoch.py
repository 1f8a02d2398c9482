"""How optimistic is the select split about an epoch that it chose, and what do `keep: best` and `ema` buy?

    python benchmarks/best_epoch.py [--seeds 10] [--epochs 10] [--share 0.2] [--out results]

For each seed, a member trains on digits with `keep: last` and with `keep: best`, both with an average; all
else is equal. The select split of a seed is its own. The optimism of a view is its calibrated log loss on the
test images, at the temperature that the select split chose, minus the one on the select split. The table
shows means over the seeds with their standard errors; the last row is the paired difference.
"""

import argparse
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tune_paddy.core.config import MemberConfig
from tune_paddy.core.metrics import calibrated_log_loss, error_rate, log_loss
from tune_paddy.data.dataset import Dataset
from tune_paddy.data.member_data import make_parts
from tune_paddy.data.samples import TEST_LABELS, write_digits
from tune_paddy.data.split import make_select_split
from tune_paddy.training.keeping.best_epoch import best_epoch
from tune_paddy.training.member import train_member
from tune_paddy.training.results import MemberResult
from tune_paddy.training.runtime import Runtime

KEEP = ("last", "best")
VIEWS = ("plain", "ema")


def scores(result: MemberResult, view: str, truth: NDArray[np.int64]) -> tuple[float, float, float]:
    """Return the loss on the select split, the loss and the error rate on the test images."""
    predictions = result.predictions
    select, temperature = calibrated_log_loss(predictions.select[view], predictions.select_labels)
    warm = predictions.test[view].astype(np.float64) ** (1 / temperature)
    warm /= warm.sum(axis=1, keepdims=True)
    return select, log_loss(warm.astype(np.float32), truth), error_rate(warm, truth)


def measure(options: argparse.Namespace, folder: Path) -> tuple[NDArray[np.float64], list[int]]:
    """Return scores [seeds, keep, views, 3], and the best epoch of each seed."""
    dataset = Dataset.open(write_digits(folder / "digits"))
    labels = pd.read_csv(folder / "digits" / TEST_LABELS, dtype=str).set_index("image_id")["label"]
    found = np.empty((options.seeds, len(KEEP), len(VIEWS), 3))
    best = []
    for seed in range(options.seeds):
        parts = make_parts(dataset, make_select_split(dataset, share=options.share, seed=seed))
        truth = np.array([parts.classes.index(labels[image]) for image in parts.test.ids])
        for row, keep in enumerate(KEEP):
            config = MemberConfig(
                arch=options.arch,
                pretrained=False,
                size=32,
                schedule="one_cycle",
                epochs=options.epochs,
                lr=options.lr,
                batch_size=32,
                subsample=0.35,
                flip="none",
                tta=0,
                ema=0.99,
                keep=keep,
                seed=seed,
            )
            result = train_member(config, parts, Runtime(folder / f"{seed}-{keep}"))
            found[seed, row] = [scores(result, view, truth) for view in VIEWS]
        best.append(best_epoch(result.history))
        print(f"seed {seed}: best epoch {best[-1]} of {options.epochs}", flush=True)
    return found, best


def shown(values: Sequence[float] | NDArray[np.float64]) -> str:
    array = np.asarray(values)
    return f"{array.mean():.4f} ± {array.std(ddof=1) / np.sqrt(len(array)):.4f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=10, help="Number of seeds, at least two.")
    parser.add_argument("--epochs", type=int, default=10, help="Epochs of a training.")
    parser.add_argument("--share", type=float, default=0.2, help="Share of the select split.")
    parser.add_argument("--lr", type=float, default=0.005, help="Peak learning rate.")
    parser.add_argument("--arch", default="test_convnext", help="Architecture.")
    parser.add_argument("--out", type=Path, help="Folder for the figures as JSON.")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        found, best = measure(options, Path(name))
    print(f"\nThe last epoch was the best one in {best.count(options.epochs)} of {len(best)} seeds.\n")
    print("| view | keep | select loss | test loss | optimism | test error |")
    print("|---|---|---|---|---|---|")
    for column, view in enumerate(VIEWS):
        for row, keep in enumerate(KEEP):
            select, test, error = found[:, row, column].T
            figures = (select, test, test - select, error)
            print(f"| {view} | {keep} | {' | '.join(map(shown, figures))} |")
        select, test, error = (found[:, 1, column] - found[:, 0, column]).T
        print(f"| {view} | best - last | {' | '.join(map(shown, (select, test, test - select, error)))} |")
    if options.out:
        options.out.mkdir(parents=True, exist_ok=True)
        text = json.dumps({"scores": found.tolist(), "best": best}, indent=1)
        (options.out / "best_epoch.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
