"""Run a search: split, record, sample, train, until the trials or the time are used up."""

import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from rich.console import Console

from tune_paddy.core.config import MemberConfig
from tune_paddy.core.errors import SearchInterruptedError, TunePaddyError
from tune_paddy.data.kaggle.fetch import competition_of
from tune_paddy.data.split import SelectSplit
from tune_paddy.search.image_cache import announce_cache
from tune_paddy.search.interruption import Interruption, interruptible
from tune_paddy.search.plan import SearchPlan
from tune_paddy.search.preflight import ReadyPlan
from tune_paddy.search.ray.watchdog import watched_raylet
from tune_paddy.search.resuming.compatibility import describe_images
from tune_paddy.search.resuming.history import FIRST_SESSION, Earlier, read_earlier
from tune_paddy.search.sampler import MemberSampler
from tune_paddy.search.searchers import MemberSearcher, TrialSearcher
from tune_paddy.search.trainable import LOCKS, TrialContext
from tune_paddy.search.tuning import run_trials_on_ray, trial_planner
from tune_paddy.search.watchers.close_members import MemberCloser, Stopwatch, only_one, sweep
from tune_paddy.search.watchers.live_ensemble import LiveEnsemble
from tune_paddy.search.watchers.progress import FirstNote, ProgressTable, TrialEvents, Watcher
from tune_paddy.search.watchers.prune_weights import OnSelection, WeightsKeeper
from tune_paddy.tracking.context.datasets import UsedDataset, log_dataset
from tune_paddy.tracking.context.system_metrics import system_metrics
from tune_paddy.tracking.files import FIGURES, IMAGES_FILE, SPACE_FILE, log_files
from tune_paddy.tracking.members import close_stale, finish_run, start_search
from tune_paddy.tracking.runs import RecordedRun, get_search, list_members
from tune_paddy.tracking.schema import SearchRecord
from tune_paddy.tracking.store import Store

_INTERRUPTIONS = (KeyboardInterrupt, SearchInterruptedError)


def run_search(
    ready: ReadyPlan,
    store: Store,
    *,
    console: Console,
    clock: Callable[[], float] = time.monotonic,
) -> tuple[RecordedRun, ...]:
    """Train the members of a search; afterwards everything is in the record.

    Args:
        ready: The search, from `ready_session`, within its block.
        store: The record, opened for the dataset's experiment.
        console: Terminal that shows the progress table, or another output.
        clock: Current time in seconds, for the time budget.

    Returns:
        All members, whatever their outcome.

    Raises:
        InputError: Another process runs this search.
        SearchInterruptedError: A signal ended the search early; it can be resumed.
        TunePaddyError: The record or Ray failed.
    """
    plan = ready.plan
    with only_one(plan.folder, plan.name):
        earlier = read_earlier(store, get_search(store, plan.name), plan) if plan.goes_on else FIRST_SESSION
        if earlier.leaves_work(plan):
            searcher = _searcher(plan, clock, earlier)
            run_trials(ready, store, searcher, console=console, earlier=earlier)
        else:
            with _recorded(plan, ready.split, store, {}):
                pass  # closes what an earlier session left open
    return list_members(store, plan.name)


def run_trials(
    ready: ReadyPlan,
    store: Store,
    searcher: TrialSearcher,
    *,
    console: Console,
    earlier: Earlier = FIRST_SESSION,
    tags: Mapping[str, object] | None = None,
) -> None:
    """Train and record what a searcher hands out, as many trials at once as there is room for.

    Args:
        ready: The search.
        store: The record, opened for the dataset's experiment.
        searcher: Source of the trials.
        console: Terminal that shows the progress table, or another output.
        earlier: Earlier sessions of the search.
        tags: Further tags of the search's run.

    Raises:
        SearchInterruptedError: A signal ended the search early.
        TunePaddyError: The record or Ray failed.
    """
    plan, interruption = ready.plan, searcher.interruption
    if ready.note:
        console.print(ready.note, style="yellow", soft_wrap=True)
    with ExitStack() as stack:
        parent = stack.enter_context(_recorded(plan, ready.split, store, tags or {}))
        stack.enter_context(system_metrics(store, parent))
        context = _context(plan, store, parent)
        watchers = _watchers(ready, store, context, console, earlier)
        for watcher in watchers:
            if isinstance(watcher, AbstractContextManager):
                stack.enter_context(watcher)
        stack.enter_context(interruptible(interruption, console.print))
        stack.enter_context(watched_raylet(interruption))
        run_trials_on_ray(
            ready, context, searcher, earlier=earlier.trials, callbacks=[TrialEvents(watchers, interruption)]
        )
        _keep_figures(plan, searcher, store, parent)
        if interruption.wished or searcher.unfinished:
            raise interruption.error(
                f"search {plan.name} was interrupted; go on with `tune-paddy search --resume {plan.name}`"
            )


def _watchers(
    ready: ReadyPlan, store: Store, context: TrialContext, console: Console, earlier: Earlier
) -> list[Watcher]:
    """What is told of each change of a trial; some also do something at the end."""
    plan, parts, parent = ready.plan, ready.parts, context.parent_run_id
    preparing = announce_cache(plan.settings.cache_limit, parts.images, plan.space, console)
    epochs_of = _total_epochs(parts.n_folds)
    watchers: list[Watcher] = [
        MemberCloser(store, plan.name, parent, context.folder),
        Stopwatch(store, parent, earlier.seconds),
        ProgressTable(console, plan.total, epochs_of, done=earlier.done, preparing=preparing),
        FirstNote(console),
    ]
    if not parts.seen:  # otherwise there is nothing that an ensemble could honestly be selected on
        watchers.append(LiveEnsemble(store, plan.name, parent, _keeper(plan, store, context.folder)))
    return watchers


def _keep_figures(plan: SearchPlan, searcher: TrialSearcher, store: Store, parent: str) -> None:
    """Store the searcher's figures with the search; a failure to store them does not fail the search."""
    folder = plan.folder / FIGURES
    with suppress(TunePaddyError):
        if searcher.finish(folder):
            log_files(store, parent, [folder])


def _keeper(plan: SearchPlan, store: Store, members: Path) -> OnSelection:
    """What prunes the weights as the search goes."""
    if plan.settings.keep_weights == "selected":
        return WeightsKeeper(store, members)
    return lambda pool, selection: None


def _searcher(plan: SearchPlan, clock: Callable[[], float], earlier: Earlier) -> MemberSearcher:
    settings = plan.settings
    deadline = clock() + 60 * settings.minutes - earlier.seconds if settings.minutes else float("inf")
    return MemberSearcher(
        MemberSampler(plan.space.recipes, plan.space.spaces, seed=settings.seed),
        Interruption(),
        trials=plan.total,
        expired=lambda: clock() >= deadline,
        plan=trial_planner(plan),
        past=earlier.trials,
    )


@contextmanager
def _recorded(
    plan: SearchPlan, split: SelectSplit, store: Store, tags: Mapping[str, object]
) -> Iterator[str]:
    """Open the run of the search and close it with what became of it."""
    parent = start_search(
        store,
        name=plan.name,
        params=plan.settings.model_dump(mode="json"),
        tags={**_record(plan, split).to_tags(), **tags},
        description="" if plan.goes_on else _description(plan),
    )
    try:
        close_stale(store, plan.name, all_ended=True)
        log_dataset(store, parent, _used(plan, split))
        _store_files(plan, split, store, parent)
        yield parent
    except BaseException as error:
        _close(plan, store, parent, "KILLED" if isinstance(error, _INTERRUPTIONS) else "FAILED")
        raise
    _close(plan, store, parent, "FINISHED")


def _record(plan: SearchPlan, split: SelectSplit) -> SearchRecord:
    """What the record is to hold of a search; its command stays the first session's."""
    dataset, space = plan.dataset, plan.space
    return SearchRecord(
        dataset=dataset.root,
        dataset_path=(plan.data or dataset.root).expanduser().absolute(),
        dataset_fingerprint=dataset.fingerprint,
        skip_corrupt=bool(dataset.report.corrupt),
        skip_conflicts=bool(dataset.report.conflicts),
        competition=competition_of(dataset.root),
        split=split.fingerprint,
        space=space.name,
        space_fingerprint=space.fingerprint,
        space_base=space.base,
        stand_ins=space.stands_in,
        weights_dir=plan.weights_dir.absolute() if plan.weights_dir else None,
        ray_address=plan.ray_address or "",
        id_column=dataset.submission.id_column,
        label_column=dataset.submission.label_column,
        folder=plan.folder.absolute(),
        settings=plan.settings.model_dump(mode="json"),
        asked=plan.asked,
        command=None if plan.goes_on else plan.command,
    )


def _used(plan: SearchPlan, split: SelectSplit) -> UsedDataset:
    dataset = plan.dataset
    counts = {
        "labelled": len(dataset.labelled),
        "select": len(split.select_ids),
        "test": len(dataset.test),
        "classes": len(dataset.classes),
    }
    return UsedDataset(dataset.root.name, dataset.fingerprint, str(dataset.root), counts)


def _description(plan: SearchPlan) -> str:
    space, data = plan.space.name, plan.dataset.root
    return f"Search `{plan.name}` of space `{space}` on `{data}`.\n\n    {plan.command}\n"


def _store_files(plan: SearchPlan, split: SelectSplit, store: Store, parent: str) -> None:
    split.save(plan.folder / "split.json")
    (plan.folder / SPACE_FILE).write_text(plan.space.text, encoding="utf-8")
    (plan.folder / IMAGES_FILE).write_text(describe_images(plan.dataset), encoding="utf-8")
    log_files(store, parent, [plan.folder / name for name in (SPACE_FILE, IMAGES_FILE, "split.json")])


def _close(plan: SearchPlan, store: Store, parent: str, status: Any) -> None:
    close_stale(store, plan.name, all_ended=True)
    sweep(store, plan.name, plan.folder / "members")
    shutil.rmtree(plan.folder / "members" / LOCKS, ignore_errors=True)
    finish_run(store, parent, status)


def _context(plan: SearchPlan, store: Store, parent: str) -> TrialContext:
    return TrialContext(
        store=store,
        search=plan.name,
        parent_run_id=parent,
        folder=plan.folder.absolute() / "members",
        cpus=max(1, int(plan.settings.cpus)),
        allow_gpu=plan.settings.gpu != 0,
        objective=plan.settings.objective,
        stall_minutes=plan.settings.stall_minutes,
        weights_dir=plan.weights_dir.absolute() if plan.weights_dir else None,
        cache_limit=plan.settings.cache_limit,
        max_accum=plan.settings.max_accum,
        keep_weights=plan.settings.keep_weights != "none",
    )


def _total_epochs(n_folds: int) -> Callable[[MemberConfig], int]:
    return lambda config: config.total_epochs * max(1, n_folds)
