"""One trial: train a member in a Ray worker, record it, report scalars."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from filelock import FileLock
from ray import tune

from tune_paddy.core.errors import DivergedError, InfeasibleError, InputError, TunePaddyError
from tune_paddy.core.memory import TrialMemory
from tune_paddy.data.member_data import Parts
from tune_paddy.data.system.gc_policy import give_memory_back
from tune_paddy.search.ray.internals import SPENT
from tune_paddy.search.stall_watch import StallWatch
from tune_paddy.search.trial import Trial
from tune_paddy.tracking.context.system_metrics import process_metrics
from tune_paddy.tracking.costs import cost_metrics
from tune_paddy.tracking.members import fail_member, finished_member, log_epoch, log_member, start_member
from tune_paddy.tracking.schema import MemberRecord
from tune_paddy.tracking.store import Store
from tune_paddy.training.saved.checkpoint_files import remove_checkpoints

SCORES = frozenset(("log_loss", "calibrated_log_loss", "temperature", "error_rate", "objective"))
"""Metrics that come from the select split, by the last part of their names."""

LOCKS = ".locks"
"""Folder of the members' locks, within that of all members."""

LOCK_SECONDS = 60.0
"""How long a process of the same member that is about to die is waited for."""


@dataclass(frozen=True)
class TrialContext:
    """What every trial of a search shares; small and picklable.

    Attributes:
        store: The record.
        search: Name of the search.
        parent_run_id: Run of the search.
        folder: Holds a folder for each member.
        cpus: Threads of a trial.
        allow_gpu: Whether trials were given a GPU.
        objective: What the sampler minimises: a metric of the select split.
        stall_minutes: Without a sign of life, after which a trial is started again, or None.
        weights_dir: Folder of pretrained weights, or None.
        cache_limit: GB of each machine's image cache; None: half of its memory; 0: no cache.
        max_accum: To how many micro-batches a trial that runs out of memory may go.
        keep_weights: Whether trials leave their weights on disk.
    """

    store: Store
    search: str
    parent_run_id: str
    folder: Path
    cpus: int
    allow_gpu: bool
    objective: str
    stall_minutes: float | None
    weights_dir: Path | None
    cache_limit: float | None = None
    max_accum: int | None = None
    keep_weights: bool = True


def run_trial(config: dict[str, Any], *, context: TrialContext, parts: Parts) -> None:
    """Train one member; what goes wrong with it stays with it.

    A member that the record calls finished is not trained again: its process may have died just before
    it could tell Ray. Its lock keeps out a process that outlives its own search by seconds.

    An error that another attempt cannot mend (bad weights, a size that does not fit, a loss that is not
    finite) ends the trial with its reason in the record and no score; any other one is left to Ray,
    which may start the trial again.

    Args:
        config: The trial, as Ray Tune hands it over.
        context: What all trials share.
        parts: The data, fetched once a node.
    """
    import tune_paddy.search.ray.warm_up  # noqa: F401, PLC0415 where the process was not started with it

    trial = Trial.from_config(config)
    give_memory_back()  # of a trial that was stopped here before: its frames lived until its thread ended
    folder = context.folder / LOCKS
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(folder / trial.member, timeout=LOCK_SECONDS):
            _run_locked(trial, context, parts)
    finally:
        give_memory_back()


def _run_locked(trial: Trial, context: TrialContext, parts: Parts) -> None:
    done = finished_member(context.store, context.parent_run_id, trial.member)
    if done is not None and MemberRecord.from_run(done).split == parts.split:
        tune.report(_finished(trial, parts, done.run_id, done.metrics))
        return
    record = replace(
        trial.record,
        split=parts.split,
        gpu_share=trial.memory.gpu,
        folder=context.folder / trial.member,
    )
    run_id = start_member(
        context.store,
        search=context.search,
        member=trial.member,
        parent_run_id=context.parent_run_id,
        params=trial.params,
        tags=record.to_tags(),
    )
    try:
        summary = _train(trial, run_id, context, parts)
    except (InputError, InfeasibleError, DivergedError) as error:
        kind, reason = _outcome(error), str(error)
        if kind == "infeasible":
            reason += memory_words(trial.memory)
        fail_member(context.store, run_id, reason, kind)
        if kind != "failed":
            remove_checkpoints(context.folder / trial.member)
        spent = context.allow_gpu and kind == "infeasible"
        tune.report({"epoch": 0, "outcome": kind, "reason": reason, SPENT: spent})
    except Exception as error:
        # Another attempt goes on, now or in another session; when there is none, the driver calls it failed.
        fail_member(context.store, run_id, f"{type(error).__name__}: {error}", "interrupted")
        raise
    else:
        remove_checkpoints(context.folder / trial.member)
        spent = context.allow_gpu and summary["ooms"] > 0
        tune.report({**_finished(trial, parts, run_id, summary), SPENT: spent})


def _finished(trial: Trial, parts: Parts, run_id: str, summary: Mapping[str, Any]) -> dict[str, Any]:
    epochs = max(1, parts.n_folds) * trial.config.total_epochs
    return {**summary, "epoch": epochs + 1, "outcome": "finished", "run_id": run_id}


def _train(trial: Trial, run_id: str, context: TrialContext, parts: Parts) -> dict[str, Any]:
    """Train a member and store what it yields; return its summary and what a person should know of it."""
    # The driver imports this module too, and has no need of fastai, which takes seconds to import.
    from tune_paddy.training.batches.decoding import opened_cache  # noqa: PLC0415
    from tune_paddy.training.folds import train_folds  # noqa: PLC0415
    from tune_paddy.training.gpu_memory import measure_peak, process_meter  # noqa: PLC0415
    from tune_paddy.training.member import EpochReport, Runtime, train_member  # noqa: PLC0415

    config, memory = trial.config, trial.memory
    told = seen_metrics if parts.seen else dict

    def report(epoch: EpochReport) -> None:
        log_epoch(context.store, run_id, {**told(epoch.metrics), **process_metrics()}, epoch.epoch)
        objective = epoch.metrics[context.objective]
        tune.report({"epoch": epoch.epoch, "objective": objective, **epoch.metrics})

    folder = context.folder / trial.member
    watch = StallWatch(context.stall_minutes, folder)
    runtime = Runtime(
        folder=folder,
        cpus=context.cpus,
        allow_gpu=context.allow_gpu,
        accum=memory.accum,
        max_accum=context.max_accum,
        memory_mib=memory.allocator_mib,
        weights_dir=context.weights_dir,
        alive=watch.alive,
        keep_weights=context.keep_weights,
        keep_checkpoints=not parts.n_folds,  # folds keep their predictions instead
    )
    meter = process_meter() if context.allow_gpu else None
    train = train_folds if parts.n_folds else train_member
    with (
        opened_cache(context.cache_limit, parts.images, config, threads=context.cpus) as (cached, refusals),
        watch,
    ):
        result = train(config, parts, replace(runtime, cached=cached), report=report)
    objective = min(value for name, value in result.metrics.items() if name.endswith(f"/{context.objective}"))
    summary = {**result.metrics, "objective": objective, "accum": result.accum, "ooms": result.ooms}
    summary |= cost_metrics(result.metrics, gpu_share=memory.gpu, cpus=context.cpus)
    stack: Mapping[str, Any] = result.stack
    trained = MemberRecord(**stack, notes="; ".join((*result.notes, *refusals)))
    if result.stack.get("device") == "cuda":
        peak = measure_peak(
            meter,
            alone=memory.gpu >= 1,
            reserved_mib=result.metrics["peak_mib"],
            context_mib=memory.context_mib,
        )
        summary |= memory_metrics(memory, result.accum, peak.mib)
        trained = replace(trained, memory_source=peak.source)
    log_member(
        context.store,
        run_id,
        result.predictions,
        told(summary),
        tags=trained.to_tags(),
        workspace=runtime.folder,
    )
    return {**summary, "note": "; ".join(result.notes)}


def seen_metrics(metrics: Mapping[str, float]) -> dict[str, float]:
    """Rename scores on images that the member was trained on: nobody shall take them for its quality."""
    return {
        f"seen/{name}" if name.rpartition("/")[2] in SCORES else name: value
        for name, value in metrics.items()
    }


def memory_metrics(memory: TrialMemory, accum: int, measured_mib: float) -> dict[str, float]:
    """Forecast beside measurement, so that every run on a GPU sharpens the calibration."""
    metrics = {"memory/measured_mib": measured_mib, "memory/budget_mib": memory.budget_mib}
    if accum == memory.accum and memory.forecast_mib > 0:
        metrics["memory/raw_mib"] = memory.raw_mib
        metrics["memory/forecast_mib"] = memory.forecast_mib
        metrics["memory/measured_to_forecast"] = measured_mib / memory.forecast_mib
    return metrics


def memory_words(memory: TrialMemory) -> str:
    """What a trial was forecast to take and what it was given, to go on after a sentence; "" on the CPU."""
    if not memory.budget_mib:
        return ""
    forecast = f"forecast {memory.forecast_mib:,.0f} MiB" if memory.forecast_mib else "no forecast"
    return (
        f" ({forecast} with accum {memory.accum}, given {memory.budget_mib:,.0f} MiB, "
        f"{memory.gpu:g} of a GPU)"
    )


def _outcome(error: TunePaddyError) -> Any:
    if isinstance(error, InfeasibleError):
        return "infeasible"
    return "diverged" if isinstance(error, DivergedError) else "failed"
