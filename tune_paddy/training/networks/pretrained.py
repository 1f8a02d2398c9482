"""Pretrained weights: from a local folder or file, or from timm's hub cache; and how to fetch them."""

from collections.abc import Callable, Iterable
from pathlib import Path

import timm
from huggingface_hub import constants
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from tune_paddy.core.errors import InputError, TunePaddyError
from tune_paddy.training.networks.architectures import current_name
from tune_paddy.training.networks.hub import is_cached, is_reachable


def weights_file_name(arch: str) -> str:
    """Name of the file that holds an architecture's weights in a weights folder."""
    return f"{current_name(arch)}.safetensors"


def pretrained_file(arch: str, pretrained: bool | str, weights_dir: Path | None) -> Path | None:
    """Find the local file of weights that `pretrained` means, or None for timm's own cache.

    Args:
        arch: timm model name.
        pretrained: True, or the path of a file, or of a folder with `ARCH.safetensors`.
        weights_dir: Folder looked at first when `pretrained` is True; a missing file is no error.

    Raises:
        InputError: `pretrained` is a path, and there is no such file.
    """
    if pretrained is True:
        candidate = weights_dir / weights_file_name(arch) if weights_dir else None
        return candidate if candidate is not None and candidate.is_file() else None
    path = Path(str(pretrained)).expanduser()
    file = path / weights_file_name(arch) if path.is_dir() else path
    if not file.is_file():
        raise InputError(
            f"pretrained: there is no file {file}; `tune-paddy weights fetch SPACE --to FOLDER` saves it"
        )
    if file.suffix != ".safetensors":
        raise InputError(f"pretrained: {file} is not a .safetensors file; other formats may run code")
    return file


def check_weights(needed: Iterable[tuple[str, bool | str]], weights_dir: Path | None) -> None:
    """Find out before a search whether its trials will have their pretrained weights.

    Args:
        needed: Architectures, each with what a member's `pretrained` says.
        weights_dir: Folder looked at first when `pretrained` is True.

    Raises:
        InputError: The folder or a file is not there, or weights are neither here nor to be downloaded.
    """
    if weights_dir is not None and not weights_dir.is_dir():
        raise InputError(
            f"there is no folder {weights_dir}; `tune-paddy weights fetch SPACE --to {weights_dir}` makes it"
        )
    missing = out_of_reach(needed, weights_dir)
    if missing:
        raise missing_weights(", ".join(missing), OSError(f"{constants.ENDPOINT} does not answer"))


def out_of_reach(needed: Iterable[tuple[str, bool | str]], weights_dir: Path | None) -> list[str]:
    """Architectures whose weights are neither here nor to be downloaded; see `check_weights`.

    Raises:
        InputError: A `pretrained` is a path, and there is no such file.
    """
    missing = [
        arch
        for arch, pretrained in dict.fromkeys(needed)
        if pretrained is not False
        and pretrained_file(arch, pretrained, weights_dir) is None
        and not is_cached(arch)
    ]
    return missing if missing and not is_reachable() else []


def missing_weights(arch: str, error: Exception) -> InputError:
    """The error that a person sees when an architecture's weights are not at hand."""
    reason = (str(error) or type(error).__name__).splitlines()[0][:160]
    return InputError(
        f"the pretrained weights of {arch} are not on this machine and could not be downloaded ({reason}); "
        f"where there is a network, run `tune-paddy weights fetch SPACE --to weights`, then search "
        f"with `weights_dir='weights'`, or set `pretrained: false`",
        options=("weights_dir",),
    )


def misfit(arch: str, path: Path, error: Exception) -> InputError:
    """The error that a person sees when a local file cannot be loaded into an architecture."""
    reason = (str(error) or type(error).__name__).splitlines()[0][:160]
    return InputError(f"pretrained: {path} does not hold weights of {arch}: {reason}")


def check_loaded(model: nn.Module, arch: str, path: Path) -> None:
    """Refuse a file of which little arrived in the model; timm keeps random values where names differ.

    Values are compared, since timm renames weights of older formats; some may be split or resampled.

    Raises:
        InputError: Fewer than half of the model's matrices are in the file.
    """
    with safe_open(path, framework="pt") as file:
        stored = {_signature(file.get_tensor(key)) for key in file.keys()}  # noqa: SIM118 not a dict
    matrices = [parameter for parameter in model.parameters() if parameter.ndim > 1]
    found = sum(_signature(matrix.detach()) in stored for matrix in matrices)
    if 2 * found < len(matrices):
        raise InputError(
            f"pretrained: {path} does not hold weights of {arch}: "
            f"{found} of its {len(matrices)} matrices are in the file"
        )


def _signature(tensor: Tensor) -> tuple[int, float, float]:
    values = tensor.reshape(-1)
    return (len(values), float(values[0]), float(values[-1])) if len(values) else (0, 0.0, 0.0)


def check_reach(archs: Iterable[str], folder: Path) -> None:
    """Find out, before large models are built, whether their weights can be fetched.

    Raises:
        TunePaddyError: Some are neither in the folder nor in the cache, and the hub does not answer.
    """
    missing = out_of_reach([(arch, True) for arch in archs], folder)
    if missing:
        raise TunePaddyError(
            f"{constants.ENDPOINT} does not answer, and {len(missing)} of the weights are neither in "
            f"{folder} nor in its cache ({', '.join(missing)}); run this where there is a network, "
            f"then copy {folder}"
        )


def fetch_weights(
    archs: Iterable[str],
    folder: Path,
    *,
    done: Callable[[str, Path], None] = lambda arch, path: None,
    create: Callable[..., nn.Module] = timm.create_model,
) -> list[Path]:
    """Save the pretrained weights of `archs` as safetensors in `folder`, for machines without a network.

    Files that are there already are kept, so an interrupted fetch goes on where it stopped.
    Without a network each architecture takes minutes to fail: call `check_reach` first.

    Args:
        archs: timm model names.
        folder: Made when missing.
        done: Called with each architecture and its file, also for files that were there.
        create: timm's factory; it downloads through the hub's cache.

    Raises:
        TunePaddyError: One or more architectures could not be fetched; the others are saved.
    """
    folder.mkdir(parents=True, exist_ok=True)
    failures: list[str] = []
    saved: list[Path] = []
    for arch in dict.fromkeys(archs):
        path = folder / weights_file_name(arch)
        try:
            if not path.is_file():
                _save(create(current_name(arch), pretrained=True), path)
        except Exception as error:
            failures.append(f"{arch}: {(str(error) or type(error).__name__).splitlines()[0][:160]}")
            continue
        saved.append(path)
        done(arch, path)
    if failures:
        raise TunePaddyError(f"{len(failures)} of the weights could not be fetched: " + "; ".join(failures))
    return saved


def _save(model: nn.Module, path: Path) -> None:
    tensors = {name: tensor.contiguous().clone() for name, tensor in model.state_dict().items()}
    partial = path.with_suffix(".partial")
    save_file(tensors, partial)
    partial.replace(path)
