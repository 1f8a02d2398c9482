"""Names of a trained member's files; finding and removing them needs no torch."""

from pathlib import Path

WEIGHTS, AVERAGE, CONFIG = "weights.safetensors", "ema.safetensors", "member.json"


def missing_files(folder: Path, *, average: bool = False) -> list[Path]:
    """Return the files that a saved model's folder lacks.

    Args:
        folder: Folder of the model.
        average: Whether its averaged weights are needed.
    """
    return [folder / name for name in _names(average=average) if not (folder / name).is_file()]


def present_files(folder: Path, *, average: bool) -> list[str]:
    """Return the names of a saved model's files that exist.

    Args:
        folder: Folder of the model.
        average: Whether its averaged weights count, which only a model with `ema` has.
    """
    return [name for name in _names(average=average) if (folder / name).is_file()]


def weights_bytes(folder: Path) -> int:
    """Return the size of a member's weights files, including its folds', in bytes; 0 if there are none."""
    return sum(file.stat().st_size for name in (WEIGHTS, AVERAGE) for file in _all(folder, name))


def remove_weights(folder: Path) -> int:
    """Remove a member's weights files, including its folds'; return their size in bytes.

    The configuration is removed first, so a folder that has one is complete.
    """
    size = weights_bytes(folder)
    for name in (CONFIG, WEIGHTS, AVERAGE):
        for file in _all(folder, name):
            file.unlink(missing_ok=True)
    return size


def _names(*, average: bool) -> tuple[str, ...]:
    return (CONFIG, WEIGHTS, AVERAGE) if average else (CONFIG, WEIGHTS)


def _all(folder: Path, name: str) -> list[Path]:
    return [file for file in (folder / name, *folder.glob(f"fold-*/{name}")) if file.is_file()]
