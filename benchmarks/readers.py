"""Does any reader of outside data take more than twice the time for twice the input?

    python benchmarks/readers.py

Doubles one kind of input three times for each reader, and prints the CPU seconds of the largest and the
growth of the last doublings: about 2 is linear, 4 is quadratic. Takes about two minutes.
"""

import itertools
import json
import struct
import tempfile
import time
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np

from tune_paddy.core.errors import InputError, TunePaddyError
from tune_paddy.data.duplicates import group_copies
from tune_paddy.data.ensemble_file import read_ensemble
from tune_paddy.data.kaggle.archive import unpack_zip
from tune_paddy.data.layouts.detect import list_dataset
from tune_paddy.data.options import DETECTED
from tune_paddy.data.submission.files import read_sample
from tune_paddy.data.tables.csv_table import read_table
from tune_paddy.serving.manifest import read_manifest
from tune_paddy.spaces.space import SearchSpace
from tune_paddy.tracking.predictions_file import read_predictions
from tune_paddy.training.saved.member_files import load_member

DOUBLINGS = 3


def rows_csv(path: Path, n: int) -> None:
    path.write_text("image_id,label\n" + "".join(f"{row}.jpg,c{row % 10}\n" for row in range(n)))


def wide_csv(path: Path, n: int) -> None:
    path.write_text("image_id," + ",".join(f"c{row}" for row in range(n)) + "\na" + ",1" * n + "\n")


def quoted_csv(path: Path, n: int) -> None:
    path.write_text('image_id,label\n"' + "\n" * n + '",a\n')


def space_yaml(path: Path, n: int) -> None:
    recipes = "".join(f"  - {{name: r{row}, arch: resnet18, size: x}}\n" for row in range(n))
    path.write_text(f"recipes:\n{recipes}")


def ensemble_json(path: Path, n: int) -> None:
    path.write_text(json.dumps({"format": 1, "classes": [f"c{row}" for row in range(n)], "views": [{}] * n}))


def manifest_folder(path: Path, n: int) -> None:
    path.mkdir()
    ensemble_json(path / "ensemble.json", n)


def npz(path: Path, n: int) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for row in range(n):
            archive.writestr(f"select_{row}.npy", b"")


def member_folder(path: Path, n: int) -> None:
    path.mkdir()
    config = {"arch": "test_resnet", "size": [32, 32], "epochs": 1, "batch_size": 8}
    member = {"format": 1, "config": config, "classes": ["a", "b"]}
    (path / "member.json").write_text(json.dumps(member))
    tensors = {
        f"t{row}": {"dtype": "F32", "shape": [1], "data_offsets": [4 * row, 4 * row + 4]} for row in range(n)
    }
    header = json.dumps(tensors).encode()
    (path / "weights.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + bytes(4 * n))


def zip_file(path: Path, n: int) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for row in range(n):
            archive.writestr(f"folder{row % 10}/{row}.jpg", b"")


def class_folders(path: Path, n: int) -> None:
    for row in range(n):
        (path / f"class{row}").mkdir(parents=True)
        (path / f"class{row}" / "1.png").touch()


def one_folder(path: Path, n: int) -> None:
    for label in ("a", "b"):
        (path / label).mkdir(parents=True)
        for row in range(n // 2):
            (path / label / f"{row}.png").touch()


def missing_images(path: Path, n: int) -> None:
    (path / "images").mkdir(parents=True)
    (path / "images" / "1.png").touch()
    rows_csv(path / "train.csv", n)


def one_column_per_class(path: Path, n: int) -> None:
    (path / "images").mkdir(parents=True)
    (path / "images" / "1.png").touch()
    wide_csv(path / "train.csv", n)
    wide_csv(path / "sample_submission.csv", n)


def listing(path: Path) -> object:
    return list_dataset(path, DETECTED)


def unpack(path: Path) -> object:
    return unpack_zip(path, path.with_suffix(".folder"))


def copies(path: Path) -> object:
    n = int(path.read_text())
    rng = np.random.default_rng(0)
    thumbnails = rng.integers(0, 255, (n, 32, 32, 3), np.uint8)
    return group_copies(rng.integers(0, 2**63, n, np.uint64), thumbnails)


CASES: dict[str, tuple[Callable[[Path, int], object], Callable[[Path], object], int]] = {
    "CSV, rows": (rows_csv, read_table, 40_000),
    "CSV, columns": (wide_csv, read_table, 2_000),
    "CSV, lines in quotes": (quoted_csv, read_table, 16_000),
    "sample submission, columns": (wide_csv, read_sample, 2_000),
    "dataset, a table of missing images": (missing_images, listing, 20_000),
    "dataset, a column per class": (one_column_per_class, listing, 2_000),
    "dataset, class folders": (class_folders, listing, 1_000),
    "dataset, images in two folders": (one_folder, listing, 4_000),
    "search space, recipes with errors": (space_yaml, SearchSpace.load, 150),
    "ensemble.json": (ensemble_json, read_ensemble, 8_000),
    "manifest of an export": (manifest_folder, read_manifest, 8_000),
    "predictions.npz, entries": (npz, read_predictions, 4_000),
    "safetensors, tensors": (member_folder, load_member, 8_000),
    "zip, entries": (zip_file, unpack, 1_000),
    "copies, distinct images": (lambda path, n: path.write_text(str(n)), copies, 2_000),
}


def seconds(
    make: Callable[[Path, int], object], read: Callable[[Path], object], n: int, rounds: int = 2
) -> float:
    """Return the least CPU seconds of some rounds."""
    found = []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "input.csv"
            make(path, n)
            started = time.process_time()
            with suppress(InputError, TunePaddyError):
                read(path)
            found.append(time.process_time() - started)
    return min(found)


def main() -> None:
    print("| input | largest | CPU s | growth per doubling |")
    print("|---|---|---|---|")
    for name, (make, read, n) in CASES.items():
        seconds(make, read, 10, rounds=1)  # imports
        sizes = [n * 2**doubling for doubling in range(DOUBLINGS + 1)]
        took = [seconds(make, read, size) for size in sizes]
        growth = ", ".join(f"{b / a:.1f}" for a, b in itertools.pairwise(took))
        print(f"| {name} | {sizes[-1]:,} | {took[-1]:.2f} | {growth} |", flush=True)


if __name__ == "__main__":
    main()
