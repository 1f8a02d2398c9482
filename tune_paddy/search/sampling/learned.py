"""Which trials a proposal learns from: the time of a proposal must not grow with the search.

Optuna's TPE compares the best trials with all others, once per parameter, and gives older trials less weight.
After a thousand trials the others are the newest ones; the best stay the best of all.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

MOST = 1000
"""Largest number of ended trials that a proposal learns from."""

BEST = 25
"""Number of trials that Optuna takes for the best ones from 250 trials on."""


def learned_trials(trials: Sequence[FrozenTrial], most: int = MOST) -> list[FrozenTrial]:
    """Return the trials that a proposal learns from, by number: those that run, the best, and the newest.

    Args:
        trials: All trials of a study.
        most: Largest number of ended trials.
    """
    running = [trial for trial in trials if trial.state is TrialState.RUNNING]
    ended = [trial for trial in trials if trial.state in (TrialState.COMPLETE, TrialState.PRUNED)]
    if len(ended) > most:
        best = sorted(ended, key=_rank)[:BEST]
        kept = {trial.number for trial in best}
        newest = [trial for trial in ended if trial.number not in kept][len(best) - most :]
        ended = [*best, *newest]
    return sorted([*running, *ended], key=lambda trial: trial.number)


def _rank(trial: FrozenTrial) -> tuple[bool, float, float]:
    """Return Optuna's order: complete trials by value, then pruned ones, those that trained longest first."""
    if trial.state is TrialState.COMPLETE:
        return False, 0.0, float(trial.value or 0.0)
    step, value = max(trial.intermediate_values.items(), default=(-1, 0.0))
    return True, -float(step), value


@dataclass(frozen=True, slots=True)
class _SeenTrial:
    """What a sampler reads of a trial, once per parameter; Optuna's own trials compute it each time."""

    number: int
    state: TrialState
    value: float | None
    params: Mapping[str, Any]
    intermediate_values: Mapping[int, float]
    constraints: Mapping[str, float] = field(default_factory=dict)  # this program sets none


class LearnedStudy:
    """A study as a sampler sees it, with fewer trials.

    Args:
        study: The study.
        trials: Trials to show.
    """

    def __init__(self, study: optuna.Study, trials: Sequence[FrozenTrial]) -> None:
        self._study = study
        self._shown = [
            _SeenTrial(it.number, it.state, it.value, it.params, it.intermediate_values) for it in trials
        ]

    def __getattr__(self, name: str) -> Any:
        """Return everything but the trials from the study."""
        return getattr(self._study, name)

    def _get_trials(self, *, states: Sequence[TrialState] | None = None, **_: bool) -> list[_SeenTrial]:
        # Samplers ask by this name.
        return [trial for trial in self._shown if states is None or trial.state in states]
