"""Rows of members for all tables, from an ensemble or from the record alone."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tune_paddy.core.metrics import error_rate, log_loss
from tune_paddy.core.views import KINDS, PLAIN, TTA, in_order
from tune_paddy.data.system.text import four_digits
from tune_paddy.ensemble.ensemble import Ensemble, member_contributions, member_weights
from tune_paddy.ensemble.reports.wording import duration
from tune_paddy.tracking.runs import RecordedRun
from tune_paddy.tracking.schema import MemberRecord
from tune_paddy.tracking.ui.layout import CONTRIBUTION, CPU_SECONDS, GPU_SECONDS, WEIGHT


@dataclass(frozen=True)
class ViewRow:
    """One view of a member.

    Attributes:
        kind: Kind of the view, see `core.views`.
        log_loss: Log loss on the select split, in nats.
        error: Error rate on the select split, from 0 to 1.
        number: Index in the pool; None without a pool.
        weight: Ensemble weight; None without an ensemble.
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
        name: Name of the member.
        views: Views of the member, in the order of `core.views.KINDS`.
        weight: Sum of the views' ensemble weights; None without an ensemble.
        contribution: Increase of the ensemble's loss without the member; None if its weight is 0, or it is
            the only member.
        cost: Formatted GPU time or CPU time; empty if unknown.
        proposed_by: What proposed the member, a value of `Proposer`; empty if unknown.
        origin: Name of its recipe or sub-space; empty if unknown.
    """

    name: str
    views: Sequence[ViewRow]
    weight: float | None = None
    contribution: float | None = None
    cost: str = ""
    proposed_by: str = ""
    origin: str = ""

    @property
    def log_loss(self) -> float | None:
        """Log loss of the plain view, in nats."""
        return self._view(PLAIN).log_loss

    @property
    def tta_log_loss(self) -> float | None:
        """Log loss of the view with test-time augmentation, in nats."""
        return self._view(TTA).log_loss

    @property
    def error(self) -> float | None:
        """Error rate of the plain view, from 0 to 1."""
        return self._view(PLAIN).error

    @property
    def further(self) -> ViewRow | None:
        """The view with the lowest log loss among those that are neither plain nor tta, or None."""
        others = [view for view in self.views if view.kind not in (PLAIN, TTA) and view.log_loss is not None]
        return min(others, key=lambda view: view.log_loss or 0.0, default=None)

    def _view(self, kind: str) -> ViewRow:
        return next((view for view in self.views if view.kind == kind), ViewRow(kind, None, None))


def ensemble_rows(ensemble: Ensemble, members: Sequence[RecordedRun] = ()) -> list[MemberRow]:
    """Return one row per member of an ensemble's pool, the largest weight first, then by name.

    Args:
        ensemble: Selected ensemble.
        members: Runs of the members, for their costs and their proposals.
    """
    pool, weights, contributions = ensemble.pool, member_weights(ensemble), member_contributions(ensemble)
    runs = {member.run_id: member for member in members}
    views: dict[str, list[ViewRow]] = {}
    for number, view in enumerate(pool.views):
        views.setdefault(view.run_id, []).append(_view(ensemble, number))
    names = {view.run_id: view.member for view in pool.views}
    kinds = {view.kind for view in pool.views}
    rows = [
        MemberRow(
            name=names[run_id],
            views=sorted(own, key=lambda view: in_order(kinds).index(view.kind)),
            weight=weights[run_id],
            contribution=_contribution(contributions[run_id], weights[run_id]),
            **(_trial(runs[run_id]) if run_id in runs else {}),
        )
        for run_id, own in views.items()
    ]
    return sorted(rows, key=lambda row: (-(row.weight or 0), row.name))


def recorded_rows(members: Sequence[RecordedRun]) -> list[MemberRow]:
    """Return one row per finished member from its run, best first, as in MLflow's table."""
    rows = [_recorded_row(member) for member in members]
    return sorted(rows, key=lambda row: math.inf if row.log_loss is None else row.log_loss)


def best_other_view(row: MemberRow) -> str:
    """Format the best view of a member that is neither plain nor tta; empty without one.

    >>> best_other_view(MemberRow("vit", [ViewRow("flips", 0.4216, 0.1), ViewRow("zoom", 0.5, 0.2)]))
    'flips 0.4216'
    """
    view = row.further
    return "" if view is None or view.log_loss is None else f"{view.kind} {four_digits(view.log_loss)}"


def cost(member: RecordedRun) -> str:
    """Format the cost of a member: GPU time, or else CPU time."""
    for name, unit in ((GPU_SECONDS, "GPU"), (CPU_SECONDS, "CPU")):
        if name in member.metrics:
            return f"{duration(member.metrics[name])} {unit}"
    seconds = member.metrics.get("train_seconds_total")
    return "" if seconds is None else duration(seconds)


def _trial(member: RecordedRun) -> dict[str, Any]:
    """Return the fields of a row that say why the member was proposed, and what it cost."""
    record = MemberRecord.from_run(member)
    return {"cost": cost(member), "proposed_by": record.proposed_by, "origin": record.origin}


def _view(ensemble: Ensemble, number: int) -> ViewRow:
    """Return the row of a view of the pool, scored on the select split."""
    pool, weight = ensemble.pool, float(ensemble.selection.weights[number])
    probs = pool.select[number]
    loss, error = log_loss(probs, pool.labels), error_rate(probs, pool.labels)
    return ViewRow(pool.views[number].kind, loss, error, number, weight)


def _contribution(value: float, weight: float) -> float | None:
    return value if weight > 0 and not math.isnan(value) else None


def _recorded_row(member: RecordedRun) -> MemberRow:
    metrics = member.metrics
    views = [
        ViewRow(kind, metrics.get(f"{kind}/log_loss"), metrics.get(f"{kind}/error_rate"))
        for kind in KINDS
        if kind in (PLAIN, TTA) or f"{kind}/log_loss" in metrics
    ]
    weight = metrics.get(WEIGHT)
    contribution = _contribution(metrics.get(CONTRIBUTION, math.nan), weight or 0)
    return MemberRow(member.name, views, weight, contribution, **_trial(member))
