"""Configurations of frozen members."""

import pytest

from tune_paddy.core.config import TRAINING_ONLY, MemberConfig
from tune_paddy.core.domains import Choice, Fixed, SubSpace, locate

TRAINED = {
    "epochs": 3,
    "freeze_epochs": 2,
    "lr": 0.5,
    "weight_decay": 0.5,
    "optimizer": "sgd",
    "layer_decay": 0.8,
    "clip_grad": 1.0,
    "ema": 0.9,
    "keep": "best",
    "patience": 2,
    "randaugment": 5,
    "randaugment_ops": 3,
    "trivialaugment": True,
    "erasing": 0.2,
    "calm_epochs": 3,
    "loss": "bce",
    "class_weights": "balanced",
    "sampler": "balanced",
    "mixup": 0.4,
    "cutmix": 0.4,
    "drop_path": 0.1,
    "dropout": 0.1,
    "compile": True,
}


def test_what_only_training_uses_does_not_tell_frozen_members_apart() -> None:
    plain = MemberConfig(arch="vit", schedule="frozen")
    assert set(TRAINED) == set(TRAINING_ONLY)
    assert MemberConfig(arch="vit", schedule="frozen", **TRAINED) == plain
    assert MemberConfig(**plain.model_dump(mode="json")) == plain
    assert plain.total_epochs == 1


@pytest.mark.parametrize(("flip", "number"), [("none", 1), ("horizontal", 2), ("dihedral", 8)])
def test_a_frozen_member_sees_the_symmetries_of_its_flips(flip: str, number: int) -> None:
    assert MemberConfig(arch="vit", schedule="frozen", flip=flip).symmetries == number


def test_a_frozen_member_lies_in_a_sub_space_whatever_its_defaults_say_about_training() -> None:
    space = SubSpace(
        "s", {"arch": Fixed("a"), "schedule": Fixed("frozen"), "lr": Fixed(0.3), "size": Choice((64, 96))}
    )
    assert locate({"arch": "a", "schedule": "frozen", "size": 96}, [space]) == (0, {"size": 96})
    assert locate({"arch": "a", "size": 96}, [space]) is None
