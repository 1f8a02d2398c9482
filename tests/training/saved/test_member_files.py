import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from tune_paddy.core.config import MemberConfig
from tune_paddy.core.errors import InputError
from tune_paddy.training.networks.model import build_model, lay_out
from tune_paddy.training.saved.member_files import load_member, save_member

CLASSES = ("blast", "hispa", "normal")


def build(config: MemberConfig, seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return build_model(config.arch, len(CLASSES), size=config.size, drop_path=config.drop_path)


@pytest.fixture
def saved(tmp_path: Path, make_config: Callable[..., MemberConfig]) -> Path:
    config = make_config()
    save_member(tmp_path, build(config), config, CLASSES)
    return tmp_path


@pytest.mark.parametrize(
    ("arch", "changes"),
    [
        ("test_vit", {"size": (32, 64)}),
        ("test_resnet", {}),
        ("tiny_swinv2", {"drop_path": 0.1}),
        ("coat_tiny", {}),
        ("convnext_atto_ols", {}),
    ],
)
def test_a_loaded_member_predicts_as_before(
    arch: str, changes: dict[str, object], tmp_path: Path, make_config: Callable[..., MemberConfig]
) -> None:
    """Bit by bit, also if a model registers one tensor under several names, as CoaT does."""
    config = make_config(arch=arch, **changes)
    model = lay_out(build(config), "cpu").eval()  # as a member trains
    save_member(tmp_path, model, config, CLASSES)
    member = load_member(tmp_path)
    images = torch.rand(2, 3, *config.size)
    with torch.no_grad():
        assert torch.equal(member.model(images), model(images))
    assert member.config == config
    assert member.classes == CLASSES
    assert not any(module.training for module in member.model.modules())


def test_the_range_of_deep_images_is_kept_and_missing_in_older_files(
    saved: Path, tmp_path: Path, make_config: Callable[..., MemberConfig]
) -> None:
    config, deep = make_config(), tmp_path / "deep"
    deep.mkdir()
    save_member(deep, build(config), config, CLASSES, pixel_range=(-1024.0, 3071.0))
    assert load_member(deep).pixel_range == (-1024.0, 3071.0)
    facts = json.loads((saved / "member.json").read_text())
    del facts["pixel_range"]
    (saved / "member.json").write_text(json.dumps(facts))
    assert load_member(saved).pixel_range is None


def test_a_saved_member_is_two_readable_files(saved: Path) -> None:
    assert sorted(path.name for path in saved.iterdir()) == ["member.json", "weights.safetensors"]
    facts = json.loads((saved / "member.json").read_text())
    assert facts["format"] == 1
    assert facts["classes"] == list(CLASSES)
    assert facts["config"]["arch"] == "test_vit"


def test_a_pretrained_member_is_loaded_without_its_pretrained_weights(
    tmp_path: Path, make_config: Callable[..., MemberConfig]
) -> None:
    config = make_config(pretrained="/no/such/folder")
    save_member(tmp_path, build(config), config, CLASSES)
    assert load_member(tmp_path).config.pretrained == "/no/such/folder"


def drop_config(folder: Path) -> None:
    (folder / "member.json").unlink()


def drop_weights(folder: Path) -> None:
    (folder / "weights.safetensors").unlink()


def cut_weights(folder: Path) -> None:
    path = folder / "weights.safetensors"
    path.write_bytes(path.read_bytes()[:-1])


def swell_weights(folder: Path) -> None:
    """More than any machine maps, in a file that takes no space on the disk."""
    with (folder / "weights.safetensors").open("r+b") as file:
        file.truncate(2**46 // 8)


def cut_config(folder: Path) -> None:
    path = folder / "member.json"
    path.write_text(path.read_text()[:-9])


def change(key: str, value: object) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        path = folder / "member.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), key: value}))

    return edit


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (drop_config, "holds no readable member"),
        (drop_weights, "holds no readable member"),
        (cut_weights, "holds no readable member"),
        (swell_weights, "holds no readable member"),
        (cut_config, "holds no readable member"),
        (change("format", 2), "holds no readable member"),
        (change("surprise", 1), "holds no readable member"),
        (change("config", {"arch": "test_vit", "lr": -1}), "holds no readable member"),
        (change("classes", ["one", "two"]), "does not match test_vit"),
        (change("config", {"arch": "test_resnet", "size": 32}), "does not match test_resnet"),
        (change("config", {"arch": "no_such_model"}), "timm has no model"),
    ],
)
def test_a_folder_that_holds_no_whole_member_is_named(
    saved: Path, damage: Callable[[Path], None], message: str
) -> None:
    damage(saved)
    with pytest.raises(InputError, match=message) as caught:
        load_member(saved)
    assert "\n" not in str(caught.value)


def only_arch(folder: Path) -> None:
    change("config", {"arch": "vit_gigantic_patch14_224", "size": 224})(folder)


def many_classes(folder: Path) -> None:
    change("classes", [str(number) for number in range(2_000_000)])(folder)


@pytest.mark.parametrize("hostile", [only_arch, many_classes])
def test_a_configuration_does_not_decide_how_much_memory_is_taken(
    saved: Path, hostile: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first would take 7.7 GB, and the second 4.9 GB; neither is built with values."""
    hostile(saved)
    monkeypatch.setattr("tune_paddy.training.saved.member_files.load_file", None)
    with pytest.raises(InputError, match=r"does not match .*: .* has shape .* in the file"):
        load_member(saved)
