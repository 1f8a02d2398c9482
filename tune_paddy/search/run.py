"""Run a search: record, sample and train until the trials or the time are used up."""

import math
import os
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack, suppress
from functools import partial

from rich.console import Console

from tune_paddy.core.errors import InputError, TunePaddyError
from tune_paddy.core.predictions import Pool
from tune_paddy.core.selection.result import Selection
from tune_paddy.core.timing.gains import Point
from tune_paddy.search.cluster.carried import require_server
from tune_paddy.search.lock import search_lock
from tune_paddy.search.plan import SearchPlan
from tune_paddy.search.preflight import ReadyPlan
from tune_paddy.search.recording import recorded_search
from tune_paddy.search.resuming.history import FIRST_SESSION, Earlier
from tune_paddy.search.resuming.plan import look_back
from tune_paddy.search.sampling.searchers import MemberSearcher, TrialSearcher
from tune_paddy.search.stopping.failures import FailuresInARow
from tune_paddy.search.stopping.frozen_processes import frozen_processes_ended
from tune_paddy.search.stopping.interruption import Interruption, interruptible
from tune_paddy.search.stopping.vital import (
    Vital,
    ray_processes,
    require_all,
    vital_database,
    vital_files,
    watched,
)
from tune_paddy.search.timing.at_start import start_lines
from tune_paddy.search.timing.budget import TimeBudget
from tune_paddy.search.timing.by_operations import member_paces
from tune_paddy.search.timing.earlier_searches import earlier_search_line
from tune_paddy.search.trainable import TrialContext
from tune_paddy.search.tuning import run_trials_on_ray
from tune_paddy.search.watchers.background import Background
from tune_paddy.search.watchers.close_members import MemberCloser
from tune_paddy.search.watchers.contributors import Contributors
from tune_paddy.search.watchers.display import search_display
from tune_paddy.search.watchers.events import FirstNote, TrialEvents, Watcher
from tune_paddy.search.watchers.live_ensemble import LiveEnsemble
from tune_paddy.search.watchers.progress import SearchProgress
from tune_paddy.search.watchers.prune_weights import OnSelection, WeightsKeeper
from tune_paddy.search.watchers.stopwatch import Stopwatch
from tune_paddy.tracking.context.system_metrics import system_metrics
from tune_paddy.tracking.ensembles import read_live_points
from tune_paddy.tracking.files import FIGURES, SPLIT_FILE, artifacts_folder, log_files
from tune_paddy.tracking.runs import RecordedRun, list_members
from tune_paddy.tracking.schema import FLAT
from tune_paddy.tracking.searches import close_search, log_ending
from tune_paddy.tracking.store import Store, sqlite_path
from tune_paddy.training.saved.shelf import MEMBERS


def run_search(
    ready: ReadyPlan,
    store: Store,
    *,
    console: Console,
    clock: Callable[[], float] = time.monotonic,
) -> tuple[RecordedRun, ...]:
    """Train the members of a search and record them.

    Args:
        ready: The search, from `ready_session`, inside its block.
        store: The record, opened for the dataset's experiment.
        console: Output for notes and progress: a table, or lines in a log; a quiet one gets neither.
        clock: Monotonic clock in seconds, for the time budget; also that of `plan.started`.

    Returns:
        All members, whatever their outcome.

    Raises:
        InputError: Another process runs this search, it already exists, or it is resumed with another space,
            dataset or split.
        SearchInterruptedError: A signal stopped the search, or its members failed one after another; it can
            be resumed.
        TunePaddyError: The record or Ray failed.
    """
    plan = ready.plan
    if plan.images is not None:
        require_server(store.tracking_uri)
    with search_lock(plan.folder, plan.name):
        earlier = _look_back(plan, store)
        if not plan.resumed:
            _print_earlier(plan, ready.split.fingerprint, store, console)
        if earlier.leaves_work(plan):
            _print_start(ready, store, earlier, _budget(plan, clock, earlier).left(), console)
        # Closes runs that a session left open.
        with recorded_search(plan, ready.split, store, new=not plan.resumed) as parent:
            if earlier.leaves_work(plan):
                chosen = Contributors()
                searcher = _searcher(ready, clock, earlier, chosen)
                run_trials(
                    ready, store, parent, searcher, console=console, earlier=earlier, on_selection=chosen.take
                )
    return list_members(store, plan.name)


def _print_earlier(plan: SearchPlan, split: str, store: Store, console: Console) -> None:
    """Print what an earlier search of the same images reached, if the record has one."""
    with suppress(TunePaddyError):
        line = earlier_search_line(store, plan, split)
        if line is not None:
            console.print(line, soft_wrap=True, markup=False)


def _print_start(ready: ReadyPlan, store: Store, earlier: Earlier, left: float, console: Console) -> None:
    """Print what is known of the next members before they train, in `left` s; a failure costs the lines."""
    with suppress(TunePaddyError):
        for line in start_lines(ready, store, earlier, left):
            console.print(line, soft_wrap=True, markup=False)


def _look_back(plan: SearchPlan, store: Store) -> Earlier:
    """Return the history of a search whose lock is held.

    Raises:
        InputError: The search is resumed with another space, dataset or split, or it is not resumed although
            its folder has a search.
    """
    if plan.resumed:
        return look_back(plan, store)
    if (plan.folder / SPLIT_FILE).exists():
        raise InputError(
            f"search {plan.name!r} already exists in {plan.folder}: resume it, or choose another name"
        )
    return FIRST_SESSION


def run_trials(
    ready: ReadyPlan,
    store: Store,
    parent: str,
    searcher: TrialSearcher,
    *,
    console: Console,
    earlier: Earlier = FIRST_SESSION,
    on_selection: OnSelection = lambda pool, selection: None,
) -> None:
    """Train and record the trials of a searcher, `ready.at_once` of them concurrently.

    Args:
        ready: The search.
        store: The record, opened for the dataset's experiment.
        parent: MLflow run of the search, from `recorded_search`, inside its block.
        searcher: Source of the trials.
        console: Output for notes and progress: a table, or lines in a log; a quiet one gets neither.
        earlier: Earlier sessions of the search.
        on_selection: Receiver of each live selection, called from another thread.

    Raises:
        SearchInterruptedError: A signal stopped the search, or its members failed one after another.
        TunePaddyError: The record or Ray failed.
    """
    plan, interruption = ready.plan, searcher.interruption
    for note in ready.notes:
        console.print(note, style="yellow", soft_wrap=True, markup=False)
    if plan.resumed:
        log_ending(store, parent, "")
    with ExitStack() as stack:
        stack.enter_context(system_metrics(store, parent))
        context = _context(plan, store, parent)
        progress = _progress(ready, earlier, interruption.budget, _earlier_points(plan, store, parent))
        progress.ends_early = lambda: searcher.ended_flat
        progress.names_more = lambda: searcher.names_more
        if plan.settings.stop_when_flat:
            searcher.is_flat = progress.is_flat
        failures = FailuresInARow(ready.at_once)
        searcher.failing = failures.are_many
        display = search_display(console, progress)
        began = interruption.budget.began if interruption.budget.is_limited else None
        clock = interruption.budget.clock
        stopwatch = Stopwatch(store, parent, progress.spent, clock=clock, began=began)
        selected = [progress.ensemble_selected, on_selection]
        closer = MemberCloser(store, plan.name, parent, context.members, plan.shelf)
        recorder = Background(stopwatch, closer)
        live = _live_ensemble(ready, store, parent, selected, elapsed=lambda: progress.elapsed)
        if plan.resumed and live is not None:
            searcher.look_back = live.wait_for_earlier
        curve = [] if live is None else [live]
        watchers: list[Watcher] = [progress, failures, display, recorder, FirstNote(console), *curve]
        for watcher in (stopwatch, *watchers):
            if isinstance(watcher, AbstractContextManager):
                stack.enter_context(watcher)
        stack.enter_context(interruptible(interruption, console.print))
        leave = partial(_leave, plan, store, parent)
        stack.enter_context(watched(ray_processes(), interruption, leave))
        files = _files(plan, store, parent)
        stack.enter_context(watched(files, interruption, leave))
        stack.enter_context(frozen_processes_ended(context.members))
        run_trials_on_ray(
            ready,
            context,
            searcher,
            earlier=earlier.trials,
            callbacks=[TrialEvents(watchers, interruption, display.tick)],
            say=partial(console.print, style="yellow", soft_wrap=True, markup=False),
        )
        require_all(files, interruption)
        _keep_figures(plan, searcher, store, parent)
        if searcher.ended_flat:
            log_ending(store, parent, FLAT)
        _require_ended(plan, searcher, failures)
    line = _ending(searcher, progress)
    if line:
        console.print(line, soft_wrap=True, markup=False)


def _ending(searcher: TrialSearcher, progress: SearchProgress) -> str:
    """Return in one line why a search ended although it may have trials and time left; empty: it did not."""
    if searcher.ended_flat:
        return progress.flat_reason()
    if searcher.exhausted:
        return "All members of the space have been proposed: frozen ones are the same with another seed"
    return ""


def _require_ended(plan: SearchPlan, searcher: TrialSearcher, failures: FailuresInARow) -> None:
    """Raise if a search ended before its trials and its time were used up, and goes on when it is resumed."""
    interruption = searcher.interruption
    if interruption.requested or (searcher.unfinished and not interruption.budget.expired):
        raise interruption.error(f"search {plan.name} was interrupted; it can be resumed")
    if searcher.ended_failing:
        raise failures.error(plan.name)


def _files(plan: SearchPlan, store: Store, parent: str) -> list[Vital]:
    """Return the files that a search needs until its end; a resume needs those of the record alone."""
    database = sqlite_path(store.tracking_uri)
    artifacts = artifacts_folder(store, parent)
    return [
        *([] if database is None else [vital_database(database)]),
        *vital_files([] if artifacts is None else [artifacts], resumable=False),
        # Not the search's folder, which trials make again.
        *vital_files([plan.folder / SPLIT_FILE], resumable=True),
    ]


def _leave(plan: SearchPlan, store: Store, parent: str, error: TunePaddyError) -> None:
    """Close the record of a search and end this process, from another thread than the main one."""
    try:
        close_search(store, plan.name, parent, "KILLED")
    finally:  # whatever the record says, this process must not wait for Ray
        print(f"error: {error}", file=sys.stderr, flush=True)
        os._exit(error.exit_status)


def _earlier_points(plan: SearchPlan, store: Store, parent: str) -> dict[int, Point]:
    """Return the live curve of the earlier sessions; a failure costs the outlook of the search alone."""
    with suppress(TunePaddyError):
        return read_live_points(store, parent) if plan.resumed else {}
    return {}


def _progress(
    ready: ReadyPlan, earlier: Earlier, budget: TimeBudget, points: dict[int, Point]
) -> SearchProgress:
    """Return the state of a search that starts now."""
    plan = ready.plan
    return SearchProgress(
        total=plan.total,
        at_once=ready.at_once,
        folds=ready.parts.n_folds,
        cpus=plan.settings.cpus,
        frozen=plan.frozen,
        done=earlier.done,
        done_frozen=earlier.done_frozen,
        spent=earlier.seconds,
        limit=earlier.seconds + budget.left() if budget.is_limited else None,
        preparing=ready.cache.progress,
        known=len(plan.first),
        points=points,
    )


def _live_ensemble(
    ready: ReadyPlan,
    store: Store,
    parent: str,
    selected: Sequence[OnSelection],
    *,
    elapsed: Callable[[], float],
) -> LiveEnsemble | None:
    """Return what selects after each member; None: members train on the select split, which judges none.

    Args:
        ready: The search.
        store: The record, opened for the dataset's experiment.
        parent: MLflow run of the search.
        selected: Receivers of each live selection.
        elapsed: Function that returns the time of the search over all its sessions, in s.
    """
    if ready.parts.seen:
        return None
    plan, receivers = ready.plan, [*selected, _keeper(ready.plan, store)]
    return LiveEnsemble(store, plan.name, parent, plan.folder, _each(receivers), elapsed=elapsed)


def _each(receivers: Sequence[OnSelection]) -> OnSelection:
    """Return a function that passes each live selection to all receivers."""

    def receive(pool: Pool, selection: Selection) -> None:
        for receiver in receivers:
            receiver(pool, selection)

    return receive


def _keep_figures(plan: SearchPlan, searcher: TrialSearcher, store: Store, parent: str) -> None:
    """Store the searcher's figures with the search; ignore a failure."""
    folder = plan.folder / FIGURES
    with suppress(TunePaddyError):
        if searcher.finish(folder):
            log_files(store, parent, [folder])


def _keeper(plan: SearchPlan, store: Store) -> OnSelection:
    """Return the function that prunes weights files after each live selection."""
    if plan.settings.keep_weights == "selected":
        return WeightsKeeper(store, plan.shelf)
    return lambda pool, selection: None


def _searcher(
    ready: ReadyPlan, clock: Callable[[], float], earlier: Earlier, chosen: Contributors
) -> MemberSearcher:
    plan = ready.plan
    budget = _budget(plan, clock, earlier)
    paces = member_paces(plan, ready.parts, limited=budget.is_limited)
    for trial in earlier.trials:
        if trial.seconds is not None:
            paces.learn(trial.proposal.config, trial.seconds)
    return MemberSearcher(
        plan.sampler(),
        Interruption(budget=budget),
        trials=plan.total,
        paces=paces,
        plan=ready.memory_of,
        past=earlier.trials,
        folds=ready.parts.n_folds,
        contributors=chosen.weights,
        places=ready.at_once,
    )


def _budget(plan: SearchPlan, clock: Callable[[], float], earlier: Earlier) -> TimeBudget:
    """Return the time budget of this session: what earlier ones have left of that of the search."""
    minutes, now = plan.settings.minutes, clock()
    began = now if plan.started is None else plan.started
    seconds = math.inf if minutes is None else 60 * minutes - earlier.seconds
    return TimeBudget(began, seconds, opened=now, clock=clock)


def _context(plan: SearchPlan, store: Store, parent: str) -> TrialContext:
    return TrialContext(
        store=store,
        search=plan.name,
        parent_run_id=parent,
        folder=plan.folder.absolute() / MEMBERS,
        cpus=max(1, int(plan.settings.cpus)),
        allow_gpu=plan.settings.gpu != 0,
        objective=plan.settings.objective,
        stall_minutes=plan.settings.stall_minutes,
        weights_dir=plan.weights_dir.absolute() if plan.weights_dir else None,
        cache_limit=plan.settings.cache_limit,
        max_accum=plan.settings.max_accum,
        keep_weights=plan.settings.keep_weights != "none",
        storage=plan.storage,
        images=plan.images,
    )
