"""Replay ways to search on the tables of `make_tables.py`, without training.

    python benchmarks/search_efficiency/replay.py run STORE [--orderings 50] [--methods NAME ...]
    python benchmarks/search_efficiency/replay.py table STORE

With the packages `smac` and `syne-tune` installed, SMAC3 and three schedulers of Syne Tune are among the
methods; they take twenty times as long as TPE.

A replayed search pays the CPU seconds of the table. Every method runs until it has spent `BUDGET` times what
today's default pays for its trials, 40 unless `--trials` says otherwise. A proposal is answered by the
nearest training of the same sub-space that has not been tried. The ensemble of a pool is fitted on the select
images and scored on the test images: by the log-linear method along a search, since the automatic choice
takes a second or two, and for some methods and orderings by both. `run` writes a file per dataset and method
to STORE/replayed; `table` prints the comparison, and how far the two ensembles are apart.
"""

import argparse
import json
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2])]

import numpy as np  # noqa: E402 after the paths of this folder's modules
from comparison import METHODS, correlations, path_of, portfolio_of, table_of  # noqa: E402
from configurations import sub_spaces  # noqa: E402
from divisions import read_division  # noqa: E402
from make_tables import SEED, division_of  # noqa: E402
from methods import DEFAULT, Context, Method, blind_to_its_end, default  # noqa: E402
from portfolio import portfolio  # noqa: E402
from tables import Ensembles, Run, Table, read_table  # noqa: E402

BUDGET = 1.2
"""Budget of every method in multiples of the default's mean seconds for its trials."""
POINTS = 14
"""Seconds at which a curve is scored, in equal ratios."""
EARLIEST = 0.03
"""First of these points, as a share of the budget."""
AUTOMATIC = (0.25, 0.5, 1.0)
"""Shares of the default's seconds at which the automatic choice scores the first ordering, too."""


def read_tables(store: Path) -> dict[str, Table]:
    """Return dataset → table, of the datasets that have one."""
    found = {}
    for folder in sorted((store / "tables").iterdir()):
        parts, test_labels = read_division(division_of(store, folder.name), SEED)
        found[folder.name] = read_table(folder, parts.select.labels, test_labels)
    return found


def context_of(tables: Mapping[str, Table], dataset: str, trials: int) -> Context:
    """Return what the methods share on a dataset; its portfolio comes from the other tables."""
    table = tables[dataset]
    others = [other for name, other in tables.items() if name != dataset]
    own = {training.name for training in table.full}

    def known(origin: str = "") -> list[str]:
        return [name for name in portfolio(others, origin=origin) if name in own]

    portfolios = {space.name: known(space.name) for space in sub_spaces() if space.name != "frozen"}
    return Context(table, sub_spaces(), Ensembles(table), known(), portfolios, trials)


def replay(store: Path, dataset: str, names: Sequence[str], orderings: int, trials: int) -> None:
    """Replay methods on a dataset, and print a line for each."""
    tables = read_tables(store)
    context = context_of(tables, dataset, trials)
    folder = store / "replayed" / dataset
    folder.mkdir(parents=True, exist_ok=True)
    runs = [_run(context, default, seed, np.inf) for seed in range(orderings)]
    seconds = float(np.mean([run.spent for run in runs]))
    (folder / "default.json").write_text(json.dumps(_ends(context, runs)))
    tpe = [_run(context, blind_to_its_end, seed, np.inf) for seed in range(orderings)]
    (folder / "tpe.json").write_text(json.dumps(_ends(context, tpe)))
    for name in names:
        started = time.process_time()
        method = METHODS[name]
        own = (
            runs
            if name == DEFAULT
            else [_run(context, method, seed, BUDGET * seconds) for seed in range(orderings)]
        )
        _write(path_of(store, dataset, name), context, own, seconds)
        print(f"{dataset}, {name}: {time.process_time() - started:.0f} CPU s", flush=True)


def _ends(context: Context, runs: Sequence[Run]) -> dict[str, Any]:
    """Return what searches of a number of trials took, and how good their ensembles are."""
    ends = [context.ensembles.score(tuple(run.pool)) for run in runs]
    return {
        "seconds": float(np.mean([run.spent for run in runs])),
        "spent": [run.spent for run in runs],
        "loss": [end[1] for end in ends],
        "error": [end[2] for end in ends],
        "trainings": len(context.table.full),
        "trials": context.trials,
        "portfolio": list(context.portfolio),
    }


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
    early = [pool for share in AUTOMATIC if (pool := runs[0].pool_at(share * seconds))]
    automatic = [[*context.ensembles.automatic(pool), context.ensembles.score(pool)[1]] for pool in early]
    np.savez(
        path,
        seconds=points,
        loss=scores[..., 0],
        error=scores[..., 1],
        members=np.array([[len(pool) for pool in row] for row in pools], float),
        automatic=np.array(json.dumps(automatic)),
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("action", choices=["run", "table"])
    parser.add_argument("store", type=Path)
    parser.add_argument("--orderings", type=int, default=50)
    parser.add_argument("--trials", type=int, default=40, help="of today's default, whose end is the target")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--methods", nargs="*", choices=list(METHODS), help="default: all")
    asked = parser.parse_args()
    if asked.action == "table":
        tables = read_tables(asked.store)
        print(*table_of(asked.store), *correlations(tables), *portfolio_of(tables, sub_spaces()), sep="\n")
        return
    datasets = sorted(path.name for path in (asked.store / "tables").iterdir())
    names = asked.methods or list(METHODS)
    with ProcessPoolExecutor(asked.processes) as pool:
        jobs = [
            pool.submit(replay, asked.store, name, names, asked.orderings, asked.trials) for name in datasets
        ]
        for job in jobs:
            job.result()


if __name__ == "__main__":
    main()
