import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from tune_paddy.training.devices import Device
from tune_paddy.training.saved.checkpoint import (
    Checkpoint,
    load_latest,
    save_checkpoint,
    write_safetensors,
)
from tune_paddy.training.saved.checkpoint_files import remove_checkpoints

HISTORY = [{"log_loss": 1.2345678901234567, "lr": 3e-4}, {"log_loss": 0.1 + 0.2, "lr": 1e-9}]


def trained(seed: int = 0) -> tuple[nn.Module, torch.optim.Optimizer]:
    """A network with batch norm and a frozen layer, and its optimizer, after one step."""
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))
    model[0].requires_grad_(False)
    optimizer = torch.optim.AdamW(model.parameters(), fused=True)
    model(torch.randn(8, 3)).square().sum().backward()
    optimizer.step()
    return model, optimizer


def save(folder: Path, epoch: int, seed: int = 0, precision: str = "fp16") -> Path:
    model, optimizer = trained(seed)
    scaler = Device("cpu", precision).grad_scaler()
    return save_checkpoint(
        folder, epoch=epoch, model=model, optimizer=optimizer, scaler=scaler, history=HISTORY
    )


def latest(folder: Path) -> Checkpoint:
    checkpoint = load_latest(folder)
    assert checkpoint is not None
    return checkpoint


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_checkpoint_round_trips_bit_by_bit(tmp_path: Path) -> None:
    save(tmp_path, epoch=7)
    model, optimizer = trained()
    checkpoint = latest(tmp_path)
    assert checkpoint.epoch == 7
    assert checkpoint.history == HISTORY
    assert checkpoint.scaler == Device("cpu", "fp16").grad_scaler().state_dict()
    for name, tensor in model.state_dict().items():
        assert torch.equal(checkpoint.model[name], tensor)
    _, fresh = trained(seed=1)
    checkpoint.restore_optimizer(fresh)
    assert fresh.state_dict()["state"].keys() == optimizer.state_dict()["state"].keys()
    for number, values in optimizer.state_dict()["state"].items():
        for name, value in values.items():
            assert torch.equal(fresh.state_dict()["state"][number][name], value)


def test_restoring_moments_keeps_learning_rates(tmp_path: Path) -> None:
    save(tmp_path, epoch=1)
    _, optimizer = trained()
    optimizer.param_groups[0]["lr"] = 0.123
    latest(tmp_path).restore_optimizer(optimizer)
    assert optimizer.param_groups[0]["lr"] == 0.123


def test_tensors_that_share_memory_are_stored_separately(tmp_path: Path) -> None:
    """Tied parameters, and views of other tensors."""
    model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    model[1].weight = model[0].weight
    model.register_buffer("turned", torch.rand(4, 2).t())
    optimizer = torch.optim.AdamW(model.parameters())
    scaler = Device("cpu", "fp32").grad_scaler()
    save_checkpoint(tmp_path, epoch=1, model=model, optimizer=optimizer, scaler=scaler, history=[])
    loaded = latest(tmp_path).model
    for name, tensor in model.state_dict().items():
        assert torch.equal(loaded[name], tensor)


def test_the_last_two_checkpoints_are_kept(tmp_path: Path) -> None:
    for epoch in (1, 2, 9, 10):
        save(tmp_path, epoch)
    assert names(tmp_path) == ["checkpoint-00009.safetensors", "checkpoint-00010.safetensors"]


def test_a_folder_without_checkpoints_has_none(tmp_path: Path) -> None:
    assert load_latest(tmp_path) is None


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-5])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def overwrite(path: Path) -> None:
    path.write_bytes(b"\0" * path.stat().st_size)


def without_facts(path: Path) -> None:
    save_file({"model/x": torch.zeros(1)}, path)


def with_other_facts(path: Path) -> None:
    save_file({"model/x": torch.zeros(1)}, path, metadata={"meta": json.dumps({"epoch": 3})})


def not_json(path: Path) -> None:
    save_file({"model/x": torch.zeros(1)}, path, metadata={"meta": "{"})


@pytest.mark.parametrize("damage", [cut, empty, overwrite, without_facts, with_other_facts, not_json])
def test_a_damaged_newest_checkpoint_falls_back_to_the_previous_one(tmp_path: Path, damage: object) -> None:
    save(tmp_path, epoch=1, seed=1)
    newest = save(tmp_path, epoch=2, seed=2)
    assert callable(damage)
    damage(newest)
    checkpoint = latest(tmp_path)
    assert checkpoint.epoch == 1
    assert torch.equal(checkpoint.model["2.weight"], trained(seed=1)[0].state_dict()["2.weight"])


def test_a_finished_member_keeps_only_its_weights_file(tmp_path: Path) -> None:
    """Checkpoints, and the partial one of a killed process, are removed."""
    for epoch in (1, 2):
        save(tmp_path, epoch)
    (tmp_path / ".checkpoint-00003.safetensors.4711.partial").write_bytes(b"half")
    (tmp_path / "weights.safetensors").write_bytes(b"whole")
    remove_checkpoints(tmp_path)
    assert names(tmp_path) == ["weights.safetensors"]


def test_a_failed_write_leaves_only_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "weights.safetensors"
    write_safetensors(path, {"a": torch.ones(2)}, {})
    before = path.read_bytes()

    def full_disk(_tensors: object, partial: Path, **_options: object) -> None:
        partial.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tune_paddy.training.saved.checkpoint.save_file", full_disk)
    with pytest.raises(OSError, match="No space left"):
        write_safetensors(path, {"a": torch.zeros(2)}, {})
    assert path.read_bytes() == before
    assert names(tmp_path) == ["weights.safetensors"]
