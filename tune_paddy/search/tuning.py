"""Run trials on Ray Tune: resources, scheduler, retries, callbacks."""

import shutil
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

from ray import tune
from ray.tune import Callback
from ray.tune.schedulers import ASHAScheduler, FIFOScheduler, TrialScheduler

from tune_paddy.search.cluster.absent import AbsentMachines
from tune_paddy.search.cluster.gpu_models import wanted_resources
from tune_paddy.search.cluster.places import ClusterLimiter, live_places
from tune_paddy.search.plan import SearchPlan, longest
from tune_paddy.search.preflight import ReadyPlan
from tune_paddy.search.ray.internals import credentials_left_alone, kept_processes
from tune_paddy.search.ray.notebook import silent_reporter
from tune_paddy.search.sampling.sampler import PastTrial
from tune_paddy.search.sampling.searchers import TrialSearcher
from tune_paddy.search.stopping.interruption import RunningTrials
from tune_paddy.search.trainable import TrialContext, run_trial
from tune_paddy.search.trial import Trial

RAY_FOLDER = "ray"
"""Name of the folder of Ray's own files in a search's folder; a resume does not need them."""


def run_trials_on_ray(
    ready: ReadyPlan,
    context: TrialContext,
    searcher: TrialSearcher,
    *,
    earlier: Sequence[PastTrial],
    callbacks: Sequence[Callback],
    say: Callable[[str], object],
) -> None:
    """Train the trials of a searcher until it has no more or the search is interrupted.

    Args:
        ready: The search.
        context: Settings that all trials share.
        searcher: Source of the trials; its interruption also stops running trials.
        earlier: Trials of earlier sessions, for the scheduler's comparisons.
        callbacks: Receivers of Ray's events.
        say: Function that prints a line for the user.
    """
    plan, interruption = ready.plan, searcher.interruption
    absent = AbsentMachines(interruption, say)
    settings = plan.settings
    tuner = tune.Tuner(
        tune.with_resources(
            tune.with_parameters(run_trial, context=context, parts=ready.parts),
            lambda config: tune.PlacementGroupFactory(
                [{"CPU": settings.cpus, **wanted_resources(Trial.from_config(config).memory)}]
            ),
        ),
        tune_config=tune.TuneConfig(
            metric="objective",
            mode="min",
            search_alg=searcher if plan.ray_address is None else _limited(ready, searcher, absent),
            scheduler=_scheduler(plan, earlier),
            num_samples=searcher.left,
            max_concurrent_trials=ready.at_once if plan.ray_address is None else None,
            reuse_actors=True,
        ),
        run_config=tune.RunConfig(
            name=RAY_FOLDER,
            storage_path=str(plan.folder.absolute()),
            failure_config=tune.FailureConfig(max_failures=settings.retries),
            stop=interruption,
            callbacks=[
                RunningTrials(interruption),
                *([] if plan.ray_address is None else [absent]),
                *callbacks,
            ],
            progress_reporter=silent_reporter(),
            verbose=0,
        ),
    )
    with kept_processes(), credentials_left_alone():
        tuner.fit()
    shutil.rmtree(plan.folder / RAY_FOLDER, ignore_errors=True)


def _limited(ready: ReadyPlan, searcher: TrialSearcher, absent: AbsentMachines) -> ClusterLimiter:
    """Return a searcher whose trials follow the machines of a cluster that come and go.

    Trials that wait for a machine that is gone take no place on the others.
    """
    return ClusterLimiter(searcher, ready.at_once, lambda: live_places(ready.plan.settings) + absent.waiting)


def _scheduler(plan: SearchPlan, earlier: Sequence[PastTrial]) -> TrialScheduler:
    if plan.settings.scheduler == "none":
        return FIFOScheduler()
    epochs = longest(plan.space) * max(1, plan.settings.folds)
    # `max_t` is beyond the last epoch: ASHA must not stop a member that still has to predict.
    rung = only_rung(epochs)
    return RememberingASHA(
        earlier, time_attr="epoch", max_t=epochs + 1, grace_period=rung, reduction_factor=2
    )


def only_rung(epochs: int) -> int:
    """Return the epoch after which ASHA stops the worse half of the trials; beyond the last: none stops.

    With one-cycle schedules the loss at a quarter of the epochs says little of the last one: rank
    correlations of -0.1 to 0.8 on five sets of images, at half 0.3 to 0.8 (benchmarks/search_efficiency).
    A second rung would be the last epoch itself, whose member still has to predict.

    Args:
        epochs: Number of epochs of the longest member, over all folds.

    >>> [only_rung(epochs) for epochs in (1, 2, 3, 4, 5, 12, 24)]
    [2, 3, 4, 3, 4, 7, 13]
    """
    rung = max(3, (epochs + 1) // 2 + 1)
    return rung if rung < epochs else epochs + 1


class RememberingASHA(ASHAScheduler):
    """ASHA that compares trained members alone, also with the trials of earlier sessions.

    A frozen member has no epochs that could be compared: it never stops, and stops no other.

    Args:
        earlier: Trials of earlier sessions. Unfinished ones are ignored, since their resumed trials report.
        **options: Options of ASHA.
    """

    def __init__(self, earlier: Sequence[PastTrial], **options: Any) -> None:
        super().__init__(**options)
        self._earlier = [trial for trial in earlier if trial.ended and not trial.proposal.config.frozen]
        self._frozen: set[str] = set()

    def set_search_properties(self, metric: str | None, mode: str | None, **spec: Any) -> bool:
        """Set metric and mode, then replay the curves of the earlier trials."""
        known: bool = super().set_search_properties(metric, mode, **spec)
        no_controller: Any = None  # stands in for Ray's controller, which ASHA does not use here
        for past in self._earlier if known else ():
            trial: Any = SimpleNamespace(trial_id=f"earlier-{past.proposal.number}")
            super().on_trial_add(no_controller, trial)
            for epoch, value in sorted(past.curve.items()):
                self.on_trial_result(no_controller, trial, {"epoch": epoch, str(metric): value})
        return known

    def on_trial_add(self, tune_controller: Any, trial: Any) -> None:
        """Take up a trial, unless its member is frozen."""
        if Trial.from_config(trial.config).config.frozen:
            self._frozen.add(trial.trial_id)
        else:
            super().on_trial_add(tune_controller, trial)

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """Decide whether a trial that has just reported continues."""
        if trial.trial_id in self._frozen:
            return TrialScheduler.CONTINUE
        decision: str = super().on_trial_result(tune_controller, trial, result)
        return decision

    def on_trial_complete(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> None:
        """Count the last result of a trial that has ended."""
        if trial.trial_id not in self._frozen:
            super().on_trial_complete(tune_controller, trial, result)

    def on_trial_remove(self, tune_controller: Any, trial: Any) -> None:
        """Forget a trial that never ran."""
        if trial.trial_id not in self._frozen:
            super().on_trial_remove(tune_controller, trial)
