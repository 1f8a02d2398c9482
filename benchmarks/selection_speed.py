"""How fast, how exact and how memory-hungry is greedy selection, compared with AutoGluon and AMLTK?

Prints up to three tables: with `--pools`, the largest distance of the trajectory from a plain float64 one for
each pool in a folder (`*.npz` with preds_sel and y_sel); seconds and ratios on 200 views × 2,081 images × 10
classes; seconds and memory on a memory-mapped pool of 1,000 × 20,000 × 10. Seconds are CPU seconds, which
other load on the machine affects least.

Usage, on one thread and with the peers' interpreters (see `selection_peers.py`):

    OMP_NUM_THREADS=1 python benchmarks/selection_speed.py --pools POOLS \
        --autogluon autogluon/bin/python --amltk amltk/bin/python
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
import tracemalloc
from pathlib import Path

import numpy as np

from tune_paddy.core.metrics import METRICS, log_loss
from tune_paddy.core.selection.plain import greedy_select

ROUNDS = 50
MEMBERS = (200, 2_081, 10)
LARGE = (1_000, 20_000, 10)
HERE = Path(__file__).parent


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--pools", type=Path, help="folder of .npz pools to check exactness on")
    parser.add_argument("--autogluon", default=sys.executable, help="interpreter that has autogluon.core")
    parser.add_argument("--amltk", default=sys.executable, help="interpreter that has amltk")
    parser.add_argument("--skip-large", action="store_true", help="skip the large pool")
    parser.add_argument("--large-worker", nargs=3, help=argparse.SUPPRESS)
    return parser.parse_args()


def make_views(shape, seed=0):
    """Return labels and a generator of views: softmax of shared and own evidence, some images hard."""
    n_views, n_images, n_classes = shape
    rng = np.random.default_rng(seed)
    labels = np.arange(n_images) % n_classes
    shared = 0.8 * rng.normal(size=(n_images, n_classes))
    ease = rng.normal(0, 1.5, n_images)

    def views():
        for _ in range(n_views):
            logits = shared + rng.uniform(0.5, 1.5) * rng.standard_normal((n_images, n_classes), np.float32)
            logits[np.arange(n_images), labels] += rng.uniform(1.5, 4) + ease
            powers = np.exp(rng.uniform(0.7, 2) * (logits - logits.max(axis=1, keepdims=True)))
            yield (powers / powers.sum(axis=1, keepdims=True)).astype(np.float32)

    return labels, views()


def timed(function, repeats):
    """Return the median CPU time in seconds, and the last result."""
    seconds = []
    for _ in range(repeats):
        start = time.process_time()
        result = function()
        seconds.append(time.process_time() - start)
    return statistics.median(seconds), result


def run_peer(peer, interpreter, path, metric):
    command = [interpreter, HERE / "selection_peers.py", peer, path, metric, str(ROUNDS)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        print(f"{peer} did not run: {done.stderr.strip().splitlines()[-1]}", file=sys.stderr)
        return None
    return json.loads(done.stdout.splitlines()[-1])


def compare_peers(arguments, folder):
    labels, views = make_views(MEMBERS)
    probs = np.stack(list(views))
    path = folder / "pool.npz"
    np.savez(path, probs=probs, labels=labels)
    rows = []
    for metric in ("log_loss", "error_rate"):
        before, selection = timed(lambda m=metric: greedy_select(probs, labels, metric=m, rounds=ROUNDS), 7)
        peers = {p: run_peer(p, getattr(arguments, p), path, metric) for p in ("autogluon", "amltk")}
        after, _ = timed(lambda m=metric: greedy_select(probs, labels, metric=m, rounds=ROUNDS), 7)
        own = (before + after) / 2
        rows.append((metric, "tune_paddy", own, 1.0, selection.weights))
        rows.extend(
            (metric, peer, result["seconds"], result["seconds"] / own, np.array(result["weights"]))
            for peer, result in peers.items()
            if result
        )
    size = "{} views × {:,} images × {} classes".format(*MEMBERS)
    print(f"\n{size}, {ROUNDS} rounds, set-up included")
    print(f"{'metric':<12}{'selection':<14}{'seconds':>9}{'ratio':>9}{'views':>7}{'score':>11}")
    for metric, name, seconds, ratio, weights in rows:
        score = METRICS[metric](np.tensordot(weights, probs, 1), labels)
        views = np.count_nonzero(weights)
        print(f"{metric:<12}{name:<14}{seconds:>9.4f}{ratio:>8.1f}×{views:>7}{score:>11.6f}")


def measure_large(folder):
    labels, views = make_views(LARGE)
    path = folder / "large.npy"
    probs = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=LARGE)
    for row, view in zip(probs, views, strict=True):
        row[:] = view
    size = probs.nbytes
    del probs
    np.save(folder / "labels.npy", labels)
    print(
        f"\n{LARGE[0]:,} × {LARGE[1]:,} × {LARGE[2]} ({size / 2**20:.0f} MiB), {ROUNDS} rounds, memory-mapped"
    )
    print(f"{'metric':<12}{'seconds':>9}   additional memory / input")
    for metric in ("log_loss", "error_rate"):
        command = [sys.executable, __file__, "--large-worker", path, folder / "labels.npy", metric]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        seconds, peak = json.loads(done.stdout)
        print(f"{metric:<12}{seconds:>9.2f}   {peak / size:.2f}")


def large_worker(path, labels_path, metric):
    """Print the CPU seconds and, from a second run, the peak of additional memory in bytes."""
    probs, labels = np.load(path, mmap_mode="r", allow_pickle=False), np.load(labels_path, allow_pickle=False)
    seconds, _ = timed(lambda: greedy_select(probs, labels, metric=metric, rounds=ROUNDS), 1)
    tracemalloc.start()
    greedy_select(probs, labels, metric=metric, rounds=2)
    print(json.dumps([seconds, tracemalloc.get_traced_memory()[1]]))


def plain_trajectory(probs, labels, metric):
    """Return the trajectory of greedy selection on float64 means; the log loss breaks ties."""
    total, scores = np.zeros(probs.shape[1:]), []
    for count in range(1, ROUNDS + 1):
        means = ((total + view) / count for view in probs)
        ranking = [
            (METRICS[metric](m, labels), round(log_loss(m, labels), 12), i) for i, m in enumerate(means)
        ]
        score, _, best = min(ranking)
        total += probs[best]
        scores.append(score)
    return np.array(scores)


def check_exactness(folder):
    print("\nLargest distance of a trajectory from plain float64")
    print(f"{'pool':<22}{'views × images':>16}{'log loss':>12}{'error rate':>12}")
    for path in sorted(folder.glob("*.npz")):
        with np.load(path, allow_pickle=False) as pool:
            probs, labels = pool["preds_sel"], pool["y_sel"]
        distances = [
            np.abs(
                np.array(greedy_select(probs, labels, metric=metric, rounds=ROUNDS).trajectory)
                - plain_trajectory(probs, labels, metric)
            ).max()
            for metric in ("log_loss", "error_rate")
        ]
        size = f"{probs.shape[0]} × {probs.shape[1]}"
        print(f"{path.stem:<22}{size:>16}{distances[0]:>12.1e}{distances[1]:>12.1e}")


def main():
    arguments = parse_arguments()
    if arguments.large_worker:
        large_worker(*arguments.large_worker)
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if arguments.pools:
            check_exactness(arguments.pools)
        compare_peers(arguments, folder)
        if not arguments.skip_large:
            measure_large(folder)


if __name__ == "__main__":
    main()
