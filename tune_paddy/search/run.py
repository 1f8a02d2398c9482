"""Run a search: split, record, sample, train, until the trials or the time are used up."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ray import tune
from ray.tune.schedulers import ASHAScheduler, FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher
from rich.console import Console

from tune_paddy.core.config import MemberConfig, SearchSettings
from tune_paddy.core.domains import largest
from tune_paddy.core.errors import InputError, SearchInterruptedError, TunePaddyError
from tune_paddy.core.memory import TrialMemory
from tune_paddy.data.dataset import Dataset
from tune_paddy.data.parts import Parts, make_parts
from tune_paddy.data.space import SearchSpace
from tune_paddy.data.split import SelectSplit, make_folds, make_select_split
from tune_paddy.search.live import LiveEnsemble
from tune_paddy.search.progress import ProgressTable, TrialEvents, Watcher
from tune_paddy.search.ray_session import ray_session
from tune_paddy.search.resources import check_resources
from tune_paddy.search.sampler import MemberSearcher, Proposal, Proposer
from tune_paddy.search.trainable import TrialContext, run_trial
from tune_paddy.tracking.files import log_files
from tune_paddy.tracking.members import close_stale, finish_run, start_search
from tune_paddy.tracking.runs import RecordedRun, list_members
from tune_paddy.tracking.store import Store
from tune_paddy.tracking.system_metrics import system_metrics


@dataclass(frozen=True)
class SearchPlan:
    """Everything that decides a search.

    Attributes:
        name: Unique in the record.
        dataset: Labelled images, and those to predict.
        space: Recipes and sub-spaces.
        settings: Trials, time, resources, objective, seeds.
        folder: Of this search: split, study, members.
        weights_dir: Folder of pretrained weights, or None.
        ray_address: Of a cluster, or None for this machine.
        ray_gpus: GPUs of this machine that Ray cannot count itself, such as Apple's; None: it counts.
        command: How it was started, for the record.
        data: What the dataset was opened from, for the record; None: its folder.
    """

    name: str
    dataset: Dataset
    space: SearchSpace
    settings: SearchSettings
    folder: Path
    weights_dir: Path | None = None
    ray_address: str | None = None
    ray_gpus: int | None = None
    command: str = ""
    data: Path | None = None


_INTERRUPTIONS = (KeyboardInterrupt, SearchInterruptedError)


def preview(plan: SearchPlan, n: int) -> list[Proposal]:
    """Propose the first `n` members of a search and start nothing."""
    proposer = Proposer(plan.space.recipes, plan.space.spaces, seed=plan.settings.seed)
    proposals: list[Proposal] = []
    while len(proposals) < min(n, plan.settings.trials):
        proposal = proposer.ask()
        if proposal is None:
            break
        proposals.append(proposal)
    return proposals


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
        InputError: A class is too small to split, or a trial asks for more than there is.
        TunePaddyError: The record or Ray failed.
    """
    with ray_session(plan.ray_address, num_gpus=plan.ray_gpus) as ray:
        check_resources(plan.settings, ray.cluster_resources())  # before anything is written
        _run_search(plan, store, console, clock)
    return list_members(store, plan.name)


def _run_search(plan: SearchPlan, store: Store, console: Console, clock: Callable[[], float]) -> None:
    split = stored_split(plan)
    run_trials(
        plan, split, make_parts(plan.dataset, split), store, lambda: _searcher(plan, clock), console=console
    )


def run_trials(
    plan: SearchPlan,
    split: SelectSplit,
    parts: Parts,
    store: Store,
    make_searcher: Callable[[], Searcher],
    *,
    console: Console,
    tags: Mapping[str, object] | None = None,
) -> None:
    """Train what a searcher proposes, at once as far as there is room, and record it.

    Args:
        plan: The search.
        split: As stored with the search.
        parts: What members train on and are scored on.
        store: The record, opened for the dataset's experiment.
        make_searcher: Called once Ray runs; its trials are those of `run_trial`.
        console: Where the progress table goes when it is a terminal.
        tags: Further tags of the search's run.

    Raises:
        InputError: A trial asks for more than there is.
        TunePaddyError: The record or Ray failed.
    """
    with ExitStack() as stack:
        ray = stack.enter_context(ray_session(plan.ray_address, num_gpus=plan.ray_gpus))
        at_once = check_resources(plan.settings, ray.cluster_resources())
        parent = stack.enter_context(_recorded(plan, split, store, tags or {}))
        stack.enter_context(system_metrics(store, parent))
        table = ProgressTable(console, _total(plan), lambda config: _total_epochs(config, parts.n_folds))
        watchers: list[Watcher] = [stack.enter_context(table)]
        if not parts.seen:  # else there is nothing that an ensemble could honestly be selected on
            watchers.append(stack.enter_context(LiveEnsemble(store, plan.name, parent)))
        searcher = make_searcher()
        _fit(plan, parts, _context(plan, store, parent), searcher, at_once=at_once, watchers=watchers)
        if isinstance(searcher, MemberSearcher) and searcher.unfinished:
            raise SearchInterruptedError(
                f"search {plan.name} was interrupted; `tune-paddy select {plan.name}` selects from the "
                "members that have finished"
            )


def _searcher(plan: SearchPlan, clock: Callable[[], float]) -> MemberSearcher:
    settings = plan.settings
    deadline = clock() + 60 * settings.minutes if settings.minutes else float("inf")
    proposer = Proposer(
        plan.space.recipes, plan.space.spaces, seed=settings.seed, storage=plan.folder / "study.journal"
    )
    return MemberSearcher(
        proposer, trials=settings.trials, expired=lambda: clock() >= deadline, plan=trial_planner(plan)
    )


def _fit(
    plan: SearchPlan,
    parts: Parts,
    context: TrialContext,
    searcher: Searcher,
    *,
    at_once: int,
    watchers: list[Watcher],
) -> None:
    settings = plan.settings
    tuner = tune.Tuner(
        tune.with_resources(
            tune.with_parameters(run_trial, context=context, parts=parts),
            lambda trial: tune.PlacementGroupFactory([{"CPU": settings.cpus, "GPU": trial["memory"]["gpu"]}]),
        ),
        tune_config=tune.TuneConfig(
            metric="objective",
            mode="min",
            search_alg=searcher,
            scheduler=_scheduler(plan),
            num_samples=settings.trials,
            max_concurrent_trials=at_once,
            reuse_actors=True,
        ),
        run_config=tune.RunConfig(
            name="ray",
            storage_path=str(plan.folder.absolute()),
            failure_config=tune.FailureConfig(max_failures=settings.retries),
            callbacks=[TrialEvents(watchers)],
            verbose=0,
        ),
    )
    tuner.fit()


def trial_planner(plan: SearchPlan) -> Callable[[MemberConfig], TrialMemory]:
    """Say what of a GPU a member is given; the forecasts take torch and timm, so not on a CPU search."""
    settings = plan.settings
    if settings.gpu == 0:
        return lambda config: TrialMemory(0.0, config.accum if isinstance(config.accum, int) else 1)
    from tune_paddy.training.planning import find_gpu, plan_trial  # noqa: PLC0415

    gpu = find_gpu(mib=settings.gpu_memory)
    n_classes = len(plan.dataset.classes)

    def give(config: MemberConfig) -> TrialMemory:
        try:
            return plan_trial(config, gpu, settings.gpu, n_classes=n_classes, max_accum=settings.max_accum)
        except TunePaddyError:
            # A forecast that fails is no reason to end a search: the trial itself says what is wrong.
            return TrialMemory(1.0 if settings.gpu == "auto" else settings.gpu, 1)

    return give


def _scheduler(plan: SearchPlan) -> TrialScheduler:
    if plan.settings.scheduler == "none":
        return FIFOScheduler()
    longest = _longest(plan.space)
    # A member that reaches the end must outlive its last epoch: it still has to predict.
    last = longest * max(1, plan.settings.folds) + 1
    return ASHAScheduler(time_attr="epoch", max_t=last, grace_period=max(3, longest // 4))


def stored_split(plan: SearchPlan) -> SelectSplit:
    """Make the split once and keep it with the search: every member and every selection shares it.

    Raises:
        InputError: A class is too small to split, or the stored split is of other images or other folds.
    """
    path = plan.folder / "split.json"
    if path.exists():
        split = SelectSplit.load(path, plan.dataset)
        if split.n_folds != wanted_folds(plan.settings):
            raise InputError(
                f"{path}: was made with {split.n_folds} folds, and now {wanted_folds(plan.settings)} are "
                "asked for; start a search under a new name"
            )
        return split
    split = _make_split(plan)
    plan.folder.mkdir(parents=True, exist_ok=True)
    split.save(path)
    return split


def _make_split(plan: SearchPlan) -> SelectSplit:
    settings, folds = plan.settings, wanted_folds(plan.settings)
    if folds:
        return make_folds(plan.dataset, k=folds, seed=settings.seed)
    return make_select_split(plan.dataset, share=settings.select_share, seed=settings.seed)


def wanted_folds(settings: SearchSettings) -> int:
    """Number of folds; 0 where members share one select split: a single fold divides nothing."""
    return settings.folds if settings.folds > 1 else 0


@contextmanager
def _recorded(
    plan: SearchPlan, split: SelectSplit, store: Store, tags: Mapping[str, object]
) -> Iterator[str]:
    """Open the run of the search and close it with what became of it."""
    dataset = plan.dataset
    parent = start_search(
        store,
        name=plan.name,
        params=plan.settings.model_dump(mode="json"),
        tags={
            "dataset": dataset.root,
            "dataset_path": (plan.data or dataset.root).expanduser().absolute(),
            "dataset_fingerprint": dataset.fingerprint,
            "split": split.fingerprint,
            "space": plan.space.name,
            "space_fingerprint": plan.space.fingerprint,
            "id_column": dataset.submission.id_column,
            "label_column": dataset.submission.label_column,
            **tags,
        },
        description=f"Search `{plan.name}` of space `{plan.space.name}` on `{dataset.root}`.\n\n"
        f"    {plan.command}\n",
    )
    space = plan.folder / "space.yaml"
    space.write_text(plan.space.text, encoding="utf-8")
    log_files(store, parent, [space, plan.folder / "split.json"])
    try:
        yield parent
    except BaseException as error:
        close_stale(store, plan.name, all_ended=True)
        finish_run(store, parent, "KILLED" if isinstance(error, _INTERRUPTIONS) else "FAILED")
        raise
    close_stale(store, plan.name, all_ended=True)
    finish_run(store, parent, "FINISHED")


def _context(plan: SearchPlan, store: Store, parent: str) -> TrialContext:
    return TrialContext(
        store=store,
        search=plan.name,
        parent_run_id=parent,
        folder=plan.folder.absolute() / "members",
        cpus=max(1, int(plan.settings.cpus)),
        allow_gpu=plan.settings.gpu != 0,
        objective=plan.settings.objective,
        weights_dir=plan.weights_dir.absolute() if plan.weights_dir else None,
        max_accum=plan.settings.max_accum,
    )


def _total(plan: SearchPlan) -> int:
    """Members that the search will train unless time runs out."""
    return plan.settings.trials if plan.space.spaces else min(plan.settings.trials, len(plan.space.recipes))


def _total_epochs(config: dict[str, Any], n_folds: int) -> int:
    return MemberConfig(**config).total_epochs * max(1, n_folds)


def _longest(space: SearchSpace) -> int:
    """Epochs of the longest member that the space allows."""
    recipes = [MemberConfig(**recipe.values).total_epochs for recipe in space.recipes]
    extremes = [
        {name: largest(domain) for name, domain in sub.domains.items() if name.endswith("epochs")}
        for sub in space.spaces
    ]
    return max(recipes + [MemberConfig(arch="any", **values).total_epochs for values in extremes])
