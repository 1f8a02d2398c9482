import os
import time
from pathlib import Path
from typing import Any

import pytest
from ray import tune
from ray.tune.search import Searcher

from tune_paddy.search.reuse import SPENT, kept_processes


def _train(trial: dict[str, Any]) -> None:
    tune.report({"pid": os.getpid(), SPENT: trial["number"] == 1})


@pytest.mark.usefixtures("ray_running")
def test_a_process_trains_on_after_a_good_trial_and_is_replaced_after_one_that_spent_it(
    tmp_path: Path,
) -> None:
    tuner = tune.Tuner(
        tune.with_resources(_train, tune.PlacementGroupFactory([{"CPU": 1}])),
        param_space={"number": tune.grid_search([0, 1, 2])},
        tune_config=tune.TuneConfig(max_concurrent_trials=1, reuse_actors=True),
        run_config=tune.RunConfig(storage_path=str(tmp_path), verbose=0),
    )
    with kept_processes():
        results = tuner.fit()
    first, second, third = (result.metrics["pid"] for result in results)
    assert first == second
    assert third != second


def _meet(trial: dict[str, Any]) -> None:
    """End together with the other trial of a pair, so that two processes are idle at once."""
    folder = Path(trial["folder"])
    (folder / str(trial["number"])).touch()
    other = folder / str(trial["number"] ^ 1)
    until = time.monotonic() + 60
    while not other.exists() and time.monotonic() < until:
        time.sleep(0.01)
    tune.report({"pid": os.getpid()})


class _Pairs(Searcher):
    """Proposes the next two trials once both of a pair have ended."""

    def __init__(self, folder: Path, trials: int) -> None:
        super().__init__(metric="pid", mode="min")
        self._folder, self._trials = folder, trials
        self._proposed = self._ended = 0

    def suggest(self, trial_id: str) -> Any:  # noqa: ARG002
        if self._proposed == self._trials:
            return Searcher.FINISHED
        if self._proposed - self._ended == 2 or self._ended % 2:
            return None
        self._proposed += 1
        return {"number": self._proposed - 1, "folder": str(self._folder)}

    def on_trial_complete(self, trial_id: str, result: Any = None, error: bool = False) -> None:  # noqa: ARG002
        self._ended += 1


@pytest.mark.usefixtures("ray_running")
def test_eight_trials_on_two_slots_run_in_two_processes_even_where_pairs_end_together(tmp_path: Path) -> None:
    tuner = tune.Tuner(
        tune.with_resources(_meet, tune.PlacementGroupFactory([{"CPU": 1}])),
        tune_config=tune.TuneConfig(search_alg=_Pairs(tmp_path, 8), num_samples=8, reuse_actors=True),
        run_config=tune.RunConfig(storage_path=str(tmp_path / "ray"), verbose=0),
    )
    with kept_processes():
        results = tuner.fit()
    assert len(results) == 8
    assert len({result.metrics["pid"] for result in results}) == 2
