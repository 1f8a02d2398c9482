"""One trial: train a member in a Ray worker process, record it, report scalars to Ray."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock
from ray import tune

from tune_paddy.core.errors import DivergedError, InfeasibleError, InputError, TunePaddyError
from tune_paddy.core.memory import TrialMemory
from tune_paddy.core.metrics import is_metric_key, metric_key
from tune_paddy.data.member_data import Parts
from tune_paddy.data.storage.images import images_here
from tune_paddy.data.storage.storage import Storage
from tune_paddy.data.system.files import cache_folder
from tune_paddy.data.system.gc_policy import give_memory_back
from tune_paddy.data.system.patience import Patience
from tune_paddy.search.cluster.carried import TakenOverError, carried_files, remove_abandoned
from tune_paddy.search.ray.internals import SPENT
from tune_paddy.search.stopping.interruption import LAST_EPOCH
from tune_paddy.search.stopping.stall_watch import StallWatch
from tune_paddy.search.trial import Trial
from tune_paddy.tracking.context.costs import cost_metrics
from tune_paddy.tracking.context.system_metrics import process_metrics
from tune_paddy.tracking.members import fail_member, finished_member, log_epoch, log_member, start_member
from tune_paddy.tracking.runs import read_curve
from tune_paddy.tracking.schema import MemberRecord
from tune_paddy.tracking.store import Store
from tune_paddy.training.saved.checkpoint_files import remove_checkpoints

if TYPE_CHECKING:
    from tune_paddy.training.gpu_memory import GpuMeter
    from tune_paddy.training.results import EpochReport, MemberResult
    from tune_paddy.training.runtime import Runtime

SCORES = frozenset(("log_loss", "calibrated_log_loss", "temperature", "error_rate", "objective"))
"""Last parts of the names of metrics on the select split."""

LOCKS = ".locks"
"""Name of the folder of the members' locks, in the folder of all members."""

LOCK_SECONDS = 60.0
"""Time to wait for a dying process that still holds the member's lock, in seconds."""


@dataclass(frozen=True)
class TrialContext:
    """Settings that all trials of a search share; small and picklable.

    Attributes:
        store: The record.
        search: Name of the search.
        parent_run_id: MLflow run of the search.
        folder: Folder of all members on the driver's machine; each has its own folder in it.
        cpus: Number of threads of a trial.
        allow_gpu: Whether trials may use a GPU.
        objective: Metric on the select split that the sampler minimises.
        stall_minutes: Time without progress after which a trial is restarted, in minutes; None: no limit.
        weights_dir: Folder of pretrained weights, or None.
        cache_limit: Size of each machine's image cache, in GB; None: half of its memory; 0: no cache.
        max_accum: Largest `accum` to retry with after out of memory; None: a micro-batch of one image.
        keep_weights: Whether trials save their trained parameters.
        storage: Folder of all members in the storage; None: all machines share `folder`.
        images: Storage of the images; None: they have the same paths on all machines.
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
    storage: Storage | None = None
    images: Storage | None = None

    @property
    def members(self) -> Path:
        """Folder of all members on this machine."""
        if self.storage is None:
            return self.folder
        return cache_folder("members") / f"{self.search}-{self.parent_run_id[:8]}"


def run_trial(config: dict[str, Any], *, context: TrialContext, parts: Parts) -> None:
    """Train one member; its errors do not affect other trials.

    A member that is finished in the record is not trained again: its process may have died before it could
    report to Ray. The member's lock excludes a process of an earlier search that has not exited yet.

    An error that a retry cannot fix (missing pretrained weights, a member that does not fit, a loss that is
    not finite) ends the trial with a recorded reason and no score. Any other error is raised, and Ray may
    retry the trial.

    Args:
        config: The trial as a Ray Tune configuration.
        context: Settings that all trials share.
        parts: Images, labels and split; Ray sends them to each node once.
    """
    import tune_paddy.search.ray.warm_up  # noqa: F401, PLC0415 for a process that did not preload it

    trial = Trial.from_config(config)
    give_memory_back()  # of a stopped trial in this process: its frames lived until its thread ended
    locks = context.members / LOCKS
    locks.mkdir(parents=True, exist_ok=True)
    if context.storage is not None:
        remove_abandoned(
            context.members,
            locks,
            spared=trial.member,
            copies=context.storage,
            store=context.store,
            parent_run_id=context.parent_run_id,
        )
    try:
        with FileLock(locks / trial.member, timeout=LOCK_SECONDS):
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
        gpu_model=trial.memory.accelerator,
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
    copy = None if context.storage is None else context.storage.folder(trial.member)
    with carried_files(context.members / trial.member, copy, context.store, run_id) as carry:
        _run_recorded(trial, run_id, context, parts, carry)


def _run_recorded(
    trial: Trial, run_id: str, context: TrialContext, parts: Parts, carry: Callable[[], None]
) -> None:
    """Train a member whose run is open; `carry` brings its copy in the storage up to date."""
    folder = context.members / trial.member
    try:
        parts = _with_images(parts, context.images)
        summary = _train(trial, run_id, context, parts, carry)
    except TakenOverError:
        raise  # the run is no longer ours to end
    except (InputError, InfeasibleError, DivergedError) as error:
        kind, reason = _outcome(error), str(error)
        if kind == "infeasible":
            reason += memory_words(trial.memory)
        fail_member(context.store, run_id, reason, kind)
        if kind != "failed":
            remove_checkpoints(folder)
            carry()
        spent = context.allow_gpu and kind == "infeasible"
        tune.report({"epoch": 0, "outcome": kind, "reason": reason, SPENT: spent})
    except Exception as error:
        # A retry, now or in another session, can resume it; if none is left, the driver records `failed`.
        fail_member(context.store, run_id, f"{type(error).__name__}: {error}", "interrupted")
        raise
    else:
        remove_checkpoints(folder)
        carry()
        spent = context.allow_gpu and summary["ooms"] > 0
        tune.report({**_finished(trial, parts, run_id, summary), SPENT: spent})


def _with_images(parts: Parts, storage: Storage | None) -> Parts:
    """Return the data with the paths of this machine; copy images that it lacks."""
    if storage is None or parts.images is None:
        return parts
    return parts.at(images_here(parts.images, storage, cache_folder("datasets")))


def _finished(trial: Trial, parts: Parts, run_id: str, summary: Mapping[str, Any]) -> dict[str, Any]:
    return {**summary, "epoch": _total_epochs(trial, parts) + 1, "outcome": "finished", "run_id": run_id}


def _total_epochs(trial: Trial, parts: Parts) -> int:
    return max(1, parts.n_folds) * trial.config.total_epochs


def _train(
    trial: Trial, run_id: str, context: TrialContext, parts: Parts, carry: Callable[[], None]
) -> dict[str, Any]:
    """Train a member and store its results; return its summary and its note for the user."""
    # The driver imports this module, too, and does not need torch, which takes seconds to import.
    from tune_paddy.training.gpu_memory import process_meter  # noqa: PLC0415
    from tune_paddy.training.networks.licences import weights_origin  # noqa: PLC0415

    meter = process_meter() if context.allow_gpu else None  # before CUDA is used
    result, refusals = _fit(trial, run_id, context, parts, carry)
    carry()  # the weights
    memory, source = _measured_memory(trial, result, meter)
    summary = _summary(trial, context, result) | memory
    origin, notes = weights_origin(trial.config.arch, trial.config.pretrained), (*result.notes, *refusals)
    stack: Mapping[str, Any] = result.stack
    trained = MemberRecord(
        **stack,
        licence=origin.licence,
        pretraining=origin.data,
        notes="; ".join(notes),
        memory_source=source,
    )
    log_member(
        context.store,
        run_id,
        result.predictions,
        _namer(parts)(summary),
        tags=trained.to_tags(),
        workspace=context.members / trial.member,
    )
    return {**summary, "note": "; ".join(result.notes)}


def _fit(
    trial: Trial, run_id: str, context: TrialContext, parts: Parts, carry: Callable[[], None]
) -> "tuple[MemberResult, Sequence[str]]":
    """Train a member; return it, and why its images were not cached."""
    from tune_paddy.training.batches.decoding import opened_cache  # noqa: PLC0415 torch, as in `_train`
    from tune_paddy.training.folds import train_folds  # noqa: PLC0415
    from tune_paddy.training.member import train_member  # noqa: PLC0415

    config, report = trial.config, _reporter(trial, run_id, context, parts)
    train = train_folds if parts.n_folds else train_member
    watch = StallWatch(context.stall_minutes, context.members / trial.member)
    filler = _gap_filler(run_id, context, parts)
    runtime = replace(_runtime(trial, context, parts, watch), resumes=filler, saved=carry)
    with (
        opened_cache(context.cache_limit, parts.images, config, threads=context.cpus) as (cached, refusals),
        watch,
        Patience(waiting=watch.alive).applied(),  # a trial that waits for the record does not hang
    ):
        return train(config, parts, replace(runtime, cached=cached), report=report), refusals


def _reporter(
    trial: Trial, run_id: str, context: TrialContext, parts: Parts
) -> "Callable[[EpochReport], None]":
    """Return the function that records each epoch and reports its scalars to Ray."""
    goal = objective_key(context.objective)
    epochs = _total_epochs(trial, parts)

    def report(epoch: "EpochReport") -> None:
        _log(run_id, context, parts, epoch)
        last = epoch.ends_early or epoch.epoch >= epochs
        known = {"epoch": epoch.epoch, "objective": epoch.metrics[goal], LAST_EPOCH: last}
        tune.report({**known, **epoch.metrics})

    return report


def _gap_filler(run_id: str, context: TrialContext, parts: Parts) -> "Callable[[EpochReport], None]":
    """Return the function that records an epoch whose process died between its checkpoint and its record."""

    def fill(epoch: "EpochReport") -> None:
        if epoch.epoch not in read_curve(context.store, run_id, "train_loss"):
            _log(run_id, context, parts, epoch)

    return fill


def _log(run_id: str, context: TrialContext, parts: Parts, epoch: "EpochReport") -> None:
    metrics = _namer(parts)(epoch.metrics)
    log_epoch(context.store, run_id, {**metrics, **process_metrics()}, epoch.epoch)


def _namer(parts: Parts) -> "Callable[[Mapping[str, float]], dict[str, float]]":
    """Return the function that names metrics for the record, where scores may be on training images."""
    return seen_metrics if parts.seen else dict


def _runtime(trial: Trial, context: TrialContext, parts: Parts, watch: StallWatch) -> "Runtime":
    """Return the resources that a trial trains with, without the image cache."""
    from tune_paddy.training.frozen.store import machine_embeddings  # noqa: PLC0415 torch, as in `_train`
    from tune_paddy.training.runtime import Runtime  # noqa: PLC0415

    return Runtime(
        folder=context.members / trial.member,
        cpus=context.cpus,
        allow_gpu=context.allow_gpu,
        accum=trial.memory.accum,
        max_accum=context.max_accum,
        memory_mib=trial.memory.allocator_mib,
        weights_dir=context.weights_dir,
        embeddings=machine_embeddings(context.cache_limit),
        metrics=() if context.objective in SCORES else (context.objective,),
        alive=watch.alive,
        keep_weights=context.keep_weights,
        keep_checkpoints=not parts.n_folds,  # finished folds keep their predictions instead
    )


def _summary(trial: Trial, context: TrialContext, result: "MemberResult") -> dict[str, Any]:
    """Return the scalars of a trained member: its metrics, its objective in the best view, and its costs."""
    goal = objective_key(context.objective)
    objective = min(value for name, value in result.metrics.items() if name.endswith(f"/{goal}"))
    costs = cost_metrics(result.metrics, gpu_share=trial.memory.gpu, cpus=context.cpus)
    return {**result.metrics, "objective": objective, "accum": result.accum, "ooms": result.ooms, **costs}


def _measured_memory(
    trial: Trial, result: "MemberResult", meter: "GpuMeter | None"
) -> tuple[dict[str, float], str]:
    """Return the metrics of the memory that a member took on a GPU, and their source; none without a GPU."""
    from tune_paddy.training.gpu_memory import measure_peak  # noqa: PLC0415 torch, as in `_train`

    if result.stack.get("device") != "cuda":
        return {}, ""
    memory, reserved = trial.memory, result.metrics["peak_mib"]
    alone = memory.gpu >= 1
    peak = measure_peak(meter, alone=alone, reserved_mib=reserved, context_mib=memory.context_mib)
    return memory_metrics(memory, result.accum, peak.mib), peak.source


def objective_key(objective: str) -> str:
    """Return the name under which the objective of a search is recorded for a member."""
    return objective if objective in SCORES else metric_key(objective)


def seen_metrics(metrics: Mapping[str, float]) -> dict[str, float]:
    """Prefix scores on training images with `seen/`, since they overstate the member's quality."""
    return {
        f"seen/{name}" if _is_score(name.rpartition("/")[2]) else name: value
        for name, value in metrics.items()
    }


def _is_score(name: str) -> bool:
    return name in SCORES or is_metric_key(name)


def memory_metrics(memory: TrialMemory, accum: int, measured_mib: float) -> dict[str, float]:
    """Return the measured memory, and the forecast for the same `accum`: calibrations use the pair."""
    metrics = {"memory/measured_mib": measured_mib, "memory/budget_mib": memory.budget_mib}
    if accum == memory.accum and memory.forecast_mib > 0:
        metrics["memory/raw_mib"] = memory.raw_mib
        metrics["memory/forecast_mib"] = memory.forecast_mib
        metrics["memory/measured_to_forecast"] = measured_mib / memory.forecast_mib
    return metrics


def memory_words(memory: TrialMemory) -> str:
    """Return a trial's forecast and its budget as the end of a sentence; "" on the CPU."""
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
