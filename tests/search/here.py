"""Trials in the tests' own process, for searches where Ray proves nothing: its workers import torch."""

import pickle
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from ray.tune import Callback
from ray.tune.schedulers import TrialScheduler

from tune_paddy.search import run as search_run
from tune_paddy.search import trainable, tuning
from tune_paddy.search.preflight import ReadyPlan
from tune_paddy.search.sampling.searchers import NO_MORE, TrialSearcher
from tune_paddy.search.trainable import TrialContext, run_trial


@contextmanager
def trained_here() -> Iterator[None]:
    """Train the trials of all searches in the block in this process, one after another."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(search_run, "run_trials_on_ray", run_trials_here)
        yield


def run_trials_here(
    ready: ReadyPlan,
    context: TrialContext,
    searcher: TrialSearcher,
    *,
    earlier: Sequence[object],
    callbacks: Sequence[Callback],
    say: Callable[[str], object],  # noqa: ARG001 for a cluster alone
) -> None:
    """Train the trials of a new search; an error of a trial, or one that the scheduler stops, ends the test.

    As with Ray, the context and the images pass through a pickle.
    """
    assert not earlier
    scheduler = tuning._scheduler(ready.plan, ())
    assert scheduler.set_search_properties("objective", "min")
    context, parts = pickle.loads(pickle.dumps((context, ready.parts)))  # noqa: S301 our own
    number = 0
    while (config := searcher.suggest(str(number))) != NO_MORE:
        trial = SimpleNamespace(trial_id=str(number), config=config, last_result={})
        scheduler.on_trial_add(None, trial)  # type: ignore[arg-type] its controller is not used here
        for callback in callbacks:
            callback.on_trial_start(0, [], trial)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(trainable.tune, "report", _reporter(trial, searcher, scheduler, callbacks))
            run_trial(config, context=context, parts=parts)
        scheduler.on_trial_complete(None, trial, trial.last_result)  # type: ignore[arg-type]
        searcher.on_trial_complete(trial.trial_id, trial.last_result)
        for callback in callbacks:
            callback.on_trial_complete(0, [], trial)
        number += 1


def _reporter(
    trial: Any, searcher: TrialSearcher, scheduler: TrialScheduler, callbacks: Sequence[Callback]
) -> Callable[[dict[str, Any]], None]:
    """Return the function that passes a trial's reports on, as Ray does."""

    def report(result: dict[str, Any]) -> None:
        trial.last_result = result
        searcher.on_trial_result(trial.trial_id, result)
        decision = scheduler.on_trial_result(None, trial, result)  # type: ignore[arg-type]
        # To the report of a trial's end, which counts as a further epoch, ASHA says stop as well.
        assert decision == TrialScheduler.CONTINUE or "outcome" in result
        for callback in callbacks:
            callback.on_trial_result(0, [], trial, result)

    return report
