"""Replay ways to search on the tables of `make_tables.py`, without training.

    python benchmarks/search_efficiency/replay.py run STORE [--orderings 50] [--methods NAME ...]
    python benchmarks/search_efficiency/replay.py table STORE

A replayed search pays the CPU seconds of the table. Every method runs until it has spent `BUDGET` times what
today's default pays for its 40 trials. A proposal is answered by the nearest training of the same sub-space
that has not been tried. The ensemble of a pool is fitted on the select images and scored on the test images:
by the log-linear method along a search, since the automatic choice takes a second, and by the automatic
choice at the end of the default's 40 trials and at a half and a quarter of its seconds. `run` keeps a file
per dataset and method in STORE/replayed, so it can be interrupted; `table` prints the comparison.

The target of a dataset is the mean test log loss of the default's ensemble of 40 trials. A method reaches it
where its mean curve over the orderings crosses it for good; the ratio divides its seconds by those of the
default, and its 95 % interval comes from a bootstrap of the orderings of both.
"""

import argparse
import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2])]

import numpy as np  # noqa: E402 after the paths of this folder's modules
from configurations import sub_spaces  # noqa: E402
from divisions import read_division  # noqa: E402
from make_tables import SEED, division_of  # noqa: E402
from methods import BASELINES, DEFAULT, LEVERS, Context, Method, default  # noqa: E402
from numpy.typing import NDArray  # noqa: E402
from portfolio import portfolio  # noqa: E402
from tables import Ensembles, Run, Table, read_table  # noqa: E402

BUDGET = 1.2
"""Budget of every method in multiples of the default's mean seconds for its trials."""
POINTS = 20
"""Seconds at which a curve is scored, in equal ratios."""
EARLIEST = 0.03
"""First of these points, as a share of the budget."""
AUTOMATIC = (0.25, 0.5, 1.0)
"""Shares of the default's seconds at which the automatic choice scores some searches, too."""
AUTOMATIC_ORDERINGS = 3
METHODS = {**BASELINES, **LEVERS}
RESAMPLES = 1000


@dataclass(frozen=True)
class Curves:
    """What a method reached on a dataset: [orderings, points] each.

    Attributes:
        seconds: CPU seconds of each point, [points].
        loss: Test log loss of the ensemble; infinite before the first member.
        error: Test error.
        members: Members in the pool.
    """

    seconds: NDArray[np.float64]
    loss: NDArray[np.float64]
    error: NDArray[np.float64]
    members: NDArray[np.float64]


def read_tables(store: Path) -> dict[str, Table]:
    """Return dataset → table, of the datasets that have one."""
    found = {}
    for folder in sorted((store / "tables").iterdir()):
        parts, test_labels = read_division(division_of(store, folder.name), SEED)
        found[folder.name] = read_table(folder, parts.select.labels, test_labels)
    return found


def context_of(tables: Mapping[str, Table], dataset: str) -> Context:
    """Return what the methods share on a dataset; its portfolio comes from the other tables."""
    table = tables[dataset]
    others = portfolio([other for name, other in tables.items() if name != dataset])
    own = {training.name for training in table.full}
    return Context(table, sub_spaces(), Ensembles(table), [name for name in others if name in own])


def replay(store: Path, dataset: str, names: Sequence[str], orderings: int) -> list[str]:
    """Replay methods on a dataset; return a line for each."""
    tables = read_tables(store)
    context = context_of(tables, dataset)
    budget_file = store / "replayed" / dataset / "default.json"
    budget_file.parent.mkdir(parents=True, exist_ok=True)
    runs = [_run(context, default, seed, np.inf) for seed in range(orderings)]
    seconds = float(np.mean([run.spent for run in runs]))
    ends = [context.ensembles.score(tuple(run.pool)) for run in runs]
    about = {
        "seconds": seconds,
        "loss": [end[1] for end in ends],
        "error": [end[2] for end in ends],
        "trainings": len(context.table.full),
        "portfolio": list(context.portfolio),
    }
    budget_file.write_text(json.dumps(about))
    lines = []
    for name in names:
        started = time.process_time()
        method = METHODS[name]
        own = (
            runs
            if name == DEFAULT
            else [_run(context, method, seed, BUDGET * seconds) for seed in range(orderings)]
        )
        _write(path_of(store, dataset, name), context, own, seconds)
        lines.append(f"{dataset}, {name}: {time.process_time() - started:.0f} CPU s")
        print(lines[-1], flush=True)
    return lines


def _run(context: Context, method: Method, seed: int, budget: float) -> Run:
    run = Run(context.table, budget)
    method(context, run, seed)
    return run


def _write(path: Path, context: Context, runs: Sequence[Run], seconds: float) -> None:
    points = BUDGET * seconds * np.geomspace(EARLIEST, 1, POINTS)
    pools = [[run.pool_at(point) for point in points] for run in runs]
    scores = np.array(
        [[context.ensembles.score(pool)[1:] if pool else (np.inf, 1.0) for pool in row] for row in pools]
    )
    early = [run.pool_at(share * seconds) for run in runs[:AUTOMATIC_ORDERINGS] for share in AUTOMATIC]
    automatic = [context.ensembles.automatic(pool) if pool else None for pool in early]
    np.savez(
        path,
        seconds=points,
        loss=scores[..., 0],
        error=scores[..., 1],
        members=np.array([[len(pool) for pool in row] for row in pools], float),
        automatic=np.array(json.dumps(automatic)),
    )


def path_of(store: Path, dataset: str, method: str) -> Path:
    """Return the file of a replayed method."""
    plain = "".join(letter if letter.isalnum() else "_" for letter in method)
    return store / "replayed" / dataset / f"{plain}.npz"


def read_curves(store: Path, dataset: str, method: str) -> Curves | None:
    """Return the curves of a method, or None."""
    path = path_of(store, dataset, method)
    if not path.exists():
        return None
    with np.load(path, allow_pickle=False) as file:
        return Curves(file["seconds"], file["loss"], file["error"], file["members"])


def seconds_to(target: float, seconds: NDArray[np.float64], loss: NDArray[np.float64]) -> float:
    """Return when a curve falls to a target for the first time and stays there; infinite if it never does.

    Between two points the logarithm of the seconds is interpolated.

    >>> seconds_to(1.0, np.array([1.0, 2.0, 4.0]), np.array([2.0, 1.5, 0.5]))
    2.8284271247461903
    """
    above = np.flatnonzero(loss > target)
    if not len(above):
        return float(seconds[0])
    last = int(above[-1])
    if last == len(loss) - 1:
        return float("inf")
    if not np.isfinite(loss[last]):
        return float(seconds[last + 1])
    share = (loss[last] - target) / (loss[last] - loss[last + 1])
    return float(np.exp(np.log(seconds[last]) * (1 - share) + np.log(seconds[last + 1]) * share))


@dataclass(frozen=True)
class Ratio:
    """Seconds of a method over those of the default to the same loss, with a 95 % interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        """Return the ratio and its interval."""
        return f"{_shown(self.value)} ({_shown(self.low)}–{_shown(self.high)})"


def _shown(value: float) -> str:
    return f"{value:.2f}" if np.isfinite(value) else "never"


def ratio_to_default(own: Curves, base: Curves, ends: NDArray[np.float64], *, seed: int = 0) -> Ratio:
    """Return the ratio of the seconds to the mean loss of the default's ends, with a bootstrap interval.

    Args:
        own: Curves of the method.
        base: Curves of the default.
        ends: Test log loss of the default's ensembles after its trials, [orderings].
        seed: Seed of the bootstrap.
    """
    rng = np.random.default_rng(seed)

    def ratio(rows: NDArray[np.int64], base_rows: NDArray[np.int64]) -> float:
        target = float(ends[base_rows].mean()) + 1e-12
        reached = seconds_to(target, own.seconds, own.loss[rows].mean(axis=0))
        return reached / seconds_to(target, base.seconds, base.loss[base_rows].mean(axis=0))

    def drawn(curves: Curves) -> NDArray[np.int64]:
        return rng.integers(len(curves.loss), size=len(curves.loss))

    every = ratio(np.arange(len(own.loss)), np.arange(len(base.loss)))
    resampled = [ratio(drawn(own), drawn(base)) for _ in range(RESAMPLES)]
    low, high = np.quantile(np.nan_to_num(resampled, nan=np.inf), [0.025, 0.975], method="nearest")
    return Ratio(every, float(low), float(high))


def table_of(store: Path) -> Iterator[str]:
    """Yield the comparison: a row for each method, a column for each dataset, and the median."""
    datasets = sorted(path.name for path in (store / "replayed").iterdir())
    texts = {name: (store / "replayed" / name / "default.json").read_text() for name in datasets}
    abouts = {name: json.loads(text) for name, text in texts.items()}
    yield "| dataset | trainings | default, 40 trials: CPU s | test log loss | test error |"
    yield "|---" * 5 + "|"
    for name, about in abouts.items():
        yield (
            f"| {name} | {about['trainings']} | {about['seconds']:.0f} | {np.mean(about['loss']):.3f} "
            f"| {100 * np.mean(about['error']):.1f} % |"
        )
    yield f"\n| CPU seconds to the default's loss, over its own | {' | '.join(datasets)} | median |"
    yield "|---" * (len(datasets) + 2) + "|"
    for method in METHODS:
        ratios = []
        for name in datasets:
            own, base = read_curves(store, name, method), read_curves(store, name, DEFAULT)
            if own is not None and base is not None:
                ratios.append(ratio_to_default(own, base, np.array(abouts[name]["loss"])))
        if len(ratios) == len(datasets):
            median = float(np.median([ratio.value for ratio in ratios]))
            yield f"| {method} | {' | '.join(map(str, ratios))} | {_shown(median)} |"
    yield from final_scores(store, datasets, abouts)


def final_scores(
    store: Path, datasets: Sequence[str], abouts: Mapping[str, Mapping[str, object]]
) -> Iterator[str]:
    """Yield mean test log loss and error at the default's seconds."""
    yield f"\n| test log loss, error at the default's seconds | {' | '.join(datasets)} |"
    yield "|---" * (len(datasets) + 1) + "|"
    for method in METHODS:
        cells = []
        for name in datasets:
            curves = read_curves(store, name, method)
            if curves is None:
                break
            at = int(np.argmin(np.abs(curves.seconds - float(str(abouts[name]["seconds"])))))
            loss, error = curves.loss[:, at].mean(), curves.error[:, at].mean()
            cells.append(f"{loss:.3f}, {100 * error:.1f} %")
        if len(cells) == len(datasets):
            yield f"| {method} | {' | '.join(cells)} |"


def correlations(tables: Mapping[str, Table]) -> Iterator[str]:
    """Yield the rank correlation of the loss at a quarter and half of the epochs, and of short schedules."""
    from scipy.stats import spearmanr  # noqa: PLC0415

    yield "\n| rank correlation with the last loss | sub-space | n | 1/4 | 1/2 | short schedule |"
    yield "|---|---|---|---|---|---|"
    for dataset, table in tables.items():
        for origin in ("tuned", "scratch"):
            ones = [one for one in table.full if one.origin == origin]
            last = [one.loss for one in ones]
            early = [
                spearmanr([one.curve[one.kept[stage] - 1] for one in ones], last).statistic
                for stage in (0, 1)
            ]
            pairs = [(short.loss, one.loss) for one in ones if (short := table.other(one, "short"))]
            short = spearmanr(*zip(*pairs, strict=True)).statistic if len(pairs) > 2 else float("nan")
            yield (
                f"| {dataset} | {origin} | {len(ones)} | {early[0]:.2f} | {early[1]:.2f} "
                f"| {short:.2f} (n = {len(pairs)}) |"
            )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("action", choices=["run", "table"])
    parser.add_argument("store", type=Path)
    parser.add_argument("--orderings", type=int, default=50)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--methods", nargs="*", choices=list(METHODS), help="default: all")
    asked = parser.parse_args()
    if asked.action == "table":
        print(*table_of(asked.store), *correlations(read_tables(asked.store)), sep="\n")
        return
    datasets = sorted(path.name for path in (asked.store / "tables").iterdir())
    with ProcessPoolExecutor(asked.processes) as pool:
        jobs = [
            pool.submit(replay, asked.store, name, asked.methods or list(METHODS), asked.orderings)
            for name in datasets
        ]
        for job in jobs:
            job.result()


if __name__ == "__main__":
    main()
