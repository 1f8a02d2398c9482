"""Checks before a search starts: refuse what can be refused before any trial trains."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import ray

from tune_paddy.core.config import MemberConfig, SearchSettings
from tune_paddy.core.domains import candidates
from tune_paddy.core.metrics import check_metric
from tune_paddy.core.selection.names import is_metric
from tune_paddy.core.tasks.task import Task
from tune_paddy.core.teaching.words import RULES, teachers_in_words
from tune_paddy.data.member_data import Parts, image_set, make_parts
from tune_paddy.data.split import SelectSplit, describe_limits
from tune_paddy.data.storage.images import push_images
from tune_paddy.data.storage.storage import Storage
from tune_paddy.data.system.progress.stages import SILENT, Progress
from tune_paddy.data.system.text import check_decoded
from tune_paddy.search.cluster.gpu_models import GpuModel, gpu_models, models_note
from tune_paddy.search.cluster.nodes import clock_note
from tune_paddy.search.cluster.session import cluster_session, smallest_gpu
from tune_paddy.search.gpu_shares import Planner, trial_planner, without_gpu
from tune_paddy.search.image_cache import CacheWatch, watch_cache
from tune_paddy.search.licences import licence_note, random_features_note
from tune_paddy.search.lock import search_lock
from tune_paddy.search.plan import SearchPlan, new_split, stored_split
from tune_paddy.search.ray.session import ray_session
from tune_paddy.search.resources import check_machines, idle_gpus_note, resources_here
from tune_paddy.search.resuming.compatibility import check_same
from tune_paddy.spaces.space import SearchSpace
from tune_paddy.tracking.history import read_recorded_search
from tune_paddy.tracking.store import Store


@dataclass(frozen=True)
class ReadyPlan:
    """A search that can start.

    Attributes:
        plan: Plan of the search.
        split: Select split or folds, stored or new.
        parts: Training images, select split and test set.
        at_once: Number of concurrent trials, at least 1.
        cache: Image cache of this machine.
        notes: Hints for the user, one line each, such as one on unused GPUs.
        memory_of: Function that decides a member's share of a GPU, its accum and its memory limit.
    """

    plan: SearchPlan
    split: SelectSplit
    parts: Parts
    at_once: int
    cache: CacheWatch
    notes: tuple[str, ...] = ()
    memory_of: Planner = without_gpu


def preflight(plan: SearchPlan, *machines: Mapping[str, float]) -> ReadyPlan:
    """Check a plan against the available resources, and split its images.

    Args:
        plan: Plan of the search.
        *machines: Ray's resources of each machine: `CPU`, `GPU`.

    Raises:
        InputError: A path is no text, a trial needs more resources than there are, the classes cannot be
            split, a loss is one of another task, or the stored split or targets have other images or folds.
    """
    for path in (plan.dataset.root, plan.folder.absolute(), Path.cwd()):  # Ray needs them as text
        check_decoded(path)
    settings = plan.settings
    if is_metric(settings.objective):
        check_metric(settings.objective, plan.dataset.task)
    if plan.follow_up.get("metric"):
        check_metric(str(plan.follow_up["metric"]), plan.dataset.task)
    _check_losses(plan.space, plan.dataset.task)
    at_once = check_machines(settings, machines)
    # A new search can still get another name, so its folder may be that of another search.
    split = stored_split(plan) if plan.resumed else new_split(plan)
    parts = make_parts(plan.dataset, split)
    if plan.targets is not None:
        parts = plan.targets.taught(parts)
    cache = watch_cache(settings.cache_limit, parts.images, plan.space)
    limits = () if plan.resumed else (*describe_limits(plan.dataset, split), *_teachers(plan))
    idle = idle_gpus_note(settings, {"GPU": sum(machine.get("GPU", 0) for machine in machines)})
    hints = (licence_note(plan.space), random_features_note(plan.space), *limits, idle, cache.note)
    notes = tuple(note for note in hints if note)
    return ReadyPlan(plan, split, parts, at_once, cache, notes)


def _teachers(plan: SearchPlan) -> tuple[str, ...]:
    """Return who teaches the members of a search, and what a person must know about that."""
    told = teachers_in_words(plan.settings.model_dump(), len(plan.dataset.test))
    return (*told[:-1], f"{told[-1]}: {RULES}") if plan.settings.pseudo is not None else told


def _check_losses(space: SearchSpace, task: Task) -> None:
    named = {str(recipe.values["loss"]) for recipe in space.recipes if "loss" in recipe.values}
    searched = [candidates(sub.domains["loss"]) for sub in space.spaces if "loss" in sub.domains]
    for loss in sorted(named.union(*searched)):
        task.loss_of(loss)


@contextmanager
def ready_session(
    plan: SearchPlan, recorded_in: Store | None = None, *, progress: Progress = SILENT
) -> Iterator[ReadyPlan]:
    """Check a plan, and run Ray while the block runs.

    Ray takes seconds to start, so every check that works without it comes first.

    Args:
        plan: Plan of the search.
        recorded_in: Record of the search to resume; None: the search is new.
        progress: Receiver of the stages of the start; the block runs without a stage.

    Yields:
        The argument of `run_search`.

    Raises:
        InputError: As `preflight`; also: no cluster or storage answers, another process runs this search, or
            the space or dataset differs from the search to resume.
        TunePaddyError: MLflow failed.
    """
    if recorded_in is not None:
        with search_lock(plan.folder, plan.name):
            check_same(plan, read_recorded_search(recorded_in, plan.name))
    if plan.settings.storage is not None:
        progress.stage("checking the storage")
        Storage.at(plan.settings.storage).check()
    progress.stage("checking the plan")
    here = resources_here(plan.ray_gpus) if plan.ray_address is None and not ray.is_initialized() else None
    ready = None if here is None else preflight(plan, here)
    if plan.ray_address is not None:
        with _on_cluster(plan, plan.ray_address, progress) as planned:
            yield planned
        return
    progress.stage("starting Ray")
    with ray_session(None, num_gpus=plan.ray_gpus) as session:
        ready = ready or preflight(plan, session.cluster_resources())
        yield _planned(ready, plan.settings, progress)


@contextmanager
def _on_cluster(plan: SearchPlan, address: str, progress: Progress) -> Iterator[ReadyPlan]:
    """Check a plan against a cluster, take the images to its storage, and stay connected in the block."""
    images = None if plan.images is None else image_set(plan.dataset)
    with cluster_session(address, images, progress=progress) as nodes:
        ready = preflight(plan, *(node.resources for node in nodes))
        if plan.images is not None and images is not None:
            push_images(images, plan.images, progress=progress)
        models = gpu_models(nodes) if plan.settings.gpu_memory is None else ()
        settings = plan.settings if models else smallest_gpu(plan.settings, nodes)
        notes = [note for note in (*ready.notes, clock_note(nodes), models_note(models)) if note]
        planned = _planned(replace(ready, notes=tuple(notes)), settings, progress, models)
        too_large = [] if settings.gpu == 0 else list(_too_large(planned))
        yield replace(planned, notes=(*planned.notes, *too_large))


def _planned(
    ready: ReadyPlan, settings: SearchSettings, progress: Progress, models: Sequence[GpuModel] = ()
) -> ReadyPlan:
    """Return a search that plans the memory of its trials by these settings."""
    # Forecasts import torch; Ray's worker processes import it at the same time.
    progress.stage("preparing the forecast of memory")
    planner = trial_planner(settings, len(ready.plan.dataset.classes), models)
    progress.clear()
    return replace(ready, memory_of=planner)


def _too_large(ready: ReadyPlan) -> Iterator[str]:
    """Yield a line for each known member that fits no GPU of the cluster, whatever its accum."""
    known = {(config := MemberConfig(**member.values)).short_name: config for member in ready.plan.first}
    for name, config in known.items():
        memory = ready.memory_of(config)
        if memory.forecast_mib > memory.budget_mib:
            yield (
                f"Member {name} fits no GPU of the cluster: forecast "
                f"{memory.forecast_mib:,.0f} MiB with accum {memory.accum}, of {memory.budget_mib:,.0f} MiB "
                "that a trial has"
            )
