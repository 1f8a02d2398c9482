"""Whether a new ensemble becomes the current one: only if it is at least as good, compared like with like."""

from dataclasses import dataclass

from tune_paddy.core.errors import TunePaddyError
from tune_paddy.core.metrics import metric_key, metric_label
from tune_paddy.data.system.text import four_digits
from tune_paddy.tracking.client import call
from tune_paddy.tracking.ensembles import read_recorded_ensemble
from tune_paddy.tracking.runs import RecordedRun, recorded
from tune_paddy.tracking.store import Store

_NOISE = 1e-9
"""Difference of losses that is rounding."""


@dataclass(frozen=True)
class Standing:
    """Place of a new ensemble among those of its search.

    Attributes:
        current: Whether it is the current ensemble.
        sentence: The comparison with the previous current ensemble; empty if there was none.
    """

    current: bool = True
    sentence: str = ""


@dataclass(frozen=True)
class Score:
    """Score of an ensemble, with what must agree for a comparison.

    Attributes:
        metric: Metric that the selection minimised.
        split: Fingerprint of the select split; empty if it cannot be read.
        honest: Whether the value is cross-fitted; otherwise it is that of the images selected on.
        value: Loss.
    """

    metric: str
    split: str
    honest: bool
    value: float


def compare(store: Store, new: RecordedRun, before: RecordedRun | None) -> Standing:
    """Compare a new ensemble with the current one of its search.

    Args:
        store: The record.
        new: Run of the new ensemble.
        before: Run of the ensemble that is current so far; None: there is none.

    Raises:
        TunePaddyError: MLflow failed.
    """
    if before is None:
        return Standing()
    if before.run_id == new.run_id:
        return Standing(sentence=f"{new.name} was selected before, and stays the current ensemble")
    now, old = score_of(store, new), score_of(store, before)
    stays, kept = f"{before.name} stays the current ensemble", f"kept as {new.name}"
    if now is None or old is None:
        return Standing(False, f"{stays}, since one of the two has no recorded score; {kept}")
    if difference := _difference(now, old):
        return Standing(False, f"{stays}, since {difference}; {kept}")
    label = metric_label(now.metric) + ("" if now.honest else " (optimistic)")
    values = _digits(old.value, now.value), _digits(now.value, old.value)
    step = f"previous {label} {values[0]} ({before.name}) → now {values[1]}"
    if now.value <= old.value + _NOISE:
        return Standing(True, f"{new.name} is now the current ensemble: {step}")
    return Standing(False, f"{step}, which is worse: {stays}; {kept}")


def score_of(store: Store, ensemble: RecordedRun) -> Score | None:
    """Return the score of an ensemble: that of the original for a refit, whose members saw every image.

    Returns:
        The score; None if the record has none.
    """
    original = ensemble.params.get("refit_of")
    try:
        run = recorded(call(store.client.get_run, original)) if original else ensemble
        split = read_recorded_ensemble(store, run).split
    except TunePaddyError:  # deleted in MLflow, or its file is gone
        return None
    metric = run.params.get("metric", "")
    key = metric_key(metric)
    for honest, name in ((True, f"ensemble_{key}"), (False, f"ensemble_select_{key}")):
        if name in run.metrics:
            return Score(metric, split, honest, run.metrics[name])
    return None


def _difference(now: Score, old: Score) -> str:
    """Return why two scores cannot be compared; empty if they can."""
    if now.metric != old.metric:
        return f"it was selected by {metric_label(old.metric)}, not by {metric_label(now.metric)}"
    if now.split != old.split:
        return "its select split is another one"
    if now.honest != old.honest:
        return "only one of the two has an honest estimate"
    return ""


def _digits(value: float, other: float) -> str:
    """Format a loss with four digits, or with more if it looked like the other one."""
    short, theirs = four_digits(value), four_digits(other)
    return f"{value:.7f}" if short == theirs and abs(value - other) > _NOISE else short
