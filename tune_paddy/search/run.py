"""Run a search: split, record, sample, train, until the trials or the time are used up."""

import json
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from ray.tune.search import Searcher
from rich.console import Console

from tune_paddy.core.config import MemberConfig
from tune_paddy.core.errors import SearchInterruptedError, TunePaddyError
from tune_paddy.data.kaggle.fetch import competition_of
from tune_paddy.data.member_data import Parts, make_parts
from tune_paddy.data.split import SelectSplit
from tune_paddy.search.image_cache import announce_cache
from tune_paddy.search.interruption import Interruption, interruptible
from tune_paddy.search.plan import SearchPlan, stored_split
from tune_paddy.search.ray.session import ray_session
from tune_paddy.search.ray.watchdog import watched_raylet
from tune_paddy.search.resources import check_resources, idle_gpus_note
from tune_paddy.search.resuming.compatibility import check_same, describe_images
from tune_paddy.search.resuming.history import FIRST_SESSION, Earlier, read_earlier
from tune_paddy.search.sampler import MemberSampler, MemberSearcher
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
from tune_paddy.tracking.runs import (
    ASKED,
    COMMAND,
    COMPETITION,
    DATASET,
    DATASET_FINGERPRINT,
    DATASET_PATH,
    FOLDER,
    ID_COLUMN,
    LABEL_COLUMN,
    RAY_ADDRESS,
    SETTINGS,
    SKIP_CONFLICTS,
    SKIP_CORRUPT,
    SPACE_BASE,
    SPACE_FINGERPRINT,
    SPACE_NAME,
    SPLIT,
    STAND_INS,
    WEIGHTS_DIR,
    RecordedRun,
    get_search,
    list_members,
)
from tune_paddy.tracking.store import Store

_INTERRUPTIONS = (KeyboardInterrupt, SearchInterruptedError)


def run_search(
    plan: SearchPlan,
    store: Store,
    *,
    console: Console,
    clock: Callable[[], float] = time.monotonic,
) -> tuple[RecordedRun, ...]:
    """Train the members of a search; afterwards everything is in the record.

    Args:
        plan: What to search, and how.
        store: The record, opened for the dataset's experiment.
        console: Where the progress table goes when it is a terminal.
        clock: Seconds, for the time budget.

    Returns:
        All members, whatever became of them.

    Raises:
        InputError: A class is too small to split, a trial asks for more than there is, another process
            runs this search, or it is to go on with another space, dataset or split.
        SearchInterruptedError: A signal ended it early; it can go on.
        TunePaddyError: The record or Ray failed.
    """
    with only_one(plan.folder, plan.name):
        earlier = _look_back(plan, store) if plan.goes_on else FIRST_SESSION
        if earlier.leaves_work(plan):
            _train(plan, store, earlier, console, clock)
        else:
            with _recorded(plan, stored_split(plan), store, {}):
                pass  # what is left open is closed
    return list_members(store, plan.name)


def _look_back(plan: SearchPlan, store: Store) -> Earlier:
    search = get_search(store, plan.name)
    check_same(plan, search, store)
    return read_earlier(store, search, plan)


def _train(
    plan: SearchPlan, store: Store, earlier: Earlier, console: Console, clock: Callable[[], float]
) -> None:
    with ray_session(plan.ray_address, num_gpus=plan.ray_gpus) as ray:
        there = ray.cluster_resources()
        check_resources(plan.settings, there)  # before anything is written
        if note := idle_gpus_note(plan.settings, there):
            console.print(note, style="yellow", soft_wrap=True)
        interruption = Interruption()
        searcher = _searcher(plan, clock, earlier, interruption)
        split = stored_split(plan)
        run_trials(
            plan,
            split,
            make_parts(plan.dataset, split),
            store,
            searcher,
            n_trials=searcher.left,
            interruption=interruption,
            console=console,
            earlier=earlier,
        )


def run_trials(
    plan: SearchPlan,
    split: SelectSplit,
    parts: Parts,
    store: Store,
    searcher: Searcher,
    *,
    n_trials: int,
    interruption: Interruption,
    console: Console,
    earlier: Earlier = FIRST_SESSION,
    tags: Mapping[str, object] | None = None,
) -> None:
    """Train what a searcher proposes, at once as far as there is room, and record it.

    Args:
        plan: The search.
        split: As stored with the search.
        parts: What members train on and are scored on.
        store: The record, opened for the dataset's experiment.
        searcher: Its trials are those of `run_trial`.
        n_trials: Most trials that it proposes.
        interruption: Its wish for an end, which the searcher knows, too.
        console: Where the progress table goes when it is a terminal.
        earlier: Sessions of the same search.
        tags: Further tags of the search's run.

    Raises:
        InputError: A trial asks for more than there is.
        SearchInterruptedError: A signal ended the search early.
        TunePaddyError: The record or Ray failed.
    """
    with ExitStack() as stack:
        ray = stack.enter_context(ray_session(plan.ray_address, num_gpus=plan.ray_gpus))
        at_once = check_resources(plan.settings, ray.cluster_resources())
        parent = stack.enter_context(_recorded(plan, split, store, tags or {}))
        stack.enter_context(system_metrics(store, parent))
        epochs_of = _total_epochs(parts.n_folds)
        preparing = announce_cache(plan.settings.cache_limit, parts.images, plan.space, console)
        table = ProgressTable(console, plan.total, epochs_of, done=earlier.done, preparing=preparing)
        context = _context(plan, store, parent)
        watchers: list[Watcher] = [
            MemberCloser(store, plan.name, parent, context.folder),
            stack.enter_context(Stopwatch(store, parent, earlier.seconds)),
            stack.enter_context(table),
            FirstNote(console),
        ]
        if not parts.seen:  # else there is nothing that an ensemble could honestly be selected on
            live = LiveEnsemble(store, plan.name, parent, _keeper(plan, store, context.folder))
            watchers.append(stack.enter_context(live))
        stack.enter_context(interruptible(interruption, console.print))
        stack.enter_context(watched_raylet(interruption))
        run_trials_on_ray(
            plan,
            parts,
            context,
            searcher,
            n_trials=n_trials,
            at_once=at_once,
            earlier=earlier.trials,
            callbacks=[TrialEvents(watchers, interruption)],
            interruption=interruption,
        )
        if isinstance(searcher, MemberSearcher):
            _draw_study(plan, searcher, store, parent)
        if interruption.wished or (isinstance(searcher, MemberSearcher) and searcher.unfinished):
            raise interruption.error(f"search {plan.name} was interrupted; it can be resumed")


def _draw_study(plan: SearchPlan, searcher: MemberSearcher, store: Store, parent: str) -> None:
    """Leave Optuna's pictures with the search; that they cannot be stored does not undo it."""
    from tune_paddy.search.study_figures import write_study_figures  # noqa: PLC0415 pyplot, for the end alone

    folder = plan.folder / FIGURES
    with suppress(TunePaddyError):
        if write_study_figures(searcher.sampler.trials(), plan.space.spaces, folder):
            log_files(store, parent, [folder])


def _keeper(plan: SearchPlan, store: Store, members: Path) -> OnSelection:
    """What prunes the weights as the search goes."""
    if plan.settings.keep_weights == "selected":
        return WeightsKeeper(store, members)
    return lambda pool, selection: None


def _searcher(
    plan: SearchPlan,
    clock: Callable[[], float],
    earlier: Earlier,
    interruption: Interruption,
) -> MemberSearcher:
    settings = plan.settings
    deadline = clock() + 60 * settings.minutes - earlier.seconds if settings.minutes else float("inf")
    return MemberSearcher(
        MemberSampler(plan.space.recipes, plan.space.spaces, seed=settings.seed),
        trials=plan.total,
        expired=lambda: clock() >= deadline,
        plan=trial_planner(plan),
        past=earlier.trials,
        stopping=lambda: interruption.wished,
    )


@contextmanager
def _recorded(
    plan: SearchPlan, split: SelectSplit, store: Store, tags: Mapping[str, object]
) -> Iterator[str]:
    """Open the run of the search and close it with what became of it."""
    dataset = plan.dataset
    settings = plan.settings.model_dump(mode="json")
    parent = start_search(
        store,
        name=plan.name,
        params=settings,
        tags={
            DATASET: dataset.root,
            DATASET_PATH: (plan.data or dataset.root).expanduser().absolute(),
            DATASET_FINGERPRINT: dataset.fingerprint,
            SKIP_CORRUPT: bool(dataset.report.corrupt),
            SKIP_CONFLICTS: bool(dataset.report.conflicts),
            COMPETITION: competition_of(dataset.root),
            SPLIT: split.fingerprint,
            SPACE_NAME: plan.space.name,
            SPACE_FINGERPRINT: plan.space.fingerprint,
            SPACE_BASE: plan.space.base or "",
            STAND_INS: plan.space.stands_in,
            WEIGHTS_DIR: plan.weights_dir.absolute() if plan.weights_dir else "",
            RAY_ADDRESS: plan.ray_address or "",
            ID_COLUMN: dataset.submission.id_column,
            LABEL_COLUMN: dataset.submission.label_column,
            FOLDER: plan.folder.absolute(),
            SETTINGS: json.dumps(settings),
            ASKED: json.dumps(plan.asked),
            **({} if plan.goes_on else {COMMAND: plan.command}),
            **tags,
        },
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


def _total_epochs(n_folds: int) -> Callable[[dict[str, Any]], int]:
    return lambda config: MemberConfig(**config).total_epochs * max(1, n_folds)
