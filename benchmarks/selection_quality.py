"""How good are the selection methods on unseen images, and how accurate is the estimate of it?

Every method selects on preds_sel, y_sel of each pool (`*.npz`; NAME_sN is pool N of family NAME) and is
scored on preds_test, y_test. The first table compares each method with plain greedy selection on log loss, by
family: the ratio of the test log losses (geometric means) and the difference of the error rates in points.
The second table shows the automatic choice's optimistic score, its cross-fitted estimate, which includes the
choice of the method, and its test score. `--views` and `--images` draw smaller pools from these at random.

Usage: OMP_NUM_THREADS=1 python benchmarks/selection_quality.py --pools POOLS [--seeds 3] [--no-estimates]
           [--views 8] [--images 50] [--draws 4]
"""

import argparse
from functools import partial
from pathlib import Path

import numpy as np

from tune_paddy.core.estimate import cross_fit, estimate
from tune_paddy.core.metrics import EPS, error_rate, log_loss, true_class
from tune_paddy.core.selection.auto import auto_select
from tune_paddy.core.selection.methods import METHODS

LARGE = 300
"""Minimum number of select images of a pool that counts as large."""
BASELINE = "greedy"


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--pools", type=Path, required=True, help="folder of .npz pools")
    parser.add_argument("--seeds", type=int, default=1, help="seeds of the automatic choice, averaged")
    parser.add_argument("--no-estimates", action="store_true", help="skip the second table")
    parser.add_argument("--views", type=int, help="views of a drawn pool")
    parser.add_argument("--images", type=int, help="select images of a drawn pool")
    parser.add_argument("--draws", type=int, default=1, help="pools drawn from each")
    return parser.parse_args()


def load(path):
    with np.load(path, allow_pickle=False) as pool:
        return tuple(pool[key] for key in ("preds_sel", "y_sel", "preds_test", "y_test"))


def drawn(pools, views, images, draws):
    """Return smaller pools, drawn at random from those that have more than `images` select images."""
    found = {}
    for name, (probs, labels, test, truth) in pools.items():
        for seed in range(draws if images is None or images < len(labels) else 0):
            rng = np.random.default_rng(seed)
            kept, seen = rng.permutation(len(probs))[:views], rng.permutation(len(labels))[:images]
            found[f"{name}d{seed}"] = probs[np.ix_(kept, seen)], labels[seen], test[kept], truth
    return found


def family(name):
    return name.rsplit("_", 1)[0]


def score_methods(pools, seeds):
    """Return (method, pool) → mean logarithm of the test log loss and mean error rate over the seeds."""
    scores, choices = {}, {}
    for pool, (probs, labels, test, truth) in pools.items():
        runs = {name: [partial(method, metric="log_loss", seed=0)] for name, method in METHODS.items()}
        runs["auto"] = [partial(auto_select, seed=seed) for seed in range(seeds)]
        for name, fits in runs.items():
            selections = [fit(probs, labels) for fit in fits]
            blends = [selection.blend(test) for selection in selections]
            log_losses = np.log([log_loss(blend, truth) for blend in blends])
            scores[name, pool] = log_losses.mean(), np.mean([error_rate(blend, truth) for blend in blends])
            choices[pool] = ", ".join(sorted({selection.method for selection in selections}))
    return scores, choices


def print_methods(pools, scores):
    families = sorted({family(pool) for pool in pools})
    large = [pool for pool, (_, labels, _, _) in pools.items() if len(labels) >= LARGE]
    print(f"\nTest log loss / {BASELINE}'s, and error rate − {BASELINE}'s in points")
    header = "".join(f"{name:>21}" for name in families)
    print(f"{'method':<19}{'all':>15}{'large: error':>14}{header}")
    for method in [*METHODS, "auto"]:
        change = {pool: np.subtract(scores[method, pool], scores[BASELINE, pool]) for pool in pools}

        def cell(names, change=change):
            loss, error = np.mean([change[name] for name in names], axis=0)
            return f"{np.exp(loss):.3f} {100 * error:+.2f}"

        error = 100 * np.mean([change[pool][1] for pool in large]) if large else np.nan
        by_family = "".join(f"{cell([p for p in pools if family(p) == name]):>21}" for name in families)
        print(f"{method:<19}{cell(pools):>15}{error:>14.2f}{by_family}")


def print_estimates(pools):
    print("\nThe automatic choice's log loss: on the select split, cross-fitted, and on the test images")
    print(f"{'pool':<20}{'select split':>13}{'estimate':>18}{'test':>18}{'/ s.e.':>8}{'/ both s.e.':>12}")
    ratios = []
    for pool, (probs, labels, test, truth) in pools.items():
        selection = auto_select(probs, labels)
        honest = estimate(cross_fit(probs, labels, auto_select), labels)
        losses = -np.log(np.maximum(true_class(selection.blend(test), truth), EPS))
        error = losses.std(ddof=1) / np.sqrt(len(truth))
        distance = abs(losses.mean() - honest.score)
        both = np.hypot(honest.standard_error, error)
        ratios.append((distance / honest.standard_error, distance / both))
        estimated = f"{honest.score:.4f} ± {honest.standard_error:.4f}"
        tested = f"{losses.mean():.4f} ± {error:.4f}"
        own, joint = ratios[-1]
        print(f"{pool:<20}{selection.score:>13.4f}{estimated:>18}{tested:>18}{own:>8.2f}{joint:>12.2f}")
    own, joint = (np.array(ratios) <= 2).mean(axis=0)
    print(f"Within 2 standard errors of the estimate: {own:.0%}; of both it and the test's own: {joint:.0%}")


def main():
    arguments = parse_arguments()
    pools = {path.stem: load(path) for path in sorted(arguments.pools.glob("*.npz"))}
    if arguments.views or arguments.images:
        pools = drawn(pools, arguments.views, arguments.images, arguments.draws)
    scores, choices = score_methods(pools, arguments.seeds)
    print("Chosen automatically:")
    for pool, chosen in choices.items():
        print(f"  {pool:<20}{chosen}")
    print_methods(pools, scores)
    if not arguments.no_estimates:
        print_estimates(pools)


if __name__ == "__main__":
    main()
