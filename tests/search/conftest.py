"""A second search beside the shared one, with other settings of trials."""

from pathlib import Path

import pytest

from tests.conftest import Finished, make_plan, searched
from tune_paddy.search.plan import SearchPlan

HALVED = """
search:
  {trials: 4, scheduler: asha, concurrency: 1, keep_weights: none, gpu: auto, gpu_memory: 12000, cpus: 1}
defaults: {pretrained: false, schedule: one_cycle, size: 32, epochs: 5, batch_size: 32, tta: 0, flip: none}
spaces: [{name: nets, arch: test_resnet, lr: {low: 1.0e-6, high: 0.01, log: true}}]
"""


@pytest.fixture(scope="session")
def halved(finished: Finished, tmp_path_factory: pytest.TempPathFactory) -> SearchPlan:
    """A search that has run: four trials with automatic shares of a GPU, the weak ones stopped early."""
    folder: Path = tmp_path_factory.mktemp("halved")
    plan = make_plan("asha", finished.plan.dataset.root, folder / "runs", HALVED)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TUNE_PADDY_CACHE", str(folder / "cache"))  # no stored forecasts
        searched(plan, finished.store)
    return plan
