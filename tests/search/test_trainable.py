from typing import Any

import pytest
import torch

from tests.conftest import Finished
from tune_paddy.core.config import MemberConfig
from tune_paddy.core.memory import TrialMemory
from tune_paddy.data.parts import make_parts
from tune_paddy.search import trainable
from tune_paddy.search.reuse import SPENT
from tune_paddy.search.run import stored_split
from tune_paddy.search.trainable import TrialContext, run_trial
from tune_paddy.tracking.members import start_search
from tune_paddy.training import member

CONFIG = MemberConfig(arch="test_resnet", size=32, epochs=1, batch_size=16, tta=0, pretrained=False)
MEMORY = TrialMemory(gpu=0.5, accum=8)


@pytest.mark.parametrize(
    ("failures", "outcome", "allow_gpu"),
    [(1, "finished", True), (9, "infeasible", True), (1, "finished", False)],
)
def test_a_process_in_which_a_gpus_memory_ran_out_is_spent_whatever_became_of_its_trial(
    finished: Finished, monkeypatch: pytest.MonkeyPatch, failures: int, outcome: str, *, allow_gpu: bool
) -> None:
    attempts = iter([torch.OutOfMemoryError("CUDA out of memory")] * failures)
    train = member._Attempt._train

    def run_out(self: member._Attempt, *arguments: Any) -> None:
        for error in attempts:
            raise error
        train(self, *arguments)

    monkeypatch.setattr(member._Attempt, "_train", run_out)
    reports: list[dict[str, Any]] = []
    monkeypatch.setattr(trainable.tune, "report", reports.append)
    name = f"{outcome}-{allow_gpu}"
    context = TrialContext(
        store=finished.store,
        search=name,
        parent_run_id=start_search(finished.store, name=name, params={}, tags={}),
        folder=finished.runs / name,
        cpus=1,
        allow_gpu=allow_gpu,
        objective="log_loss",
        weights_dir=None,
    )
    trial = {"number": 0, "member": "m", "origin": "o", "config": CONFIG.model_dump(), "memory": vars(MEMORY)}
    run_trial(trial, context=context, parts=make_parts(finished.plan.dataset, stored_split(finished.plan)))
    assert reports[-1]["outcome"] == outcome
    assert reports[-1][SPENT] == allow_gpu
