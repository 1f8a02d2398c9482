from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tune_paddy.core.config import MemberConfig
from tune_paddy.core.errors import InputError
from tune_paddy.data.member_data import Parts
from tune_paddy.training.accumulation import MemberLearner
from tune_paddy.training.member import train_member
from tune_paddy.training.networks import compilation
from tune_paddy.training.networks.compilation import compile_model
from tune_paddy.training.runtime import Runtime
from tune_paddy.training.saved.member_files import load_member

Make = Callable[..., MemberConfig]


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> list[nn.Module]:
    """Compiled networks; the backend `eager` traces as the default compiler does, and runs the trace."""
    seen: list[nn.Module] = []

    def watched(model: nn.Module, threads: int) -> None:
        compile_model(model, threads)
        seen.append(model)

    monkeypatch.setattr(compilation, "BACKEND", "eager")
    monkeypatch.setattr("tune_paddy.training.attempt.compile_model", watched)
    return seen


def test_a_compiled_member_equals_the_uncompiled_one_also_after_out_of_memory(
    *,
    parts: Parts,
    make_config: Make,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    compiled: list[nn.Module],
) -> None:
    """It resumes from its checkpoint with smaller micro-batches, compiled again; parameter names stay."""
    loss, calls = MemberLearner._loss, []

    def short_of_memory(*args: Any) -> Tensor:
        calls.append(1)
        if len(calls) % 100 == 3:  # in the second epoch of two steps each
            raise torch.OutOfMemoryError("CUDA out of memory")
        return loss(*args)

    monkeypatch.setattr(MemberLearner, "_loss", short_of_memory)
    results = {}
    for compile_it in (True, False):
        calls.clear()
        # AdamW would magnify rounding differences in gradients near zero.
        config = make_config(
            compile=compile_it, schedule="one_cycle", batch_size=50, epochs=2, tta=0, optimizer="sgd"
        )
        results[compile_it] = train_member(config, parts, Runtime(tmp_path / str(compile_it)))
        assert (results[compile_it].accum, results[compile_it].ooms) == (2, 1)
    assert len(compiled) == 2
    np.testing.assert_allclose(
        *(results[kind].predictions.test["plain"] for kind in (True, False)), atol=1e-4, rtol=0
    )
    names = [list(load_member(tmp_path / str(kind)).model.state_dict()) for kind in (True, False)]
    assert names[0] == names[1] == list(compiled[0].state_dict())


def test_a_compiler_failure_gives_a_clear_error(
    parts: Parts, make_config: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("no C++ compiler was found")

    monkeypatch.setattr(compilation, "BACKEND", broken)
    with pytest.raises(InputError, match=r"^test_vit cannot be compiled on .*set compile: false$"):
        train_member(make_config(compile=True, epochs=1), parts, Runtime(tmp_path))
