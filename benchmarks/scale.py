"""What does a long search cost the process that drives it, and what grows with the number of trials?

    python benchmarks/scale.py driver [--trials 1000] [--at-once 64] [--tracking-uri URI]
    python benchmarks/scale.py selection [--members 10000]
    python benchmarks/scale.py sampler [--told 10000]

`driver` runs the driver's side of a search without Ray: proposals, watchers, the live ensemble, the pruning
of weights. Its trials train nothing; other processes record them, each with three epochs and predictions on
2,081 images of ten classes. Printed are the driver's CPU time for a finished trial, averaged over the twenty
trials before the 100th, 300th and so on, its memory, and what the record holds. `selection` adds members to a
live ensemble one by one, and then selects from all of them. `sampler` times proposals. Seconds are of CPU.
"""

import argparse
import resource
import sqlite3
import tempfile
import time
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import closing
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from tune_paddy.core.config import MemberConfig
from tune_paddy.core.domains import Choice, Domain, Fixed
from tune_paddy.core.predictions import Predictions
from tune_paddy.core.selection.auto import auto_select
from tune_paddy.core.selection.greedy_log_loss import true_class_rows
from tune_paddy.core.selection.growing import GrowingGreedy
from tune_paddy.core.selection.methods import METHODS
from tune_paddy.core.selection.result import Selection
from tune_paddy.core.tasks.names import CLASSES
from tune_paddy.search.gpu_shares import without_gpu
from tune_paddy.search.sampling.sampler import MemberSampler, PastTrial, Proposal
from tune_paddy.search.sampling.searchers import NO_MORE, MemberSearcher
from tune_paddy.search.stopping.interruption import Interruption
from tune_paddy.search.timing.paces import MemberPaces
from tune_paddy.search.trial import Trial
from tune_paddy.search.watchers.close_members import MemberCloser
from tune_paddy.search.watchers.live_ensemble import LiveEnsemble
from tune_paddy.search.watchers.progress import SearchProgress
from tune_paddy.search.watchers.prune_weights import WeightsKeeper
from tune_paddy.search.watchers.stopwatch import Stopwatch
from tune_paddy.spaces.space import SearchSpace, find_space
from tune_paddy.tracking.members import log_epoch, log_member, start_member
from tune_paddy.tracking.searches import start_search
from tune_paddy.tracking.store import Store, open_store
from tune_paddy.training.saved.shelf import Shelf

IMAGES, N_CLASSES, EPOCHS = 2_081, 10, 3
STEPS = (100, 300, 1_000, 3_000, 10_000)
RECENT = 20
RECORDERS = 4


LABELS = np.arange(IMAGES) % N_CLASSES


@cache
def make_images() -> tuple[np.ndarray, np.ndarray]:
    """Return the evidence that all members share, and how easy each image is, float32."""
    rng = np.random.default_rng(0)
    shared = 0.8 * rng.standard_normal((IMAGES, N_CLASSES), np.float32)
    return shared, rng.normal(0, 1.5, IMAGES).astype(np.float32)


def make_view(number: int) -> np.ndarray:
    """Return the predictions of a member; later ones are slowly better, as those of a sampler that learns."""
    rng, (shared, ease) = np.random.default_rng(number + 1), make_images()
    logits = rng.uniform(0.5, 1.5) * rng.standard_normal((IMAGES, N_CLASSES), np.float32) + shared
    logits[np.arange(IMAGES), LABELS] += rng.uniform(1.5, 4) + ease + 0.5 * number / (number + 200)
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return (powers / powers.sum(axis=1, keepdims=True)).astype(np.float32)


def rss_mib() -> float:
    """Return the largest resident memory of this process so far, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def record_trial(config: Mapping[str, Any], store: Store, parent: str) -> dict[str, Any]:
    """Record a trial as its process would, in another process than the driver; return its last report."""
    trial = Trial.from_config(config)
    last = make_view(trial.number)
    ids = np.array([f"{number}.jpg" for number in range(IMAGES)])
    predictions = Predictions(
        classes=tuple(f"class {number}" for number in range(N_CLASSES)),
        split="scale",
        select_ids=ids,
        select_labels=LABELS,
        test_ids=ids[:1],
        select={"plain": last},
        test={"plain": last[:1]},
    )
    run = start_member(
        store,
        search="scale",
        member=trial.member,
        parent_run_id=parent,
        params=trial.params,
        tags=trial.record.to_tags(),
    )
    loss = float(-np.log(np.maximum(last[np.arange(IMAGES), LABELS], 1e-7)).mean())
    scores = {"log_loss": loss, "error_rate": float((last.argmax(axis=1) != LABELS).mean()), "lr": 0.01}
    for epoch in range(1, EPOCHS + 1):
        log_epoch(store, run, {"train_loss": loss / epoch, **scores}, epoch)
    log_member(store, run, predictions, {"objective": loss, "train_seconds_total": 1.0})
    return {"epoch": EPOCHS + 1, "outcome": "finished", "objective": loss, "run_id": run, **scores}


def run_driver(arguments: argparse.Namespace) -> None:
    """Print what the driver of a search of `trials` trials takes."""
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        uri = arguments.tracking_uri or f"sqlite:///{root}/mlflow.db"
        store = open_store(uri, experiment="scale", artifact_root=root / "artifacts", create=True)
        parent = start_search(store, name="scale")
        searcher = make_searcher(arguments.trials)
        progress = SearchProgress(arguments.trials, at_once=arguments.at_once, cpus=2)
        members = root / "members"
        keeper = WeightsKeeper(store, Shelf(members))
        live = LiveEnsemble(store, "scale", parent, root, keeper, elapsed=lambda: progress.elapsed)
        watchers = [progress, MemberCloser(store, "scale", parent, members, Shelf(members))]
        watchers += [Stopwatch(store, parent, 0.0), live]
        print(f"{'trial':>6}{'driver CPU, ms a trial':>24}{'peak memory, MiB':>18}")
        with live, ProcessPoolExecutor(RECORDERS) as pool:
            drive(
                arguments, searcher, watchers, lambda config: pool.submit(record_trial, config, store, parent)
            )
        if arguments.tracking_uri is None:
            print_record(root / "mlflow.db", root / "artifacts", arguments.trials)


def make_searcher(trials: int) -> MemberSearcher:
    """Return the searcher of a search without a limit of time."""
    space = SearchSpace.parse(find_space("paddy_search").read_text(encoding="utf-8"), name="paddy_search")
    return MemberSearcher(
        MemberSampler((), space.spaces, seed=0, trials=trials),
        Interruption(),
        trials=trials,
        paces=MemberPaces(lambda config: None, in_seconds=False),
        plan=without_gpu,
    )


def drive(arguments: argparse.Namespace, searcher: MemberSearcher, watchers: list[Any], submit: Any) -> None:
    """Keep trials running until all are done, as Ray's loop does, and print the costs."""
    running: dict[Future[dict[str, Any]], tuple[str, Trial]] = {}
    costs: deque[float] = deque(maxlen=RECENT)
    proposed = done = 0
    more = True
    while more or running:
        while more and len(running) < arguments.at_once:
            config = searcher.suggest(str(proposed))
            more = config != NO_MORE
            if more:
                trial = Trial.from_config(config)
                tell(watchers, trial, "running", {})
                running[submit(config)] = str(proposed), trial
                proposed += 1
        ended, _ = wait(running, return_when=FIRST_COMPLETED)
        for future in ended:
            key, trial = running.pop(future)
            report(searcher, watchers, key, trial, future.result())
            done += 1
            costs.append(time.process_time())
            if done in STEPS or done == arguments.trials:
                spent = 1000 * (costs[-1] - costs[0]) / max(1, len(costs) - 1)
                print(f"{done:>6}{spent:>24.0f}{rss_mib():>18.0f}", flush=True)


def report(
    searcher: MemberSearcher, watchers: list[Any], key: str, trial: Trial, result: dict[str, Any]
) -> None:
    """Pass the epochs and the end of a trial on, as Ray does."""
    for epoch in range(1, EPOCHS + 1):
        epochs = {name: result[name] for name in ("objective", "log_loss", "error_rate")} | {"epoch": epoch}
        searcher.on_trial_result(key, epochs)
        tell(watchers, trial, "running", epochs)
    tell(watchers, trial, "finished", result)
    searcher.on_trial_complete(key, result)


def tell(watchers: list[Any], trial: Trial, state: str, result: dict[str, Any]) -> None:
    for watcher in watchers:
        watcher.trial_changed(trial, state, result)


def print_record(database: Path, artifacts: Path, trials: int) -> None:
    """Print rows and bytes of the record per trial."""
    with closing(sqlite3.connect(database)) as connection:
        tables = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        counts = {
            table: connection.execute(f"SELECT COUNT(*) FROM {table}").fetchone()[0] for table in tables
        }
    size = sum(path.stat().st_size for path in database.parent.glob("mlflow.db*"))
    files = [path.stat().st_size for path in artifacts.rglob("*") if path.is_file()]
    rows = {table: count for table, count in counts.items() if count >= trials}
    print(f"rows per trial: {sum(rows.values()) / trials:.0f}: ", end="")
    print(", ".join(f"{table} {count / trials:.1f}" for table, count in sorted(rows.items())))
    print(f"database {size / trials / 1024:.1f} KiB a trial, artifacts {sum(files) / trials / 1024:.0f} KiB")


def run_selection(arguments: argparse.Namespace) -> None:
    """Print the cost of a live point, and of a selection, at several sizes of the pool."""
    with tempfile.TemporaryDirectory() as name:
        shape = (arguments.members, IMAGES, N_CLASSES)
        probs = np.lib.format.open_memmap(Path(name, "pool.npy"), mode="w+", dtype=np.float32, shape=shape)
        greedy, costs, repeated = GrowingGreedy(CLASSES), deque[float](maxlen=RECENT), 0
        print(f"{'members':>8}{'live point, ms':>16}{'members that repeat rounds':>28}")
        for number in range(arguments.members):
            probs[number] = make_view(number)
            rows = true_class_rows(probs[number : number + 1], LABELS)
            start = time.process_time()
            repeated += bool(greedy.add(rows))
            greedy.selection()
            costs.append(time.process_time() - start)
            if number + 1 in STEPS:
                print(f"{number + 1:>8}{1000 * np.mean(costs):>16.1f}{repeated:>28}", flush=True)
        whole = timed_selection("greedy", partial(METHODS["greedy"], metric="log_loss", seed=0), probs)
        print(f"the live ensemble is the same: {greedy.selection().order == whole.order}")
        timed_selection("log_linear", partial(METHODS["log_linear"], metric="log_loss", seed=0), probs)
        timed_selection("auto", auto_select, probs)


def timed_selection(method: str, select: Callable[..., Selection], probs: np.ndarray) -> Selection:
    """Select from all members, and print what that costs."""
    before, start = rss_mib(), time.process_time()
    with threadpool_limits(1):
        selection = select(probs, LABELS)
    spent = time.process_time() - start
    print(
        f"{method} selection of all: {spent:.1f} s, peak memory {before:.0f} → {rss_mib():.0f} MiB",
        flush=True,
    )
    return selection


def run_sampler(arguments: argparse.Namespace) -> None:
    """Print the time of a proposal after so many told trials."""
    space = SearchSpace.parse(find_space("paddy_search").read_text(encoding="utf-8"), name="paddy_search")
    rng = np.random.default_rng(0)
    past = []
    for number in range(arguments.told):
        chosen = space.spaces[rng.integers(len(space.spaces))]
        values = {name: draw(domain, rng) for name, domain in chosen.domains.items()}
        config = MemberConfig(**{"seed": number, **values})
        past.append(PastTrial(Proposal(number, chosen.name, config), True, float(rng.uniform(0.1, 1))))
    print(f"{'told':>8}{'proposal, ms':>14}{'replay of all, s':>18}")
    for told in (step for step in STEPS if step <= arguments.told):
        sampler = MemberSampler((), space.spaces, seed=0)
        start = time.process_time()
        sampler.replay(past[:told])
        replayed = time.process_time()
        for _ in range(5):
            sampler.ask()
        asked = time.process_time()
        print(f"{told:>8}{200 * (asked - replayed):>14.0f}{replayed - start:>18.1f}", flush=True)


def draw(domain: Domain, rng: np.random.Generator) -> Any:
    """Return a random value of a domain."""
    if isinstance(domain, Fixed):
        return domain.value
    if isinstance(domain, Choice):
        return domain.values[rng.integers(len(domain.values))]
    low, high = (np.log(domain.low), np.log(domain.high)) if domain.log else (domain.low, domain.high)
    value = float(np.exp(rng.uniform(low, high)) if domain.log else rng.uniform(low, high))
    if domain.step:
        value = domain.low + round((value - domain.low) / domain.step) * domain.step
    return round(value) if domain.integer else min(max(float(f"{value:.4g}"), domain.low), domain.high)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parts = parser.add_subparsers(required=True)
    driver = parts.add_parser("driver")
    driver.add_argument("--trials", type=int, default=1_000)
    driver.add_argument("--at-once", type=int, default=64)
    driver.add_argument("--tracking-uri", help="record on a server; default: a new SQLite database")
    driver.set_defaults(run=run_driver)
    selection = parts.add_parser("selection")
    selection.add_argument("--members", type=int, default=10_000)
    selection.set_defaults(run=run_selection)
    sampler = parts.add_parser("sampler")
    sampler.add_argument("--told", type=int, default=10_000)
    sampler.set_defaults(run=run_sampler)
    return parser.parse_args()


if __name__ == "__main__":
    given = parse_arguments()
    given.run(given)
