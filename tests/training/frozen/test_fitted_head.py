"""Members that train on from a head that is fitted to the features of their pretrained body."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.training.frozen.conftest import ARCH
from tests.training.test_folds import with_folds
from tests.training.test_member_resume import (
    KilledError,
    Uninterrupted,
    assert_ends_alike,
    kill_after,
    kill_in_step,
)
from tune_paddy.core.config import MemberConfig
from tune_paddy.data.member_data import Parts
from tune_paddy.training.folds import train_folds
from tune_paddy.training.frozen.store import EmbeddingCache
from tune_paddy.training.member import train_member
from tune_paddy.training.networks.model import build_model
from tune_paddy.training.runtime import Runtime
from tune_paddy.training.saved.member_files import load_member

Make = Callable[..., MemberConfig]


@pytest.fixture(scope="module")
def fitted(frozen: Make) -> Make:
    """Return a function that configures a member whose head begins fitted, with any changes."""
    kind = {"schedule": "one_cycle", "head": "fitted", "flip": "none", "tta": 0}
    return partial(frozen, **kind, dropout=0.1, lr=1e-3, epochs=2)


@pytest.fixture(scope="module")
def uninterrupted(fitted: Make, parts: Parts, tmp_path_factory: pytest.TempPathFactory) -> Uninterrupted:
    folder, config = tmp_path_factory.mktemp("fitted"), fitted()
    result = train_member(config, parts, Runtime(folder))
    return Uninterrupted(config, result, (folder / "weights.safetensors").read_bytes())


@pytest.mark.parametrize("random", [{}, {"arch": "test_vit", "pretrained": False}])
def test_it_begins_as_the_frozen_member(
    random: dict[str, object], fitted: Make, parts: Parts, tmp_path: Path
) -> None:
    """Steps of no length change neither the body, nor its statistics, nor the head; also in a rehearsal."""
    config = fitted(lr=1e-30, weight_decay=0.0, epochs=1, **random)
    begun = train_member(config, parts, Runtime(tmp_path / "fitted"))
    frozen = MemberConfig(**{**dict(config), "schedule": "frozen"})
    known = train_member(frozen, parts, Runtime(tmp_path / "frozen"))
    np.testing.assert_allclose(
        begun.predictions.test["plain"], known.predictions.test["plain"], rtol=0, atol=1e-5
    )


def test_it_learns_on_and_batch_norms_keep_their_statistics(
    uninterrupted: Uninterrupted, parts: Parts, tmp_path: Path
) -> None:
    """Small micro-batches then do no harm, and nothing is said of them."""
    config = uninterrupted.config
    result = train_member(config, parts, Runtime(tmp_path, accum=16))
    before = build_model(ARCH, 10, size=(32, 32), pretrained=config.pretrained)[0].state_dict()
    after = load_member(tmp_path).model[0].state_dict()
    same = {name for name, value in before.items() if torch.equal(after[name], value)}
    statistics = {name for name in before if "running" in name or "num_batches" in name}
    assert same == statistics
    assert result.notes == ()


def test_it_records_how_many_images_its_head_embedded_itself(
    uninterrupted: Uninterrupted, parts: Parts, tmp_path: Path
) -> None:
    metrics = uninterrupted.result.metrics
    assert metrics["head_embedded_images"] == metrics["train_images"]
    cache = EmbeddingCache(tmp_path / "embeddings", 10**9)
    frozen = MemberConfig(**{**dict(uninterrupted.config), "schedule": "frozen"})
    train_member(frozen, parts, Runtime(tmp_path / "frozen", embeddings=cache))
    again = train_member(uninterrupted.config, parts, Runtime(tmp_path / "fitted", embeddings=cache))
    assert again.metrics["head_embedded_images"] == 0
    assert "embedded_images" not in again.metrics, "it does tell its pace"


def test_folds_of_which_one_was_resumed_do_not_tell_what_their_heads_embedded(
    fitted: Make, parts: Parts, tmp_path: Path
) -> None:
    """The head of the resumed fold came from its checkpoint."""
    config, folds = fitted(), with_folds(parts)
    with pytest.raises(KilledError):
        train_folds(config, folds, Runtime(tmp_path / "killed"), report=kill_after(3))
    assert "head_embedded_images" not in train_folds(config, folds, Runtime(tmp_path / "killed")).metrics
    whole = train_folds(config, folds, Runtime(tmp_path / "whole")).metrics
    assert whole["head_embedded_images"] == whole["train_images"]


def test_killed_in_its_first_step_after_an_epoch_or_never_it_ends_alike(
    uninterrupted: Uninterrupted, parts: Parts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The head is fitted again, or the checkpoint holds it."""
    with monkeypatch.context() as patch:
        kill_in_step(patch, 1)
        with pytest.raises(KilledError):
            train_member(uninterrupted.config, parts, Runtime(tmp_path))
    with pytest.raises(KilledError):
        train_member(uninterrupted.config, parts, Runtime(tmp_path), report=kill_after(1))
    assert_ends_alike(tmp_path, parts, uninterrupted)
