"""Costs of the kinds of members that earlier searches trained on the same device."""

import socket
import statistics
from collections.abc import Mapping, Sequence

from tune_paddy.core.config import MemberConfig
from tune_paddy.core.gpus import same_model
from tune_paddy.core.timing.cost import StepCost
from tune_paddy.core.timing.kinds import kind_of
from tune_paddy.core.views import all_passes
from tune_paddy.tracking.context.provenance import host_of
from tune_paddy.tracking.runs import RecordedRun, list_members, list_searches
from tune_paddy.tracking.schema import PROCESS, MemberRecord
from tune_paddy.tracking.store import Store

MOST_FIT = 1 / 3
"""Share of a frozen member's training that the fit of its head takes at most; see `benchmarks/LOG.md`."""


def recorded_costs(store: Store, *, gpu: str | None = None, cpus: int = 1) -> dict[MemberConfig, StepCost]:
    """Return the median cost of each kind of member that was trained on a device: kind → cost.

    Args:
        store: The record.
        gpu: Name of the GPU; None: the CPUs of this machine.
        cpus: Number of threads of a trial; without a GPU, members that had another number are left out.
    """
    found: dict[MemberConfig, list[StepCost]] = {}
    for search in list_searches(store):
        if gpu is None and _threads(search) != cpus:
            continue
        for member in list_members(store, search.name):
            record = MemberRecord.from_run(member)
            if member.outcome == "finished" and record.proposal and _is_same(member, record, gpu):
                config = record.proposal.config
                cost = member_cost(config, member.metrics, int(search.params.get("folds", "0")))
                if cost is not None:
                    found.setdefault(kind_of(config), []).append(cost)
    return {kind: median_cost(costs) for kind, costs in found.items()}


def _threads(search: RecordedRun) -> int:
    """Return the number of threads of a search's trials, which have whole CPUs; 0: unknown."""
    return max(1, int(float(search.params["cpus"]))) if "cpus" in search.params else 0


def _is_same(member: RecordedRun, record: MemberRecord, gpu: str | None) -> bool:
    """Whether a member was trained on the GPU, or on the CPUs of this machine."""
    if gpu is not None:
        return bool(record.gpu) and same_model(record.gpu, gpu)
    return record.device == "cpu" and host_of(member.tags.get(PROCESS, "")) == socket.gethostname()


def member_cost(config: MemberConfig, metrics: Mapping[str, float], folds: int = 0) -> StepCost | None:
    """Return the cost of a member's steps, from its last epoch and its predictions; None: it is unknown.

    The record does not tell the passes of a prediction apart: each counts alike. The time to build the
    network is unknown, and counts as 0. A frozen member that found features in the cache does not tell how
    long it takes without them: its cost is unknown. A head that began fitted does not tell the time of its
    fit if it is not recorded how many features were in the cache.

    Args:
        config: Configuration of the member.
        metrics: Its recorded metrics.
        folds: Number of folds of its search; 0: a select split.
    """
    names = ("train_seconds", "eval_seconds", "train_seconds_total", "train_images", "predict_ms_per_image")
    if not all(metrics.get(name, 0) > 0 for name in names):
        return None
    tuned, judged, total, images, milliseconds = (metrics[name] for name in names)
    if config.frozen and metrics.get("embedded_images", 0) < images:
        return None
    train, frozen_epochs = tuned / images, config.total_epochs - config.full_epochs
    models = max(1, folds)
    one_pass = milliseconds / 1000 / models / all_passes(vars(config))
    if config.frozen:
        fitted = train / config.symmetries
        return StepCost((1 - MOST_FIT) * fitted, 0.0, one_pass, one_pass, build=0.0, fit=MOST_FIT * fitted)
    frozen, fit = train, 0.0
    # Time of each image before the epochs of the whole network: in frozen ones, and for a fitted head.
    before = (total / models - config.full_epochs * (tuned + judged) - frozen_epochs * judged) / images
    computed = metrics.get("head_embedded_images")  # earlier versions did not record it
    embedded = (images if computed is None else computed) if config.begins_fitted else 0.0
    before = max(before - one_pass * embedded / images, 0.0)
    if config.patience:
        pass  # it may have ended after any number of epochs
    elif frozen_epochs:
        frozen = before / frozen_epochs
    elif config.begins_fitted and computed is not None:
        fit = before
    return StepCost(train, frozen, one_pass, one_pass, build=0.0, fit=fit)


def median_cost(costs: Sequence[StepCost]) -> StepCost:
    """Return the median of each step of some costs, at least one; fits that were not timed do not count."""
    names = ("train", "frozen", "predict", "tta_pass", "build")
    medians = {name: statistics.median(getattr(cost, name) for cost in costs) for name in names}
    fits = [cost.fit for cost in costs if cost.fit]
    return StepCost(**medians, fit=statistics.median(fits) if fits else 0.0)
