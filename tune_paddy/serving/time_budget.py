"""Predict within a time budget: measure every member's speed, drop members that do not fit, stop in time."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from tune_paddy.core.errors import InputError, TunePaddyError
from tune_paddy.core.estimate import with_thresholds
from tune_paddy.core.selection.cost_budget import CostBudget
from tune_paddy.core.selection.methods import METHODS
from tune_paddy.core.selection.result import Selection
from tune_paddy.core.selection.within_budget import budget_select
from tune_paddy.core.tasks.task import Task
from tune_paddy.core.views import PLAIN, WITH_PLAIN
from tune_paddy.serving.ensemble_model import Answer, EnsembleModel, weighted_members
from tune_paddy.serving.manifest import ManifestMember
from tune_paddy.serving.selection_data import read_select
from tune_paddy.training.inference import Progress

PROBED = 16
"""Number of images used to measure a member's speed."""
MARGIN = 0.9
"""Share of the remaining time that is planned; the rest is a reserve for errors of the measurement."""
MEASURING = 0.25
"""Share of the time after which measuring ends if a member fits; unmeasured members are dropped."""

Clock = Callable[[], float]


@dataclass(frozen=True, eq=False)
class TimedAnswer:
    """Result of a prediction within a time budget.

    Attributes:
        answer: Predictions of the images.
        selection: Ensemble weights used for the manifest's views.
        dropped: Names `member/kind` of the ensemble's views dropped for lack of time.
        seconds: Total time taken, in seconds.
    """

    answer: Answer
    selection: Selection
    dropped: tuple[str, ...]
    seconds: float


class _TimeUpError(Exception):
    """The deadline passed during a member's prediction."""


def predict_within(
    model: EnsembleModel,
    paths: Sequence[str],
    *,
    minutes: float,
    tell: Callable[[str], None] = lambda line: None,
    clock: Clock = time.perf_counter,
) -> TimedAnswer:
    """Predict image files with as much of an ensemble as the time allows.

    If the whole ensemble fits, the result is the ensemble's own prediction. Otherwise views and their
    weights are selected again for the available time, from the exported predictions of the select split. If
    that takes longer than measured, the members finished at the deadline are blended.

    Args:
        model: Exported ensemble.
        paths: Paths of the image files.
        minutes: Time for everything, including measuring and loading, in minutes.
        tell: Callback with one line per decision.
        clock: Source of time in seconds.

    Raises:
        InputError: `minutes` is not positive, or no member is fast enough.
        TunePaddyError: The time ran out before the first member finished.
    """
    if not minutes > 0:
        raise InputError(f"minutes is {minutes}: it must be more than 0")
    started = clock()
    deadline = started + 60 * minutes
    costs, shared = _measure(model, paths, started, 60 * minutes, tell=tell, clock=clock)
    selection = _choose(model, costs, shared, deadline - clock(), tell)

    def check_time(_images: int) -> None:
        if clock() >= deadline:
            raise _TimeUpError

    answer, used = _run(model, paths, selection, check_time, tell)
    weights = zip(model.manifest.selection.weights, used.weights, model.manifest.views, strict=True)
    dropped = [f"{member.name}/{view.kind}" for before, now, (member, view) in weights if before and not now]
    return TimedAnswer(answer, used, tuple(dropped), clock() - started)


def _measure(
    model: EnsembleModel,
    paths: Sequence[str],
    started: float,
    seconds: float,
    *,
    tell: Callable[[str], None],
    clock: Clock,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return each view's time for all images including loading, in seconds, [views]; inf: not measured.

    The second array is the part of it that the member's other views share: loading, and the plain pass.
    """
    probe = list(paths[:PROBED])
    costs: dict[str, dict[str, float]] = {}
    shared: dict[str, dict[str, float]] = {}
    for member in _heaviest_first(model, model.manifest.selection):
        spent = clock() - started
        fastest = min((cost for views in costs.values() for cost in views.values()), default=np.inf)
        fits = fastest <= MARGIN * (seconds - spent)
        if costs and spent >= seconds * (MEASURING if fits else 1):
            tell(f"{member.name}: not measured for lack of time")
            continue
        costs[member.name], shared[member.name] = _measure_member(model, member, probe, len(paths), clock)
        shown = ", ".join(f"{kind} {cost:.1f} s" for kind, cost in costs[member.name].items())
        tell(f"{member.name}: {shown} for {len(paths)} images")
    pairs = [(member.name, view.kind) for member, view in model.manifest.views]
    measured = np.array([costs.get(name, {}).get(kind, np.inf) for name, kind in pairs])
    return measured, np.array([shared.get(name, {}).get(kind, 0.0) for name, kind in pairs])


def _measure_member(
    model: EnsembleModel, member: ManifestMember, probe: Sequence[str], n_images: int, clock: Clock
) -> tuple[dict[str, float], dict[str, float]]:
    """Return view → its seconds for `n_images` images, and view → the part that other views share."""
    started = clock()
    loaded = model.load(member)
    loaded.load([view.kind for view in member.views])
    loaded.predict(probe[:1], kinds=(PLAIN,))  # warm-up: the first pass is slower
    loaded.synchronize()
    loading = clock() - started
    seconds: dict[str, float] = {}
    for view in member.views:
        started = clock()
        loaded.predict(probe, kinds=(view.kind,))
        loaded.synchronize()
        seconds[view.kind] = loading + (clock() - started) / max(1, len(probe)) * n_images
    plain = min((seconds[kind] for kind in seconds if kind in WITH_PLAIN), default=loading)
    return seconds, {kind: plain if kind in WITH_PLAIN else loading for kind in seconds}


def _choose(
    model: EnsembleModel,
    costs: NDArray[np.float64],
    shared: NDArray[np.float64],
    seconds: float,
    tell: Callable[[str], None],
) -> Selection:
    """Return the ensemble's own weights if all of it fits the time, else the best weights that fit."""
    limit = np.array([max(MARGIN * seconds, 1e-9)])
    budget = CostBudget(costs[None, :], limit, _groups(model), shared[None, :])
    own = model.manifest.selection
    whole = np.flatnonzero(own.weights).tolist()
    if budget.allows(whole):
        return own
    tell(f"{budget.limits[0]:.0f} s are too short for the whole ensemble: selecting again")
    fast = np.flatnonzero(costs <= budget.limits[0])
    if not fast.size:
        raise InputError(
            f"no member predicts all images within {budget.limits[0]:.0f} s: the fastest takes "
            f"{costs.min():.0f} s; allow more minutes, or use a GPU"
        )
    return _select_among(model, fast, budget.among(fast))


def _select_among(model: EnsembleModel, views: NDArray[np.intp], budget: CostBudget) -> Selection:
    """Select again among some of the views; return weights for all views."""
    probs, labels = read_select(model.folder, len(model.manifest.views), len(model.classes))
    own = model.manifest.selection
    method = METHODS.get(own.method, METHODS["greedy"])
    fit = partial(budget_select, budget=budget, metric=own.metric, select=method)
    chosen = with_thresholds(fit, own.metric, Task.of(own.task))(probs[views], labels)
    weights, temperatures = np.zeros(len(probs)), np.ones(len(probs))
    weights[views] = chosen.weights
    if chosen.member_temperatures is not None:
        temperatures[views] = chosen.member_temperatures
    return replace(chosen, weights=weights, member_temperatures=temperatures, order=(), task=own.task)


def _run(
    model: EnsembleModel,
    paths: Sequence[str],
    selection: Selection,
    check_time: Progress,
    tell: Callable[[str], None],
) -> tuple[Answer, Selection]:
    kinds = {member.name: names for member, names in weighted_members(model.manifest, selection)}
    views: dict[tuple[str, str], NDArray[np.float32]] = {}
    broken: dict[int, str] = {}
    for member in _heaviest_first(model, selection):
        try:
            predicted, broken = model.predict_member(
                member, paths, kinds[member.name], broken=broken, progress=check_time
            )
        except _TimeUpError:
            tell(f"{member.name}: dropped, the time ran out")
            selection = _of_done(model, views)
            break
        views |= {(member.name, kind): predicted[kind] for kind in kinds[member.name]}
    answer = model.blend(views, selection, len(paths), broken)
    read = [path for row, path in enumerate(paths) if row not in broken]
    return replace(answer, notes=model.depth_notes(read)), selection


def _of_done(model: EnsembleModel, done: Mapping[tuple[str, str], NDArray[np.float32]]) -> Selection:
    """Return new weights for the finished views."""
    rows = [
        row for row, (member, view) in enumerate(model.manifest.views) if (member.name, view.kind) in done
    ]
    if not rows:
        raise TunePaddyError("the time ran out before the first member finished: allow more minutes")
    free = CostBudget(np.zeros((1, len(rows))), np.ones(1), _groups(model)[rows])
    return _select_among(model, np.array(rows), free)


def _heaviest_first(model: EnsembleModel, selection: Selection) -> list[ManifestMember]:
    totals: dict[str, float] = {}
    for (member, _), weight in zip(model.manifest.views, selection.weights, strict=True):
        totals[member.name] = totals.get(member.name, 0.0) + float(weight)
    weighted = [member for member, _ in weighted_members(model.manifest, selection)]
    return sorted(weighted, key=lambda member: -totals[member.name])


def _groups(model: EnsembleModel) -> NDArray[np.intp]:
    numbers = {member.name: number for number, member in enumerate(model.manifest.members)}
    return np.array([numbers[member.name] for member, _ in model.manifest.views], np.intp)
