"""Heads of a single linear layer."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import timm
import torch

from tune_paddy.core.config import MemberConfig
from tune_paddy.core.errors import InputError
from tune_paddy.data.member_data import Parts
from tune_paddy.training.member import train_member
from tune_paddy.training.networks import plan as plans
from tune_paddy.training.networks.heads import LinearHead
from tune_paddy.training.networks.model import build_model, has_batch_norm
from tune_paddy.training.runtime import Runtime
from tune_paddy.training.saved.member_files import load_member

CLASSIFIERS = {
    "test_resnet": "fc",
    "test_vit": "head",
    "test_convnext": "head.fc",
    "mobilenetv3_small_050": "classifier",
}


@pytest.mark.parametrize("arch", CLASSIFIERS)
def test_a_linear_head_is_timms_own_classifier(arch: str) -> None:
    """Also where timm has layers between pooling and classifier."""
    images = torch.rand(2, 3, 64, 64)
    options = {"img_size": 64} if arch == "test_vit" else {}
    theirs = timm.create_model(arch, num_classes=5, **options).eval()
    ours = build_model(arch, 5, size=(64, 64), head="linear").eval()
    missing = ours[0].model.load_state_dict(theirs.state_dict(), strict=False)
    assert missing.missing_keys == []
    ours[1].linear.load_state_dict(theirs.get_submodule(CLASSIFIERS[arch]).state_dict())
    with torch.inference_mode():
        torch.testing.assert_close(ours(images), theirs(images))


def test_a_frozen_head_pools_as_fastais_head() -> None:
    features = torch.rand(2, 7, 3, 3)
    usual = build_model("test_resnet", 5, size=(64, 64))
    pooled = usual[1][:2](features)
    torch.testing.assert_close(LinearHead(7, 5, pool=True, dropout=0.5).pool(features), pooled)


def test_a_linear_head_computes_in_full_precision_under_autocast() -> None:
    head = LinearHead(4, 2, pool=False, dropout=0.0).eval()
    features = torch.tensor([[1000.0, 1001.0, 0.1, 0.0]])
    with torch.autocast("cpu", dtype=torch.bfloat16), torch.inference_mode():
        logits = head(features)
    assert logits.dtype == torch.float32
    assert torch.equal(logits, head(features))


def test_a_network_that_cannot_pool_by_itself_is_refused_a_linear_head(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(plans, "_width_of_pooled", lambda *_, **__: 0)
    plans.plan_body.cache_clear()
    with pytest.raises(InputError, match=r"cannot pool 64x64 px by itself; use head: concat_pool$"):
        build_model("test_resnet", 5, size=(64, 64), head="linear")
    plans.plan_body.cache_clear()


def test_members_with_a_linear_head_train_and_load(
    parts: Parts, make_config: Callable[..., MemberConfig], tmp_path: Path
) -> None:
    config = make_config(arch="test_convnext", head="linear", epochs=1, tta=0)
    result = train_member(config, parts, Runtime(tmp_path))
    saved = load_member(tmp_path)
    assert saved.config == config
    assert not has_batch_norm(saved.model)
    assert np.isfinite(result.metrics["plain/log_loss"])
