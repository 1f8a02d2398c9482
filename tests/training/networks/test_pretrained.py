import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from huggingface_hub import constants
from safetensors.torch import load_file, save_file
from torch import nn

from tune_paddy.core.errors import InputError, TunePaddyError
from tune_paddy.training.networks.hub import failing_fast, is_cached, is_reachable
from tune_paddy.training.networks.model import build_model
from tune_paddy.training.networks.pretrained import (
    check_reach,
    check_weights,
    fetch_weights,
    pretrained_file,
    weights_file_name,
)

SIZE = (64, 64)


def save_random(arch: str, folder: Path) -> Path:
    """Save random parameters of a whole timm model, including its classifier."""
    path = folder / f"{arch}.safetensors"
    save_file({name: tensor.clone() for name, tensor in timm.create_model(arch).state_dict().items()}, path)
    return path


def assert_loaded(model: nn.Sequential, path: Path) -> None:
    stored = load_file(path)
    for name, tensor in model[0].model.state_dict().items():
        assert torch.equal(tensor, stored[name]), name


@pytest.mark.parametrize("arch", ["test_vit", "test_resnet", "test_convnext", "tiny_swin"])
def test_weights_load_into_the_body_from_a_file_and_from_its_folder(arch: str, tmp_path: Path) -> None:
    path = save_random(arch, tmp_path)
    size = tuple(timm.create_model(arch).pretrained_cfg["input_size"][1:])
    for pretrained in (str(path), str(tmp_path)):
        assert_loaded(build_model(arch, 3, size=size, pretrained=pretrained), path)


def test_the_weights_folder_precedes_timms_cache(tmp_path: Path) -> None:
    path = save_random("test_resnet", tmp_path)
    model = build_model("test_resnet", 3, size=SIZE, pretrained=True, weights_dir=tmp_path)
    assert_loaded(model, path)


def test_position_embeddings_are_resampled_for_another_size(tmp_path: Path) -> None:
    """10 x 10 positions become 4 x 6 with about the old mean; the rest is as stored."""
    path = save_random("test_vit", tmp_path)
    stored = load_file(path)
    stored["pos_embed"] = stored["pos_embed"] + torch.linspace(-1, 1, stored["pos_embed"].shape[-1])
    save_file(stored, path)
    model = build_model("test_vit", 3, size=(64, 96), pretrained=str(path))[0].model
    assert stored["pos_embed"].shape[1] == 1 + 10 * 10
    assert model.pos_embed.shape[1] == 1 + 4 * 6
    torch.testing.assert_close(model.pos_embed.mean(1), stored["pos_embed"].mean(1), atol=0.05, rtol=0)
    assert torch.equal(model.blocks[0].attn.qkv.weight, stored["blocks.0.attn.qkv.weight"])


def test_weights_whose_download_has_another_format_load_from_safetensors(tmp_path: Path) -> None:
    """Some vision transformers' own downloads are .npz files; local files never are."""
    arch = "vit_tiny_patch16_224.augreg_in21k"
    assert timm.get_pretrained_cfg(arch).custom_load
    path = save_random(arch, tmp_path)
    assert_loaded(build_model(arch, 3, size=(224, 224), pretrained=str(tmp_path)), path)


@pytest.mark.parametrize(("arch", "other"), [("test_vit", "test_resnet"), ("test_resnet", "test_convnext")])
def test_weights_of_another_architecture_are_refused(arch: str, other: str, tmp_path: Path) -> None:
    """By default timm silently keeps random values for every name that the file lacks."""
    path = save_random(other, tmp_path)
    with pytest.raises(InputError, match=f"{other}.safetensors does not hold pretrained weights of {arch}"):
        build_model(arch, 3, size=SIZE, pretrained=str(path))


def test_half_precision_weights_are_accepted(tmp_path: Path) -> None:
    path = save_random("test_resnet", tmp_path)
    save_file({n: t.half() if t.is_floating_point() else t for n, t in load_file(path).items()}, path)
    model = build_model("test_resnet", 3, size=SIZE, pretrained=str(path))[0].model
    assert torch.equal(model.layer1[0].conv1.weight, load_file(path)["layer1.0.conv1.weight"].float())


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    path = save_random("test_resnet", tmp_path)
    path.write_bytes(path.read_bytes()[:1000])
    message = r"pretrained: .*test_resnet\.safetensors does not hold pretrained weights"
    with pytest.raises(InputError, match=message):
        build_model("test_resnet", 3, size=SIZE, pretrained=str(path))


def test_a_missing_file_or_folder_is_named_with_the_command_that_downloads_it(tmp_path: Path) -> None:
    for pretrained in (tmp_path, tmp_path / "weights.safetensors"):
        with pytest.raises(InputError, match=r"no file .*\.safetensors; `tune-paddy weights fetch"):
            build_model("test_resnet", 3, size=SIZE, pretrained=str(pretrained))


def test_formats_that_can_execute_code_are_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "pytorch_model.bin"
    path.write_bytes(b"\x80\x04cos\nsystem\n")
    with pytest.raises(InputError, match=r"is not a \.safetensors file; other formats can execute code"):
        build_model("test_resnet", 3, size=SIZE, pretrained=str(path))


def test_offline_without_weights_says_how_to_fetch_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    with pytest.raises(InputError) as caught:
        build_model("test_resnet", 3, size=SIZE, pretrained=True, weights_dir=tmp_path)
    message = str(caught.value)
    assert message.startswith("the pretrained weights of test_resnet are not on this machine")
    assert "tune-paddy weights fetch SPACE" in message
    assert "pretrained: false" in message
    assert "\n" not in message


def test_a_file_is_named_after_the_current_name_of_its_architecture() -> None:
    assert weights_file_name("convnext_large_in22k") == "convnext_large.fb_in22k.safetensors"


def test_without_a_folder_pretrained_means_timms_cache(tmp_path: Path) -> None:
    assert pretrained_file("test_resnet", True, None) is None
    assert pretrained_file("test_resnet", True, tmp_path) is None


class Hub:
    """Stands for timm's factory with a network: returns random parameters and records requests."""

    def __init__(self, broken: str = "") -> None:
        self.asked: list[str] = []
        self.broken = broken

    def __call__(self, arch: str, pretrained: bool) -> Any:
        assert pretrained
        self.asked.append(arch)
        if arch.startswith(self.broken or "\n"):
            raise ConnectionError("no route to host\nmore")
        return timm.create_model(arch)


def test_fetched_weights_load_into_a_network(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "weights"
    done: list[tuple[str, str]] = []
    archs = ["test_resnet", "test_vit.r160_in1k", "test_resnet"]
    saved = fetch_weights(archs, folder, done=lambda arch, path: done.append((arch, path.name)), create=Hub())
    assert [path.name for path in saved] == ["test_resnet.safetensors", "test_vit.r160_in1k.safetensors"]
    assert done == list(zip(archs[:2], [path.name for path in saved], strict=True))
    assert_loaded(build_model("test_resnet", 3, size=SIZE, pretrained=str(folder)), saved[0])
    assert_loaded(build_model("test_vit.r160_in1k", 3, size=(160, 160), pretrained=str(folder)), saved[1])


def test_an_interrupted_fetch_resumes(tmp_path: Path) -> None:
    fetch_weights(["test_resnet"], tmp_path, create=Hub())
    hub = Hub()
    assert len(fetch_weights(["test_resnet", "test_convnext"], tmp_path, create=hub)) == 2
    assert hub.asked == ["test_convnext"]


def test_one_failure_is_reported_after_the_others_are_saved(tmp_path: Path) -> None:
    message = r"1 of the pretrained weights could not be fetched: test_vit: no route to host$"
    with pytest.raises(TunePaddyError, match=message):
        fetch_weights(["test_vit", "test_resnet"], tmp_path, create=Hub(broken="test_vit"))
    assert [path.name for path in tmp_path.iterdir()] == ["test_resnet.safetensors"]


def test_tied_weights_are_fetched_too(tmp_path: Path) -> None:
    """CoaT registers a convolution under several names."""
    (path,) = fetch_weights(["coat_tiny"], tmp_path, create=Hub())
    assert_loaded(build_model("coat_tiny", 3, size=(224, 224), pretrained=str(path)), path)


@pytest.fixture
def no_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hub address without a server, and an empty cache."""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", f"http://127.0.0.1:{port}")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))


@pytest.mark.usefixtures("no_hub")
def test_without_a_hub_its_client_fails_at_once_and_is_restored_afterwards() -> None:
    with failing_fast():
        assert constants.HF_HUB_OFFLINE
        with pytest.raises(Exception, match="connection"):
            timm.create_model("test_resnet", pretrained=True)
    assert not constants.HF_HUB_OFFLINE


def test_any_response_means_that_the_hub_is_reachable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    with ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as hub:  # 501 to everything
        threading.Thread(target=hub.serve_forever, daemon=True).start()
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", f"http://127.0.0.1:{hub.server_port}")
        assert is_reachable()
        with failing_fast():
            assert not constants.HF_HUB_OFFLINE
        check_weights([("test_vit", True)], None)
        hub.shutdown()


@pytest.mark.usefixtures("no_hub")
def test_unavailable_weights_are_reported_before_the_search(tmp_path: Path) -> None:
    save_random("test_resnet", tmp_path)
    check_weights([("test_resnet", True), ("test_vit", False)], tmp_path)
    check_weights([("test_resnet", str(tmp_path))], None)
    with pytest.raises(InputError, match=r"weights of test_vit, test_convnext are not on this machine"):
        check_weights([("test_resnet", True), ("test_vit", True), ("test_convnext", True)], tmp_path)
    with pytest.raises(TunePaddyError, match=r"does not respond, and 1 of the pretrained .*\(test_vit\)"):
        check_reach(["test_resnet", "test_vit"], tmp_path)
    with pytest.raises(InputError, match=r"no file .*test_vit\.safetensors; `tune-paddy weights fetch"):
        check_weights([("test_vit", str(tmp_path))], None)
    with pytest.raises(InputError, match=r"no folder .*none: `tune-paddy weights fetch SPACE --to .*none`"):
        check_weights([("test_vit", False)], tmp_path / "none")


@pytest.mark.usefixtures("no_hub")
def test_cached_weights_count_as_available(tmp_path: Path) -> None:
    config = timm.get_pretrained_cfg("test_vit")
    assert config
    folder = tmp_path / "cache" / f"models--{config.hf_hub_id.replace('/', '--')}"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs/main").write_text("0" * 40)
    assert not is_cached("test_vit")
    (folder / "snapshots" / ("0" * 40)).mkdir(parents=True)
    (folder / "snapshots" / ("0" * 40) / "model.safetensors").write_bytes(b"")
    assert is_cached("test_vit")
    check_weights([("test_vit", True)], None)
