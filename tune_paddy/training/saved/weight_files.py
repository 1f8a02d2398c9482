"""The files of a trained member, by their names: whoever only looks for them needs no torch."""

from pathlib import Path

WEIGHTS, CONFIG = "weights.safetensors", "member.json"


def missing_files(folder: Path) -> list[Path]:
    """What a saved model's folder lacks."""
    return [folder / name for name in (CONFIG, WEIGHTS) if not (folder / name).is_file()]


def weights_bytes(folder: Path) -> int:
    """Size of a member's weights, those of all its folds; 0 where there are none."""
    return sum(file.stat().st_size for file in _all(folder, WEIGHTS))


def remove_weights(folder: Path) -> int:
    """Remove a member's weights, those of all its folds; return how many bytes they were.

    The configuration goes first: a folder that has one is whole.
    """
    size = weights_bytes(folder)
    for name in (CONFIG, WEIGHTS):
        for file in _all(folder, name):
            file.unlink(missing_ok=True)
    return size


def _all(folder: Path, name: str) -> list[Path]:
    return [file for file in (folder / name, *folder.glob(f"fold-*/{name}")) if file.is_file()]
