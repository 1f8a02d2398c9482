"""Are the scores of members that an earlier search taught honest, and do these members predict better?

    python benchmarks/soft_labels.py [--seeds 20]

Small networks on scikit-learn's digits, 8x8 px: 320 labelled images in five folds, 300 to predict, the rest
kept out. A share of all labels is random, in the kept-out images, too. Ten teachers and one student are
trained per fold, each on its own 80 % of the images, with targets from the program's own functions.

The optimism is the log loss on the kept-out images, by the models of the folds, minus the out-of-fold log
loss: 0 for an honest score. It is compared with that of the same network without a teacher, paired by seed.
Two students do what the program does not: `out-of-fold` has the teachers' out-of-fold predictions as soft
labels, `mean of folds` pseudo-labels by the models of all folds; both have seen the labels that judge.
"error" is that of the folds' models on the kept-out images with their true labels.
"""

import argparse
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from torch import nn
from torch.nn import functional as F

sys.path.insert(0, str(Path(__file__).parents[1]))

from tune_paddy.core.metrics import error_rate, log_loss
from tune_paddy.core.predictions import FoldPredictions
from tune_paddy.core.teaching.targets import mixed_targets, shares_of
from tune_paddy.data.member_data import Part, Parts
from tune_paddy.search.teaching.opinions import Opinion, pseudo_labels, soft_labels

LABELLED, TEST, FOLDS, CLASSES = 320, 300, 5, 10
NOISE = (0.0, 0.2, 1.0)
MIXES = (0.3, 0.7)
TEACHERS = (32, 64, 128, 32, 64, 128, 32, 64, 128, 64)
SUBSAMPLE = 0.8
STUDENT, STEPS = 64, 120

Floats = NDArray[np.float32]


def fit(images: Floats, targets: Floats, width: int, seed: int) -> nn.Module:
    """Train a network of one hidden layer on shares of the classes."""
    torch.manual_seed(seed)
    net = nn.Sequential(nn.Linear(64, width), nn.ReLU(), nn.Linear(width, CLASSES))
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-2)
    x, y = torch.from_numpy(images), torch.from_numpy(targets)
    for _ in range(STEPS):
        optimizer.zero_grad()
        F.cross_entropy(net(x), y).backward()
        optimizer.step()
    return net


@torch.no_grad()
def predict(net: nn.Module, images: Floats) -> Floats:
    """Return float32 [images, classes]."""
    probs: Floats = net(torch.from_numpy(images)).softmax(dim=1).numpy()
    return probs


class Draw:
    """One random division of the digits, with wrong labels."""

    def __init__(self, noise: float, seed: int) -> None:
        images, truth = load_digits(return_X_y=True)
        rng = np.random.default_rng(seed)
        order = rng.permutation(len(truth))
        self.images, self.truth = (images[order] / 16).astype(np.float32), truth[order].astype(np.int64)
        wrong = rng.random(len(truth)) < noise
        self.labels = np.where(wrong, rng.integers(CLASSES, size=len(truth)), self.truth)
        self.seed = seed
        self.held = slice(LABELLED + TEST, None)
        self.test = self.images[LABELLED : LABELLED + TEST]
        self.parts = Parts(
            classes=tuple("0123456789"),
            split="",
            train=self._part(0, 0),
            select=self._part(0, LABELLED),
            test=replace(self._part(LABELLED, LABELLED + TEST), labels=self.labels[:0]),
            folds=rng.permutation(np.arange(LABELLED) % FOLDS),
        )

    def _part(self, start: int, stop: int) -> Part:
        ids = np.array([str(row) for row in range(start, stop)])
        return Part(ids, tuple(ids.tolist()), self.labels[start:stop])

    def train(self, parts: Parts, width: int, seed: int) -> tuple[Opinion, Floats]:
        """Return the predictions of the models of all folds, and those of the kept-out images by each."""
        rng = np.random.default_rng([self.seed, seed])
        known, test, held = [], [], []
        trained = np.zeros((FOLDS, LABELLED), np.bool_)
        for number in range(FOLDS):
            fold = parts.fold(number).train
            rows = rng.permutation(len(fold))[: round(SUBSAMPLE * len(fold))]
            targets = fold.targets if len(fold.targets) else shares_of(fold.labels, CLASSES)
            images = fold.ids.astype(int)[rows]
            net = fit(self.images[images], targets[rows], width, seed)
            trained[number, images[images < LABELLED]] = True
            known.append(predict(net, self.images[:LABELLED]))
            test.append(predict(net, self.test))
            held.append(predict(net, self.images[self.held]))
        own = FoldPredictions(np.stack(known), trained, np.stack(test))  # type: ignore[arg-type]
        select = own.select[parts.folds, np.arange(LABELLED)].astype(np.float32)
        return Opinion(select, own.test.mean(axis=0), own), np.stack(held)  # type: ignore[arg-type]

    def scores(self, parts: Parts) -> tuple[float, float, float]:
        """Return the optimism, the kept-out log loss and the error of a student."""
        own, held = self.train(parts, STUDENT, 1000 + self.seed)
        out_of_fold = log_loss(own.select, self.labels[:LABELLED])
        kept_out = float(np.mean([log_loss(probs, self.labels[self.held]) for probs in held]))
        error = float(np.mean([error_rate(probs, self.truth[self.held]) for probs in held]))
        return kept_out - out_of_fold, kept_out, error


def variants(draw: Draw) -> dict[str, Parts]:
    """Return the data of each student by its name."""
    parts = draw.parts
    opinions = [draw.train(parts, width, seed)[0] for seed, width in enumerate(TEACHERS)]
    found = {"no teacher": parts}
    for mix in MIXES:
        found[f"soften, mix {mix:g}"] = taught(parts, soft=soft_labels(opinions, parts, mix))
    pseudo = pseudo_labels(opinions, parts)
    found["pseudo"] = taught(parts, pseudo=pseudo)
    out_of_fold = mixed_targets(parts.select.labels, np.mean([each.select for each in opinions], axis=0), 0.3)
    found["out-of-fold, 0.3"] = taught(parts, soft=np.stack([out_of_fold] * FOLDS))
    mean = np.mean([each.test for each in opinions], axis=0)
    found["mean of folds"] = taught(parts, pseudo=np.stack([mean] * FOLDS))
    return found


def taught(parts: Parts, **targets: Floats | None) -> Parts:
    """Return the data with targets: `soft` or `pseudo`."""
    return replace(parts, **{name: value for name, value in targets.items() if value is not None})


def main() -> None:
    """Print a table for each share of wrong labels."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seeds", type=int, default=20)
    seeds = parser.parse_args().seeds
    torch.set_num_threads(1)
    for noise in NOISE:
        rows: dict[str, list[tuple[float, float, float]]] = {}
        for seed in range(seeds):
            draw = Draw(noise, seed)
            for name, parts in variants(draw).items():
                rows.setdefault(name, []).append(draw.scores(parts))
        print(f"\n{noise:.0%} of the labels at random, {seeds} seeds")
        print(f"{'student':<17}  optimism more than without a teacher   kept-out log loss   error")
        plain = np.array(rows["no teacher"])
        for name, values in rows.items():
            own = np.array(values)
            more = own[:, 0] - plain[:, 0]
            half = 1.96 * more.std(ddof=1) / np.sqrt(seeds)
            _, loss, error = own.mean(axis=0)
            print(f"{name:<17}  {more.mean():+.4f} ± {half:.4f} {loss:36.4f} {error:10.2%}")


if __name__ == "__main__":
    main()
