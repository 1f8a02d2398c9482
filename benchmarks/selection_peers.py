"""Run one peer's greedy ensemble selection on a saved pool; print one line of JSON with the CPU seconds.

`selection_speed.py` starts it with the interpreter of an environment that contains the peer, since the
peers' requirements conflict:

    uv venv autogluon && uv pip install --python autogluon/bin/python autogluon.core==1.6.3
    uv venv amltk && uv pip install --python amltk/bin/python amltk==1.12.1 scikit-learn pandas

Usage: python benchmarks/selection_peers.py PEER POOL.npz METRIC ROUNDS
"""

import json
import sys
import time

import numpy as np

EPS = 1e-15


def numpy_log_loss(labels, probs):
    return -np.log(np.maximum(probs[np.arange(len(labels)), labels], EPS)).mean()


def numpy_error_rate(labels, probs):
    return (probs.argmax(axis=1) != labels).mean()


def run_autogluon(probs, labels, metric, rounds):
    from autogluon.core.metrics import accuracy, log_loss  # noqa: PLC0415 - one of the peers
    from autogluon.core.models.greedy_ensemble.ensemble_selection import EnsembleSelection  # noqa: PLC0415 - one of the peers

    scorer = {"log_loss": log_loss, "error_rate": accuracy}[metric]
    selection = EnsembleSelection(ensemble_size=rounds, problem_type="multiclass", metric=scorer)
    selection.fit(list(probs), labels)
    return {"weights": list(map(float, selection.weights_))}


def run_amltk(probs, labels, metric, rounds):
    from amltk.ensembling.weighted_ensemble_caruana import weighted_ensemble_caruana  # noqa: PLC0415 - one of the peers

    weights, trajectory, _ = weighted_ensemble_caruana(
        model_predictions=dict(enumerate(probs)),
        targets=labels,
        size=rounds,
        metric={"log_loss": numpy_log_loss, "error_rate": numpy_error_rate}[metric],
        select=min,
        seed=0,
    )
    return {
        "weights": [float(weights.get(view, 0.0)) for view in range(len(probs))],
        "trajectory": [float(score) for _, score in trajectory],
    }


def main(peer, path, metric, rounds):
    with np.load(path, allow_pickle=False) as pool:
        probs, labels = pool["probs"], pool["labels"]
    run = {"autogluon": run_autogluon, "amltk": run_amltk}[peer]
    run(probs[:3, :100], labels[:100], metric, 1)  # excludes imports and first-call costs
    start = time.process_time()
    result = run(probs, labels, metric, int(rounds))
    print(json.dumps({"seconds": time.process_time() - start, **result}))


if __name__ == "__main__":
    main(*sys.argv[1:])
