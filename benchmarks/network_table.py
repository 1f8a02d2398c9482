"""What do the networks of built spaces compute, and what do they take?

    python benchmarks/network_table.py [ARCH ...]

Measures on the meta device the operations of a forward pass and the bytes of a training step, for every
network of the spaces that built spaces draw from, or for the given ones, and writes their rows of
`tune_paddy/spaces/building/networks.csv`. Rows that are there are kept: remove them to measure them again.
A large network takes a minute on a busy core; no GPU and no network access is needed.
"""

import argparse
import csv
from collections.abc import Iterator
from pathlib import Path

import tune_paddy.spaces.building
from tune_paddy.core.config import MemberConfig
from tune_paddy.core.domains import candidates
from tune_paddy.spaces.building.build import source_spaces
from tune_paddy.training.forecast.planning import find_gpu, member_footprint
from tune_paddy.training.timing.kinds import member_operations

TABLE = Path(tune_paddy.spaces.building.__file__).with_name("networks.csv")
CLASSES = 10
SIDE = {"light": 128, "scratch": 128, "swinv2": 256}
"""Sub-space → side that its networks are measured at, in px; others at 224."""


def main() -> None:
    """Add the missing rows to the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("arch", nargs="*", help="architectures to measure")
    chosen = parser.parse_args().arch
    with TABLE.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    known = {row["arch"] for row in rows}
    for arch, side in wanted():
        if arch not in known and (not chosen or arch in chosen):
            rows.append({name: str(value) for name, value in measured(arch, side).items()})
            write(rows)
            print(rows[-1], flush=True)


def wanted() -> Iterator[tuple[str, int]]:
    """Yield each network with the side that it is measured at, in px."""
    for space in source_spaces().values():
        for sub in space.spaces:
            yield from ((arch, SIDE.get(sub.name, 224)) for arch in candidates(sub.domains["arch"]))


def measured(arch: str, side: int) -> dict[str, object]:
    """Return the row of a network."""
    config = MemberConfig(arch=arch, size=side, precision="bf16")
    footprint = member_footprint(config, find_gpu(mib=16_280), n_classes=CLASSES)
    moments = 3 * 4 * footprint.parameters  # gradients and AdamW's two moments
    return {
        "arch": arch,
        "side": side,
        "operations": member_operations(config, CLASSES),
        "parameters": footprint.parameters,
        "weight_bytes": footprint.state_bytes - moments,
        "saved": footprint.saved_bytes,
        "saved_per_image": footprint.saved_bytes_per_image,
        "eval": footprint.eval_bytes,
        "eval_per_image": footprint.eval_bytes_per_image,
        "batch_norm": int(footprint.batch_norm),
    }


def write(rows: list[dict[str, str]]) -> None:
    """Write the table."""
    with TABLE.open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        table.writeheader()
        table.writerows(rows)


if __name__ == "__main__":
    main()
