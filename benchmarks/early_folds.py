"""Does it pay to end hopeless members after one or two of their folds?

Each pool's views (`*.npz` with preds_sel, y_sel, preds_test, y_test) arrive in random order, as members that
train five folds of the select images. From the sixth on, a member ends after some folds if its log losses of
the images so far are worse than those of the weakest, or of the middle one, of the members that have at least
1 % of the ensemble: a one-sided Wilcoxon signed-rank test of paired losses, as Optuna's WilcoxonPruner makes
it. The table shows the folds that were trained, and the test log loss over that of all members, and over that
of the first members that take as many folds without the test (geometric means with a bootstrap interval over
pools and orderings).

Usage: OMP_NUM_THREADS=1 python benchmarks/early_folds.py --pools POOLS [--orderings 6] [--members 40]
"""

import argparse
from itertools import product
from pathlib import Path

import numpy as np
from scipy.stats import wilcoxon
from selection_quality import load

from tune_paddy.core.folds import stratified_folds
from tune_paddy.core.metrics import EPS, log_loss, true_class
from tune_paddy.core.selection.log_linear import log_linear_select

FOLDS = 5
FIRST = 5
"""Members that all train in full."""
USEFUL = 0.01
"""Smallest weight of a member that others are compared with."""


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--pools", type=Path, required=True, help="folder of .npz pools")
    parser.add_argument("--orderings", type=int, default=6)
    parser.add_argument("--members", type=int, default=40)
    return parser.parse_args()


def reference(losses, members, weights, which):
    """Return the useful member that new ones are compared with."""
    useful = [member for member, weight in zip(members, weights, strict=True) if weight >= USEFUL]
    ranked = sorted(useful, key=lambda member: losses[member].mean())
    return ranked[-1] if which == "weakest" else ranked[len(ranked) // 2]


def search(probs, labels, losses, side, order, *, after, level, which):
    """Return the members that train all folds, and the folds that were trained."""
    members, folds, weights = [], 0, None
    for member in order:
        if len(members) >= FIRST:
            if weights is None or len(weights) != len(members):
                weights = log_linear_select(probs[members], labels).weights
            known = reference(losses, members, weights, which)
            change = (losses[member] - losses[known])[side < after]
            if change.mean() > 0 and wilcoxon(change, alternative="greater").pvalue < level:
                folds += after
                continue
        members.append(member)
        folds += FOLDS
    return members, folds


def compare(pool, seed, members, settings):
    """Return, for each setting, log ratios of the test log losses, and the share of the folds."""
    probs, labels, test, truth = pool
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(probs))[:members]
    side = stratified_folds(labels, FOLDS, rng)
    losses = -np.log(np.maximum([true_class(view, labels) for view in probs], EPS))

    def loss(chosen):
        return np.log(log_loss(log_linear_select(probs[chosen], labels).blend(test[chosen]), truth))

    rows, of_all = [], loss(order)
    for after, level, which in settings:
        kept, folds = search(probs, labels, losses, side, order, after=after, level=level, which=which)
        same = order[: max(1, round(folds / FOLDS))]
        of_kept = loss(kept)
        rows.append((of_kept - of_all, of_kept - loss(same), folds / (FOLDS * len(order))))
    return rows


def interval(values):
    """Return the geometric mean of exp(values) and its 95 % bootstrap interval, as text."""
    draws = np.random.default_rng(0).choice(values, (2000, len(values))).mean(axis=1)
    low, high = np.exp(np.quantile(draws, (0.025, 0.975)))
    return f"{np.exp(values.mean()):.3f} ({low:.3f} to {high:.3f})"


def main():
    asked = parse_arguments()
    settings = list(product((1, 2), (0.01, 0.1), ("weakest", "middle")))
    pools = [load(path) for path in sorted(asked.pools.glob("*.npz"))]
    runs = np.array(
        [compare(pool, seed, asked.members, settings) for pool in pools for seed in range(asked.orderings)]
    )
    print("| ends after folds, level, worse than the | folds | loss / all members | loss / as many folds |")
    print("|---|---|---|---|")
    for number, (after, level, which) in enumerate(settings):
        all_members, as_many, folds = runs[:, number].T
        cells = f"{folds.mean():.2f} | {interval(all_members)} | {interval(as_many)}"
        print(f"| {after}, {level}, {which} | {cells} |")


if __name__ == "__main__":
    main()
