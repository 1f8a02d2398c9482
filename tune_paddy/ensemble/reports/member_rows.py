"""The members as every table shows them, a row each: of an ensemble, or of the record alone."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tune_paddy.core.metrics import error_rate, log_loss
from tune_paddy.core.predictions import PLAIN, TTA
from tune_paddy.ensemble.ensemble import Ensemble, member_contributions, member_weights
from tune_paddy.ensemble.reports.wording import duration
from tune_paddy.tracking.runs import RecordedRun
from tune_paddy.tracking.ui.layout import CONTRIBUTION, CPU_SECONDS, GPU_SECONDS, WEIGHT


@dataclass(frozen=True)
class ViewRow:
    """One view of a member.

    Attributes:
        kind: `plain` or `tta`.
        log_loss: On the select split, in nats.
        error: The same, share of images.
        number: Its place in the pool; None where there is no pool.
        weight: In the ensemble; None where there is none.
    """

    kind: str
    log_loss: float | None
    error: float | None
    number: int | None = None
    weight: float | None = None


@dataclass(frozen=True)
class MemberRow:
    """One member.

    Attributes:
        name: Of the member.
        views: `plain` before `tta`.
        weight: Sum of its views' weights; None where there is no ensemble.
        contribution: What the ensemble's loss would rise by without it; None where it has no weight, or is
            the only one.
        cost: GPU- or CPU-time that it took, for a person; empty where it is not known.
    """

    name: str
    views: Sequence[ViewRow]
    weight: float | None = None
    contribution: float | None = None
    cost: str = ""

    @property
    def log_loss(self) -> float | None:
        """Of its plain view, in nats."""
        return self._view(PLAIN).log_loss

    @property
    def tta_log_loss(self) -> float | None:
        """Of its view with test-time augmentation, in nats."""
        return self._view(TTA).log_loss

    @property
    def error(self) -> float | None:
        """Of its plain view, share of images."""
        return self._view(PLAIN).error

    def _view(self, kind: str) -> ViewRow:
        return next((view for view in self.views if view.kind == kind), ViewRow(kind, None, None))


def ensemble_rows(ensemble: Ensemble, members: Sequence[RecordedRun] = ()) -> list[MemberRow]:
    """One row for each member of an ensemble's pool, the heaviest first, then by name.

    Args:
        ensemble: As it was selected.
        members: Their runs, which know what they cost.
    """
    pool, weights, contributions = ensemble.pool, member_weights(ensemble), member_contributions(ensemble)
    runs = {member.run_id: member for member in members}
    views: dict[str, list[ViewRow]] = {}
    for number, view in enumerate(pool.views):
        views.setdefault(view.run_id, []).append(_view(ensemble, number))
    names = {view.run_id: view.member for view in pool.views}
    rows = [
        MemberRow(
            name=names[run_id],
            views=sorted(own, key=lambda view: view.kind),
            weight=weights[run_id],
            contribution=_contribution(contributions[run_id], weights[run_id]),
            cost=cost(runs[run_id]) if run_id in runs else "",
        )
        for run_id, own in views.items()
    ]
    return sorted(rows, key=lambda row: (-(row.weight or 0), row.name))


def recorded_rows(members: Sequence[RecordedRun]) -> list[MemberRow]:
    """One row for each finished member as its run tells of it, the best first, as in MLflow's table."""
    rows = [_recorded_row(member.name, member.metrics, cost(member)) for member in members]
    return sorted(rows, key=lambda row: math.inf if row.log_loss is None else row.log_loss)


def cost(member: RecordedRun) -> str:
    """What a member cost: GPU-seconds, else CPU-seconds, for a person."""
    for name, unit in ((GPU_SECONDS, "GPU"), (CPU_SECONDS, "CPU")):
        if name in member.metrics:
            return f"{duration(member.metrics[name])} {unit}"
    seconds = member.metrics.get("train_seconds_total")
    return "" if seconds is None else duration(seconds)


def _view(ensemble: Ensemble, number: int) -> ViewRow:
    """A view of the pool, scored on the select split."""
    pool, weight = ensemble.pool, float(ensemble.selection.weights[number])
    probs = pool.select[number]
    loss, error = log_loss(probs, pool.labels), error_rate(probs, pool.labels)
    return ViewRow(pool.views[number].kind, loss, error, number, weight)


def _contribution(value: float, weight: float) -> float | None:
    return value if weight > 0 and not math.isnan(value) else None


def _recorded_row(name: str, metrics: Mapping[str, float], spent: str) -> MemberRow:
    views = [
        ViewRow(kind, metrics.get(f"{kind}/log_loss"), metrics.get(f"{kind}/error_rate"))
        for kind in (PLAIN, TTA)
    ]
    weight = metrics.get(WEIGHT)
    contribution = _contribution(metrics.get(CONTRIBUTION, math.nan), weight or 0)
    return MemberRow(name, views, weight, contribution, spent)
