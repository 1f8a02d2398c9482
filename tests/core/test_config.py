import math
from typing import Any, get_args

import pytest
from pydantic import ValidationError

from tune_paddy.core.config import MemberConfig, SearchSettings
from tune_paddy.core.errors import InputError
from tune_paddy.core.selection.names import METRIC_NAMES


def test_a_side_means_a_square_and_a_pair_is_height_and_width() -> None:
    assert MemberConfig(arch="vit", size=224).size == (224, 224)
    assert MemberConfig(arch="vit", size=[320, 224]).size == (320, 224)


def test_images_are_resized_to_the_networks_input_by_default() -> None:
    assert MemberConfig(arch="vit", size=64).item_size == (64, 64)
    assert MemberConfig(arch="vit", size=64, resize_size=[96, 80]).item_size == (96, 80)


def test_a_configuration_survives_json() -> None:
    config = MemberConfig(arch="vit", size=[320, 224], resize_size=480, accum=4, precision="fp16")
    assert MemberConfig(**config.model_dump(mode="json")) == config
    assert MemberConfig.model_validate_json(config.model_dump_json()) == config


def test_only_fine_tune_counts_frozen_epochs() -> None:
    assert MemberConfig(arch="vit", epochs=5, freeze_epochs=2).total_epochs == 7
    assert MemberConfig(arch="vit", epochs=5, freeze_epochs=2, schedule="one_cycle").total_epochs == 5


@pytest.mark.parametrize(
    "values",
    [
        {"arch": ""},
        {"size": 4},
        {"size": [224]},
        {"size": True},
        {"lr": 0},
        {"accum": 128, "batch_size": 64},
        {"size": 224, "resize_size": 192},
        {"flip": "vertical"},
        {"learning_rate": 0.1},
        {"subsample": 0},
        {"randaugment": 9, "trivialaugment": True},
        {"randaugment": 31},
        {"calm_epochs": 13, "epochs": 12},
        {"class_weights": "balanced", "sampler": "balanced"},
    ],
)
def test_contradictions_and_unknown_names_are_refused(values: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        MemberConfig(**{"arch": "vit", **values})


def test_a_configuration_cannot_be_changed() -> None:
    config = MemberConfig(arch="vit")
    with pytest.raises(ValidationError):
        config.lr = 1.0  # type: ignore[misc]


def test_settings_have_bounds() -> None:
    with pytest.raises(ValidationError):
        SearchSettings(trials=0)
    with pytest.raises(ValidationError):
        SearchSettings(select_share=1.0)


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan])
def test_no_setting_and_no_parameter_accepts_a_number_that_is_not_finite(value: float) -> None:
    for name in SearchSettings.model_fields:
        with pytest.raises(InputError, match=rf"^{name}: {value} should be "):
            SearchSettings().override({name: value})
    for name in MemberConfig.model_fields:
        with pytest.raises(ValidationError):
            MemberConfig(**{"arch": "vit", name: value})


@pytest.mark.parametrize("name", ["minutes", "stall_minutes"])
def test_a_time_beyond_that_of_timers_is_refused(name: str) -> None:
    """1e308 minutes are infinitely many seconds."""
    with pytest.raises(InputError, match=rf"^{name}: 1e\+308 should be less than or equal to 1000000$"):
        SearchSettings().override({name: 1e308})


@pytest.mark.parametrize("gpus", [0, 0.25, 1, 1.0, "auto"])
def test_a_trial_may_have_a_share_of_a_gpu_or_a_whole_one(gpus: Any) -> None:
    assert SearchSettings(gpu=gpus).gpu == gpus


@pytest.mark.parametrize("gpus", [1.5, 2, 64])
def test_a_second_gpu_of_a_trial_is_refused_in_one_line(gpus: float) -> None:
    """It would idle; the sentence is the same from Python, an option and a space."""
    words = rf"^gpu: {gpus} should be 'auto' or up to 1: a member trains on one GPU; more .* at once$"
    with pytest.raises(InputError, match=words):
        SearchSettings().override({"gpu": gpus})


def test_a_negative_share_of_a_gpu_is_refused() -> None:
    with pytest.raises(ValidationError):
        SearchSettings(gpu=-0.5)


def test_every_metric_can_be_an_objective() -> None:
    listed, _ = get_args(SearchSettings.model_fields["objective"].annotation)
    assert get_args(listed) == ("calibrated_log_loss", *METRIC_NAMES)
    assert SearchSettings(objective="map_at_7").objective == "map_at_7"


@pytest.mark.parametrize("name", ["map_at_0", "map_at_", "map_at_1001", "map@5", "accuracy"])
def test_an_objective_that_is_no_metric_is_refused_with_those_that_are(name: str) -> None:
    with pytest.raises(InputError, match=rf"^objective: {name} should be .* or map_at_ and a number up to"):
        SearchSettings().override({"objective": name})
