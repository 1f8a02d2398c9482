import os
from pathlib import Path
from typing import Any

import pytest
from ray import tune

from tune_paddy.search.reuse import SPENT, fresh_after_spent


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
    with fresh_after_spent():
        results = tuner.fit()
    first, second, third = (result.metrics["pid"] for result in results)
    assert first == second
    assert third != second
