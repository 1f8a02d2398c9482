"""Which processes train which trials: real ones of Ray's, whose trials do nothing."""

import os
import time
from pathlib import Path
from typing import Any

import pytest
from ray import tune
from ray.tune.search import Searcher

from tune_paddy.search.ray.internals import SPENT, kept_processes

SPENDS = 5
"""Number of the trial that spends its process."""


def _meet(trial: dict[str, Any]) -> None:
    """End together with the other trial of a pair, so that two processes are idle at once."""
    folder = Path(trial["folder"])
    (folder / str(trial["number"])).touch()
    other = folder / str(trial["number"] ^ 1)
    until = time.monotonic() + 300
    while not other.exists() and time.monotonic() < until:
        time.sleep(0.01)
    tune.report({"pid": os.getpid(), SPENT: trial["number"] == SPENDS})


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


@pytest.fixture(scope="module")
def processes(ray_running: None, tmp_path_factory: pytest.TempPathFactory) -> list[int]:  # noqa: ARG001
    """Of eight trials in pairs on two slots, in the order of their numbers."""
    folder = tmp_path_factory.mktemp("pairs")
    tuner = tune.Tuner(  # half a CPU each: two run at once on any machine
        tune.with_resources(_meet, tune.PlacementGroupFactory([{"CPU": 0.5}])),
        tune_config=tune.TuneConfig(search_alg=_Pairs(folder, 8), num_samples=8, reuse_actors=True),
        run_config=tune.RunConfig(storage_path=str(folder / "ray"), verbose=0),
    )
    with kept_processes():
        results = tuner.fit()
    return [result.metrics["pid"] for result in sorted(results, key=lambda r: r.config["number"])]


def test_trials_run_in_two_processes_even_where_pairs_end_together(processes: list[int]) -> None:
    assert len(processes) == 8
    assert len(set(processes[:SPENDS])) == 2


def test_a_process_that_a_trial_spent_is_replaced_and_the_other_trains_on(processes: list[int]) -> None:
    spent, other = processes[SPENDS], processes[SPENDS ^ 1]
    before, after = processes[: SPENDS + 1], processes[SPENDS + 1 :]
    assert {spent, other} == set(before)
    assert spent not in after
    assert other in after
    assert len(set(processes)) == 3
