"""Rivals of an ensemble, for every report: what it is compared with, their names, and its gain over each."""

from tune_paddy.core.estimate import Comparison
from tune_paddy.ensemble.ensemble import Ensemble
from tune_paddy.ensemble.reports.wording import signed

RIVALS = {"best_single": "best single member", "uniform": "uniform average"}
"""Rival of an ensemble → its display name."""


def rivals(ensemble: Ensemble) -> tuple[Comparison, ...]:
    """Return the comparisons of an ensemble, without that of its own method."""
    if ensemble.assessment is None or len(ensemble.pool.views) == 1:
        return ()
    return tuple(r for r in ensemble.assessment.comparisons if r.rival != ensemble.selection.method)


def gain_of(rival: Comparison, metric: str = "log_loss") -> str:
    """Return the ensemble's gain over a rival, with the interval; of an error rate in percentage points."""
    gains = [-value for value in (rival.difference, rival.high, rival.low)]
    if metric == "error_rate":
        gain, low, high = (f"{100 * value + 0:+.2f}" for value in gains)
        return f"{gain} ({low} to {high}) percentage points"
    gain, low, high = map(signed, gains)
    return f"{gain} ({low} to {high})"
