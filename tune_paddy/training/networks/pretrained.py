"""Pretrained weights: find them in a local folder, a file or timm's hub cache; fetch them from the hub."""

import shlex
from collections.abc import Callable, Iterable
from pathlib import Path

import timm
from huggingface_hub import constants
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from tune_paddy.core.errors import InputError, TunePaddyError
from tune_paddy.data.system.progress.stages import SILENT, Progress
from tune_paddy.training.networks.architectures import resolve_arch
from tune_paddy.training.networks.hub import is_cached, is_reachable


def weights_file_name(arch: str) -> str:
    """Return the name of an architecture's pretrained weights file."""
    return f"{resolve_arch(arch)}.safetensors"


def pretrained_file(arch: str, pretrained: bool | str, weights_dir: Path | None) -> Path | None:
    """Return the local pretrained weights file, or None for timm's own cache.

    Args:
        arch: timm model name.
        pretrained: True, or the path of a file, or of a folder with `ARCH.safetensors`.
        weights_dir: Folder searched if `pretrained` is True; it may lack the file.

    Raises:
        InputError: `pretrained` is a path without such a file, or not of a .safetensors file.
    """
    if pretrained is True:
        candidate = weights_dir / weights_file_name(arch) if weights_dir else None
        return candidate if candidate is not None and candidate.is_file() else None
    path = Path(str(pretrained)).expanduser()
    file = path / weights_file_name(arch) if path.is_dir() else path
    if not file.is_file():
        raise InputError(
            f"pretrained: there is no file {file}; `tune-paddy weights fetch SPACE --to FOLDER` downloads it"
        )
    if file.suffix != ".safetensors":
        raise InputError(f"pretrained: {file} is not a .safetensors file; other formats can execute code")
    return file


def check_weights(needed: Iterable[tuple[str, bool | str]], weights_dir: Path | None) -> None:
    """Check before a search that its trials can load their pretrained weights.

    Args:
        needed: Pairs (architecture, `pretrained` of the member).
        weights_dir: Folder searched first if `pretrained` is True.

    Raises:
        InputError: The folder or a file is missing, or some weights are neither local nor downloadable.
    """
    if weights_dir is not None and not weights_dir.is_dir():
        raise InputError(
            f"there is no folder {weights_dir}: "
            f"`tune-paddy weights fetch SPACE --to {shlex.quote(str(weights_dir))}` makes it"
        )
    missing = out_of_reach(needed, weights_dir)
    if missing:
        raise missing_weights(", ".join(missing), OSError(f"{constants.ENDPOINT} does not respond"))


def out_of_reach(needed: Iterable[tuple[str, bool | str]], weights_dir: Path | None) -> list[str]:
    """Return the architectures with pretrained weights neither local nor downloadable, see `check_weights`.

    Raises:
        InputError: A `pretrained` is a path without such a file.
    """
    missing = [
        arch
        for arch, pretrained in dict.fromkeys(needed)
        if pretrained is not False
        and pretrained_file(arch, pretrained, weights_dir) is None
        and not is_cached(arch)
    ]
    return missing if missing and not is_reachable() else []


def weights_at_hand(archs: Iterable[str], weights_dir: Path | None) -> tuple[frozenset[str], bool]:
    """Return the architectures whose pretrained weights are here, and whether others can be fetched.

    Args:
        archs: timm model names.
        weights_dir: Folder searched first; it may lack files.
    """
    wanted = list(dict.fromkeys(archs))
    here = {arch for arch in wanted if pretrained_file(arch, True, weights_dir) or is_cached(arch)}
    return frozenset(here), len(here) < len(wanted) and is_reachable()


def missing_weights(arch: str, error: Exception) -> InputError:
    """Return the error for pretrained weights that are neither local nor downloadable."""
    reason = (str(error) or type(error).__name__).splitlines()[0][:160]
    return InputError(
        f"the pretrained weights of {arch} are not on this machine and could not be downloaded ({reason}); "
        f"on a machine with a network, run `tune-paddy weights fetch SPACE --to weights`, then search "
        f"with `weights_dir='weights'`, or set `pretrained: false`",
        options=("weights_dir",),
    )


def misfit(arch: str, path: Path, error: Exception) -> InputError:
    """Return the error for a local file that cannot be loaded into an architecture."""
    reason = (str(error) or type(error).__name__).splitlines()[0][:160]
    return InputError(f"pretrained: {path} does not hold pretrained weights of {arch}: {reason}")


def check_loaded(model: nn.Module, arch: str, path: Path) -> None:
    """Refuse a file that filled few of the model's parameters; timm keeps random values where names differ.

    Values are compared, since timm renames parameters of older formats; some may be split or resampled.

    Raises:
        InputError: Fewer than half of the model's matrices are in the file.
    """
    with safe_open(path, framework="pt") as file:
        stored = {_signature(file.get_tensor(key)) for key in file.keys()}  # noqa: SIM118 not a dict
    matrices = [parameter for parameter in model.parameters() if parameter.ndim > 1]
    found = sum(_signature(matrix.detach()) in stored for matrix in matrices)
    if 2 * found < len(matrices):
        raise InputError(
            f"pretrained: {path} does not hold pretrained weights of {arch}: "
            f"{found} of its {len(matrices)} matrices are in the file"
        )


def _signature(tensor: Tensor) -> tuple[int, float, float]:
    values = tensor.reshape(-1)
    return (len(values), float(values[0]), float(values[-1])) if len(values) else (0, 0.0, 0.0)


def check_reach(archs: Iterable[str], folder: Path) -> None:
    """Check, before large models are built, that their pretrained weights can be fetched.

    Raises:
        TunePaddyError: Some are neither in the folder nor in the cache, and the hub does not respond.
    """
    missing = out_of_reach([(arch, True) for arch in archs], folder)
    if missing:
        raise TunePaddyError(
            f"{constants.ENDPOINT} does not respond, and {len(missing)} of the pretrained weights are "
            f"neither in {folder} nor in its cache ({', '.join(missing)}); run this on a machine with a "
            f"network, then copy {folder}"
        )


def fetch_weights(
    archs: Iterable[str],
    folder: Path,
    *,
    done: Callable[[str, Path], None] = lambda arch, path: None,
    progress: Progress = SILENT,
    create: Callable[..., nn.Module] = timm.create_model,
) -> list[Path]:
    """Save the pretrained weights of `archs` as safetensors in `folder`, for machines without a network.

    Existing files are skipped, so an interrupted fetch resumes. Without a network each architecture takes
    minutes to fail: call `check_reach` first.

    Args:
        archs: timm model names.
        folder: Folder for the files, created if missing.
        done: Callback with each architecture and its file, including skipped files.
        progress: Receiver of a stage for each file.
        create: timm's factory, which downloads through the hub's cache.

    Returns:
        Paths of the files, in the order of `archs`.

    Raises:
        TunePaddyError: One or more architectures could not be fetched; the others are saved.
    """
    folder.mkdir(parents=True, exist_ok=True)
    failures: list[str] = []
    saved: list[Path] = []
    wanted = list(dict.fromkeys(archs))
    for number, arch in enumerate(wanted, start=1):
        path = folder / weights_file_name(arch)
        progress.stage(f"fetching the weights of {arch}, {number} of {len(wanted)}")
        try:
            if not path.is_file():
                _save(create(resolve_arch(arch), pretrained=True), path)
        except Exception as error:
            failures.append(f"{arch}: {(str(error) or type(error).__name__).splitlines()[0][:160]}")
            continue
        saved.append(path)
        done(arch, path)
    if failures:
        raise TunePaddyError(
            f"{len(failures)} of the pretrained weights could not be fetched: " + "; ".join(failures)
        )
    return saved


def _save(model: nn.Module, path: Path) -> None:
    tensors = {name: tensor.contiguous().clone() for name, tensor in model.state_dict().items()}
    partial = path.with_suffix(".partial")
    save_file(tensors, partial)
    partial.replace(path)
