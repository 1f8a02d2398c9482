from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tune_paddy.core.config import MemberConfig
from tune_paddy.core.errors import DivergedError, InputError
from tune_paddy.core.metrics import error_rate, log_loss
from tune_paddy.core.predictions import check
from tune_paddy.data.member_data import Part, Parts
from tune_paddy.training.accumulation import MemberLearner
from tune_paddy.training.batches.loaders import Batch, ImageReader, TrainLoader
from tune_paddy.training.devices import Device
from tune_paddy.training.member import train_member
from tune_paddy.training.networks.plan import plan_body
from tune_paddy.training.results import EpochReport, MemberResult
from tune_paddy.training.runtime import Runtime
from tune_paddy.training.saved.member_files import load_member
from tune_paddy.training.views import predict

Make = Callable[..., MemberConfig]


@pytest.fixture(scope="module")
def member(parts: Parts, make_config: Make, tmp_path_factory: pytest.TempPathFactory) -> MemberResult:
    """A vision transformer, fine-tuned for one frozen and two unfrozen epochs."""
    return train_member(make_config(), parts, Runtime(tmp_path_factory.mktemp("member")))


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def same(first: MemberResult, second: MemberResult) -> bool:
    """Return whether two members' predictions are equal, bit by bit, for both parts and both views."""
    pairs = [(first.predictions.select, second.predictions.select)]
    pairs += [(first.predictions.test, second.predictions.test)]
    return all(np.array_equal(a[view], b[view]) for a, b in pairs for view in ("plain", "tta"))


def test_predictions_are_complete_and_match_their_parts(member: MemberResult, parts: Parts) -> None:
    predictions = member.predictions
    assert check(predictions) is None
    assert predictions.classes == parts.classes
    assert predictions.split == parts.split
    assert predictions.select.keys() == {"plain", "tta"}
    np.testing.assert_array_equal(predictions.select_ids, parts.select.ids)
    np.testing.assert_array_equal(predictions.select_labels, parts.select.labels)
    np.testing.assert_array_equal(predictions.test_ids, parts.test.ids)


def test_the_summary_scores_the_predictions(member: MemberResult, parts: Parts) -> None:
    for view, probs in member.predictions.select.items():
        assert member.metrics[f"{view}/log_loss"] == log_loss(probs, parts.select.labels)
        assert member.metrics[f"{view}/error_rate"] == error_rate(probs, parts.select.labels)
        assert member.metrics[f"{view}/calibrated_log_loss"] <= member.metrics[f"{view}/log_loss"]
    assert member.metrics["train_images"] == 80
    assert 0.2 < member.metrics["parameters_m"] < 0.6
    assert (member.accum, member.ooms, member.notes) == (1, 0, ())


def test_the_last_epochs_scores_are_the_plain_views(member: MemberResult) -> None:
    """The last epoch's parameters make the predictions."""
    assert member.history[-1]["log_loss"] == member.metrics["plain/log_loss"]


def test_epochs_are_reported_in_order_as_they_end(parts: Parts, make_config: Make, tmp_path: Path) -> None:
    """The checkpoint is written before the report, so that stopping in the report loses nothing."""
    reports: list[EpochReport] = []

    def report(epoch: EpochReport) -> None:
        reports.append(epoch)
        assert f"checkpoint-{epoch.epoch:05d}.safetensors" in names(tmp_path)

    ticks = iter(range(1000))
    runtime = Runtime(tmp_path, clock=lambda: float(next(ticks)))
    result = train_member(make_config(), parts, runtime, report=report)
    assert [report.epoch for report in reports] == [1, 2, 3]
    assert [report.metrics for report in reports] == list(result.history)
    for metrics in result.history:
        assert np.isfinite(list(metrics.values())).all()
        assert (metrics["train_seconds"], metrics["eval_seconds"]) == (1, 1)
    assert result.metrics["train_seconds_total"] == 6
    assert result.metrics["predict_ms_per_image"] == pytest.approx(1000 / (30 + 21))


def test_a_member_learns(parts: Parts, make_config: Make, tmp_path: Path) -> None:
    """Nine of ten are wrong by chance; fewer than five must be, and other seeds and kernels reach two."""
    config = make_config(
        arch="test_convnext", schedule="one_cycle", epochs=16, lr=0.003, batch_size=16, tta=0
    )
    result = train_member(config, parts, Runtime(tmp_path))
    assert result.history[-1]["train_loss"] < result.history[0]["train_loss"] / 2
    assert result.metrics["plain/error_rate"] < 0.5


def test_the_same_seed_predicts_the_same(
    member: MemberResult, parts: Parts, make_config: Make, tmp_path: Path
) -> None:
    """For any state of the global random number generators."""
    torch.rand(17)
    np.random.default_rng().random()
    again = train_member(make_config(), parts, Runtime(tmp_path))
    assert same(member, again)


def test_other_seeds_predict_differently(
    member: MemberResult, parts: Parts, make_config: Make, tmp_path: Path
) -> None:
    assert not same(member, train_member(make_config(seed=7), parts, Runtime(tmp_path)))


def test_every_epoch_of_both_phases_has_its_own_order(
    parts: Parts, make_config: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The random streams of an unfrozen epoch do not repeat those of a frozen one."""
    epochs: list[int] = []
    batches = TrainLoader.__iter__

    def watched(loader: TrainLoader) -> Iterator[Batch]:
        epochs.append(loader.epoch)
        return batches(loader)

    monkeypatch.setattr(TrainLoader, "__iter__", watched)
    train_member(make_config(epochs=2, freeze_epochs=2), parts, Runtime(tmp_path))
    assert epochs == [0, 1, 2, 3]


def test_a_finished_members_folder_holds_only_its_configuration_and_weights(
    parts: Parts, make_config: Make, tmp_path: Path
) -> None:
    """The leftovers of a process killed while writing are removed too."""
    (tmp_path / ".checkpoint-00001.safetensors.4711.partial").write_bytes(b"half")
    train_member(make_config(epochs=1), parts, Runtime(tmp_path))
    assert names(tmp_path) == ["member.json", "weights.safetensors"]


def test_weights_that_are_not_kept_leave_nothing(parts: Parts, make_config: Make, tmp_path: Path) -> None:
    train_member(make_config(epochs=1), parts, Runtime(tmp_path / "member", keep_weights=False))
    assert names(tmp_path / "member") == []


def test_a_loaded_member_predicts_the_same(parts: Parts, make_config: Make, tmp_path: Path) -> None:
    config = make_config(epochs=1, drop_path=0.1)
    result = train_member(config, parts, Runtime(tmp_path))
    saved = load_member(tmp_path)
    plan = plan_body(config.arch, config.size, config.drop_path)
    views = predict(
        saved.model,
        ImageReader(parts.test.paths, config.item_size, config.resize, 1),
        saved.config,
        device=Device("cpu", "fp32"),
        batch_size=64,
        stats=(plan.mean, plan.std),
        n_classes=len(saved.classes),
    )
    for view, probs in views.items():
        np.testing.assert_array_equal(probs, result.predictions.test[view])


def test_a_dataset_may_lack_test_images(parts: Parts, make_config: Make, tmp_path: Path) -> None:
    none = replace(parts, test=Part(np.empty(0, np.str_), (), np.empty(0, np.int64)))
    result = train_member(make_config(epochs=1, tta=0), none, Runtime(tmp_path))
    assert check(result.predictions) is None
    assert {view: probs.shape for view, probs in result.predictions.test.items()} == {"plain": (0, 10)}


@pytest.mark.parametrize("changes", [{"batch_size": 1}, {"batch_size": 8, "accum": 8}, {"subsample": 0.001}])
def test_single_images_pass_the_heads_batch_norm(
    parts: Parts, make_config: Make, tmp_path: Path, changes: dict[str, object]
) -> None:
    few = replace(parts, train=Part(parts.train.ids[:9], parts.train.paths[:9], parts.train.labels[:9]))
    config = make_config(epochs=1, arch="test_resnet", tta=0, **changes)
    assert check(train_member(config, few, Runtime(tmp_path)).predictions) is None


@pytest.mark.parametrize(
    "changes",
    [
        {"optimizer": "sgd", "precision": "bf16"},
        {"mixup": 0.4, "cutmix": 1.0, "label_smoothing": 0.1, "flip": "dihedral"},
        {"arch": "tiny_swin", "size": (32, 64), "resize_size": (40, 64), "resize": "crop"},
        {"arch": "test_convnext", "resize": "pad", "weight_decay": 0},
    ],
    ids=["sgd in bf16", "mixed", "wide crops", "padded, without decay"],
)
def test_members_of_every_kind_train(
    parts: Parts, make_config: Make, tmp_path: Path, changes: dict[str, object]
) -> None:
    result = train_member(make_config(epochs=1, **changes), parts, Runtime(tmp_path))
    assert check(result.predictions) is None
    assert np.isfinite(result.history[-1]["train_loss"])


def test_a_loss_that_is_not_finite_ends_the_member_as_diverged(
    parts: Parts, make_config: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loss = MemberLearner._loss
    monkeypatch.setattr(MemberLearner, "_loss", lambda *args: loss(*args) * float("nan"))
    with pytest.raises(DivergedError, match=r"^the training loss is not finite in 3 of 3 steps of epoch 1$"):
        train_member(make_config(), parts, Runtime(tmp_path))


def test_predictions_that_are_not_finite_end_the_member_as_diverged(
    parts: Parts, make_config: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = {"plain": np.full((30, 10), np.nan, np.float32)}
    monkeypatch.setattr("tune_paddy.training.attempt.predict", lambda *args, **kwargs: broken)
    with pytest.raises(DivergedError, match=r"^test_vit predicts values that are not finite numbers$"):
        train_member(make_config(), parts, Runtime(tmp_path))


def test_an_error_of_the_report_propagates_unchanged(parts: Parts, make_config: Make, tmp_path: Path) -> None:
    """By default fastai rewrites the message of an error raised in a callback, over two lines."""

    def report(epoch: EpochReport) -> None:
        raise InputError(f"the record is gone in epoch {epoch.epoch}")

    with pytest.raises(InputError, match=r"^the record is gone in epoch 1$"):
        train_member(make_config(), parts, Runtime(tmp_path), report=report)


def test_a_broken_image_is_named(parts: Parts, make_config: Make, tmp_path: Path) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(Path(parts.train.paths[0]).read_bytes()[:50])
    train = Part(parts.train.ids, (str(broken), *parts.train.paths[1:]), parts.train.labels)
    with pytest.raises(InputError, match=r"broken\.png"):
        train_member(make_config(subsample=1), replace(parts, train=train), Runtime(tmp_path / "member"))


def test_small_micro_batches_are_noted_if_the_body_has_batch_norm(
    parts: Parts, make_config: Make, tmp_path: Path
) -> None:
    config = make_config(epochs=1, freeze_epochs=0, batch_size=16, accum=4, tta=0)
    runtime = Runtime(tmp_path, keep_weights=False)
    (note,) = train_member(config.model_copy(update={"arch": "test_resnet"}), parts, runtime).notes
    assert note == "batch norm sees 4 images at a time, since accum is 4: its statistics are noisy"
    assert train_member(config, parts, runtime).notes == ()
