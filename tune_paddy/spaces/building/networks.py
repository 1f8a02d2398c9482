"""Operations and memory of the networks that a built space may have, measured once.

`networks.csv` holds what `training.timing.operations` and `training.forecast` measure for square images, in
half precision, with ten classes. Both grow with the number of pixels: at another size they are scaled by it,
which is exact to 5 % for convolutional networks from 96 px on. `benchmarks/network_table.py` writes the file.
"""

import csv
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from math import prod

from tune_paddy.core.memory import Footprint

_FLOAT = 4
_IMAGE = 3 * _FLOAT
"""Bytes of a pixel of an augmented image."""


@dataclass(frozen=True)
class Network:
    """Measured network at one size.

    Attributes:
        arch: timm model name.
        size: (height, width) in px.
        operations: Floating-point operations of a forward pass of one image.
        parameters: Number of trainable parameters.
        weight_bytes: Bytes of parameters and buffers.
        saved: (fixed, per image) bytes saved for the backward pass.
        predicting: (fixed, per image) bytes at the peak of an evaluation, inputs included.
        batch_norm: Whether the body contains batch norms.
    """

    arch: str
    size: tuple[int, int]
    operations: int
    parameters: int
    weight_bytes: int
    saved: tuple[int, int]
    predicting: tuple[int, int]
    batch_norm: bool

    def footprint(self, *, frozen: bool) -> Footprint:
        """Return the memory of a member that trains with AdamW, or of a frozen one.

        A frozen member has a smaller head than the measured one, so its figures are an upper bound.
        """
        moments = self.parameters * _FLOAT * 3
        return Footprint(
            parameters=self.parameters,
            state_bytes=self.weight_bytes + (0 if frozen else moments),
            saved_bytes=0 if frozen else self.saved[0],
            saved_bytes_per_image=0 if frozen else self.saved[1],
            input_bytes_per_image=0 if frozen else _IMAGE * prod(self.size),
            eval_bytes=self.predicting[0],
            eval_bytes_per_image=self.predicting[1],
            batch_norm=self.batch_norm and not frozen,
        )

    def at(self, size: tuple[int, int]) -> "Network":
        """Return the network at another size, by the number of pixels."""
        factor = prod(size) / prod(self.size)
        return Network(
            self.arch,
            size,
            round(factor * self.operations),
            self.parameters,
            self.weight_bytes,
            (self.saved[0], round(factor * self.saved[1])),
            (self.predicting[0], round(factor * self.predicting[1])),
            self.batch_norm,
        )


def known_network(arch: str, size: tuple[int, int]) -> Network | None:
    """Return a network at a size, from the measured size that is closest; None: it was not measured."""
    measured = measured_networks().get(arch)
    if measured is None:
        return None
    near = min(measured, key=lambda network: abs(math.log(prod(network.size) / prod(size))))
    return near.at(size)


@cache
def measured_networks() -> Mapping[str, tuple[Network, ...]]:
    """Return the measured networks by architecture."""
    text = files("tune_paddy.spaces.building").joinpath("networks.csv").read_text(encoding="utf-8")
    found: dict[str, list[Network]] = {}
    for row in csv.DictReader(text.splitlines()):
        arch = row.pop("arch")
        number = {name: int(value) for name, value in row.items()}
        network = Network(
            arch,
            (number["side"], number["side"]),
            number["operations"],
            number["parameters"],
            number["weight_bytes"],
            (number["saved"], number["saved_per_image"]),
            (number["eval"], number["eval_per_image"]),
            bool(number["batch_norm"]),
        )
        found.setdefault(arch, []).append(network)
    return {arch: tuple(networks) for arch, networks in found.items()}
