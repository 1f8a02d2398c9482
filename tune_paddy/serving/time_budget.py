"""Predict within a time budget: measure every member here, drop what does not fit, and stop in time."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tune_paddy.core.errors import InputError, TunePaddyError
from tune_paddy.core.predictions import TTA
from tune_paddy.core.selection.cost_budget import CostBudget
from tune_paddy.core.selection.methods import METHODS
from tune_paddy.core.selection.result import Selection
from tune_paddy.core.selection.within_budget import budget_select
from tune_paddy.serving.ensemble_model import Answer, EnsembleModel, weighted_members
from tune_paddy.serving.manifest import ManifestMember
from tune_paddy.serving.selection_data import read_select
from tune_paddy.training.inference import Progress

PROBED = 16
"""Images on which a member's speed is measured."""
MARGIN = 0.9
"""Share of the time left that is planned with; the rest is for what measuring cannot foresee."""
MEASURING = 0.25
"""Share of the time after which measuring ends, once a member is found that fits; the others are dropped."""

Clock = Callable[[], float]


@dataclass(frozen=True, eq=False)
class TimedAnswer:
    """What came of a prediction within a budget.

    Attributes:
        answer: Of the images.
        selection: The weights that were used, of the manifest's views.
        dropped: Names `member/kind` of the ensemble's views that time did not allow.
        seconds: That it took.
    """

    answer: Answer
    selection: Selection
    dropped: tuple[str, ...]
    seconds: float


class _TimeUpError(Exception):
    """The deadline has come in the midst of a member."""


def predict_within(
    model: EnsembleModel,
    paths: Sequence[str],
    *,
    minutes: float,
    tell: Callable[[str], None] = lambda line: None,
    clock: Clock = time.perf_counter,
) -> TimedAnswer:
    """Predict image files with as much of an ensemble as the time allows.

    Where all of it fits, the prediction is the ensemble's own. Else views are chosen and weighted anew for
    the time there is, from the predictions that were exported with the weights; should even that take
    longer than it promised, what is done by then is blended.

    Args:
        model: The exported ensemble.
        paths: The files.
        minutes: Time for everything, measuring and loading included.
        tell: Gets a line on each decision.
        clock: Seconds.

    Raises:
        InputError: No time, or not one member is fast enough.
        TunePaddyError: The time was over before the first member was done.
    """
    if not minutes > 0:
        raise InputError(f"{minutes} minutes: give more than 0")
    started = clock()
    deadline = started + 60 * minutes
    costs = _measure(model, paths, started, 60 * minutes, tell=tell, clock=clock)
    selection = _choose(model, costs, deadline - clock(), tell)

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
) -> NDArray[np.float64]:
    """Seconds that each view takes for all images, loading included, float64 [views]; inf: not measured."""
    probe = list(paths[:PROBED])
    costs: dict[str, dict[str, float]] = {}
    for member in _heaviest_first(model, model.manifest.selection):
        spent = clock() - started
        fastest = min((cost for views in costs.values() for cost in views.values()), default=np.inf)
        fits = fastest <= MARGIN * (seconds - spent)
        if costs and spent >= seconds * (MEASURING if fits else 1):
            tell(f"{member.name}: not measured, there is no time for it")
            continue
        costs[member.name] = _measure_member(model, member, probe, len(paths), clock)
        shown = ", ".join(f"{kind} {cost:.1f} s" for kind, cost in costs[member.name].items())
        tell(f"{member.name}: {shown} for {len(paths)} images")
    return np.array([costs.get(m.name, {}).get(view.kind, np.inf) for m, view in model.manifest.views])


def _measure_member(
    model: EnsembleModel, member: ManifestMember, probe: Sequence[str], n_images: int, clock: Clock
) -> dict[str, float]:
    started = clock()
    loaded = model.load(member)
    loaded.predict(probe[:1], with_tta=False)  # the first pass prepares what later ones find ready
    loaded.synchronize()
    loading = clock() - started
    seconds: dict[str, float] = {}
    for view in member.views:
        started = clock()
        loaded.predict(probe, with_tta=view.kind == TTA)
        loaded.synchronize()
        seconds[view.kind] = loading + (clock() - started) / max(1, len(probe)) * n_images
    return seconds


def _choose(
    model: EnsembleModel, costs: NDArray[np.float64], seconds: float, tell: Callable[[str], None]
) -> Selection:
    """The ensemble's own weights where all of it fits into the time, else the best ones that do."""
    budget = CostBudget(costs[None, :], np.array([max(MARGIN * seconds, 1e-9)]), _groups(model))
    own = model.manifest.selection
    whole = np.flatnonzero(own.weights).tolist()
    if budget.allows(whole):
        return own
    tell(f"{budget.limits[0]:.0f} s are too short for the whole ensemble: choosing anew")
    fast = np.flatnonzero(costs <= budget.limits[0])
    if not fast.size:
        raise InputError(
            f"not one member predicts all images within {budget.limits[0]:.0f} s: the fastest takes "
            f"{costs.min():.0f} s; give it more minutes, or a GPU"
        )
    return _select_among(model, fast, CostBudget(budget.costs[:, fast], budget.limits, budget.groups[fast]))


def _select_among(model: EnsembleModel, views: NDArray[np.intp], budget: CostBudget) -> Selection:
    """Select anew from some of the views, as one of all views."""
    probs, labels = read_select(model.folder, len(model.manifest.views), len(model.classes))
    own = model.manifest.selection
    method = METHODS.get(own.method, METHODS["greedy"])
    chosen = budget_select(probs[views], labels, budget, metric=own.metric, select=method)
    weights, temperatures = np.zeros(len(probs)), np.ones(len(probs))
    weights[views] = chosen.weights
    if chosen.member_temperatures is not None:
        temperatures[views] = chosen.member_temperatures
    return replace(chosen, weights=weights, member_temperatures=temperatures, order=())


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
                member, paths, with_tta=TTA in kinds[member.name], broken=broken, progress=check_time
            )
        except _TimeUpError:
            tell(f"{member.name}: the time is over, it is left out")
            selection = _of_done(model, views)
            break
        views |= {(member.name, kind): predicted[kind] for kind in kinds[member.name]}
    return model.blend(views, selection, len(paths), broken), selection


def _of_done(model: EnsembleModel, done: Mapping[tuple[str, str], NDArray[np.float32]]) -> Selection:
    """Weights of the views that are done."""
    rows = [
        row for row, (member, view) in enumerate(model.manifest.views) if (member.name, view.kind) in done
    ]
    if not rows:
        raise TunePaddyError("the time was over before the first member was done: give it more minutes")
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
