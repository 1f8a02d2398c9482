"""What does a limit on the number of members cost, and does the way of respecting it matter?

Pools of 24 classifiers on scikit-learn's digits with noise, one pool per seed: 400 images to select on, 500
to test. For each limit, the test log loss relative to the unlimited selection of the same pool: of views
chosen first by the log loss of their best mean (`views first`), and of `budget_auto_select`, in which the
trimmed unlimited choice competes. Prints geometric means over the pools with 95 % bootstrap intervals.

Usage: OMP_NUM_THREADS=1 python benchmarks/selection_within_limits.py [--seeds 10]
"""

import argparse

import numpy as np
from sklearn.datasets import load_digits
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.tree import DecisionTreeClassifier

from tune_paddy.core.metrics import log_loss
from tune_paddy.core.selection.auto import auto_select
from tune_paddy.core.selection.cost_budget import CostBudget
from tune_paddy.core.selection.methods import METHODS
from tune_paddy.core.selection.within_budget import TRIMMED, _Chosen, _Views, budget_auto_select

LIMITS = (2, 4, 8, 12, 24)


def make_pool(seed):
    images, labels = load_digits(return_X_y=True)
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(labels))
    images, labels = (images + rng.normal(0, 4, images.shape))[order] / 16, labels[order]
    models = [
        *(KNeighborsClassifier(k, weights=w) for k in (1, 3, 9) for w in ("uniform", "distance")),
        *(
            ExtraTreesClassifier(20, max_depth=depth, random_state=seed + depth)
            for depth in (3, 4, 5, 6, 8, 10)
        ),
        *(LogisticRegression(C=c, max_iter=500) for c in (0.003, 0.01, 0.1, 1, 10, 100)),
        *(DecisionTreeClassifier(max_depth=depth, random_state=seed) for depth in (3, 5, 7, 9)),
        *(GaussianNB(var_smoothing=smoothing) for smoothing in (1e-3, 1e-1)),
    ]
    for model in models:
        seen = rng.permutation(890)[:300]
        model.fit(images[seen], labels[seen])
    parts = (slice(890, 1290), slice(1290, 1790))
    probs = [
        np.stack([model.predict_proba(images[part]) for model in models]).astype(np.float32) for part in parts
    ]
    return probs[0], labels[parts[0]], probs[1], labels[parts[1]]


def views_first(probs, labels, budget):
    views = _Views(budget)
    return auto_select(
        probs, labels, methods={name: _Chosen(method, views) for name, method in METHODS.items()}
    )


def interval(values, rng):
    means = [np.exp(rng.choice(values, len(values)).mean()) for _ in range(2000)]
    return np.exp(np.mean(values)), *np.quantile(means, [0.025, 0.975])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seeds", type=int, default=10)
    seeds = parser.parse_args().seeds
    ratios = {(limit, way): [] for limit in LIMITS for way in ("views first", "competing")}
    trimmed = dict.fromkeys(LIMITS, 0)
    for seed in range(seeds):
        probs, labels, test, truth = make_pool(seed)
        free = np.log(log_loss(auto_select(probs, labels).blend(test), truth))
        for limit in LIMITS:
            budget = CostBudget(np.ones((1, len(probs))), np.array([float(limit)]), np.arange(len(probs)))
            selections = {
                "views first": views_first(probs, labels, budget),
                "competing": budget_auto_select(probs, labels, budget),
            }
            for way, selection in selections.items():
                ratios[limit, way].append(np.log(log_loss(selection.blend(test), truth)) - free)
            chosen = next(c.method for c in selections["competing"].candidates if c.chosen)
            trimmed[limit] += chosen in {TRIMMED.format(name) for name in METHODS}
    rng = np.random.default_rng(0)
    print(f"{'members':>7}  {'views first':>22}  {'competing':>22}  trimmed chosen")
    for limit in LIMITS:
        cells = [
            "{:.3f} [{:.3f}, {:.3f}]".format(*interval(ratios[limit, way], rng))
            for way in ("views first", "competing")
        ]
        print(f"{limit:>7}  {cells[0]:>22}  {cells[1]:>22}  {trimmed[limit]} of {seeds}")


if __name__ == "__main__":
    main()
