"""Which members a machine can train: their memory, their time, and the sizes that the images justify."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from tune_paddy.core.config import MemberConfig
from tune_paddy.core.memory import MemoryBudget, plan_accum
from tune_paddy.core.timing.cost import member_seconds
from tune_paddy.core.timing.speed import cost_by_operations
from tune_paddy.spaces.building.facts import Facts, Images
from tune_paddy.spaces.building.networks import Network, known_network

MOST_ACCUM = 8
"""Largest accum of a member of a built space: beyond it small micro-batches waste the GPU."""

ENLARGED, LEAST_PRETRAINED = 4.0, 128
"""Small images are enlarged for pretrained networks, fourfold and to 128 px at most (Kolesnikov 2020)."""

FROZEN_ENLARGED, LEAST_FROZEN = 8.0, 224
"""Frozen networks know one size, that of their own training, so images are enlarged up to it: photographs of
32 px had a log loss of 0.60 at 128 px and 0.47 at 224 px; see `benchmarks/LOG.md`."""

UNTRAINED_ENLARGED, LEAST_UNTRAINED = 1.5, 32
"""Images are enlarged less for networks without pretrained weights, which know no other size."""

ROUNDED = 1.1
"""Images may be enlarged by a tenth, to reach the next size that a network takes."""

RECORDING = 2.0
"""Time of a trial beside its steps, in s: its run, checkpoints, reports; see `benchmarks/LOG.md`."""

DOWNLOAD = 20e6
"""Assumed speed of a download of pretrained weights, in bytes/s."""

PROCESS_MIB, FULL_PRECISION, FREE = 1500.0, 2.0, 0.8
"""On CPUs: memory of a trial's process beside its network in MiB, the size of its values relative to half
precision, and the share of the free memory that trials may take."""


def largest_side(images: Images, *, pretrained: bool, frozen: bool = False) -> float:
    """Return the largest side of a network's input that images justify, in px.

    >>> sizes = [Images(100, 0, 2, (side, side)) for side in (8, 28, 64, 300)]
    >>> [largest_side(size, pretrained=True) for size in sizes]
    [32.0, 112.0, 128.0, 330.0]
    >>> [largest_side(size, pretrained=True, frozen=True) for size in sizes]
    [64.0, 224.0, 224.0, 330.0]
    """
    if not pretrained:
        return max(LEAST_UNTRAINED, UNTRAINED_ENLARGED * images.side)
    times, least = (FROZEN_ENLARGED, LEAST_FROZEN) if frozen else (ENLARGED, LEAST_PRETRAINED)
    enlarged = float(min(times * images.side, least))
    return max(enlarged, round(ROUNDED * images.side, 6))


@dataclass(frozen=True)
class Estimate:
    """Forecast of one member.

    Attributes:
        config: Its configuration.
        seconds: Its time, in s.
        forecast_mib: Its memory, in MiB.
        fits: Whether it fits the memory.
    """

    config: MemberConfig
    seconds: float
    forecast_mib: float
    fits: bool


@dataclass(frozen=True)
class Estimates:
    """Forecasts of members from facts.

    Attributes:
        facts: The facts.
        known: Forecasts so far, by their parameters.
    """

    facts: Facts
    known: dict[tuple[tuple[str, Any], ...], Estimate | None] = field(default_factory=dict, repr=False)

    @cached_property
    def room_mib(self) -> float:
        """Memory of one trial, in MiB."""
        machine = self.facts.machine
        return machine.gpu_mib if machine.on_gpu else FREE * machine.memory_mib / machine.at_once

    @property
    def most_accum(self) -> int:
        """Largest accum of a member: that of a built space, or the smaller one that the user chose."""
        return min(MOST_ACCUM, self.facts.settings.get("max_accum") or MOST_ACCUM)

    def of(self, **values: Any) -> Estimate | None:
        """Forecast a member; None: its network was not measured."""
        key = tuple(sorted(values.items()))
        if key not in self.known:
            self.known[key] = self._of(values)
        return self.known[key]

    def _of(self, values: Mapping[str, Any]) -> Estimate | None:
        config = MemberConfig(**values)
        network = known_network(config.arch, config.size)
        if network is None:
            return None
        mib, _ = self._memory(config, network)
        return Estimate(config, self._seconds(config, network), mib, mib <= self.room_mib)

    def accum(self, config: MemberConfig) -> int:
        """Return the accum that a measured member starts with."""
        network = known_network(config.arch, config.size)
        return 1 if network is None else self._memory(config, network)[1]

    def _memory(self, config: MemberConfig, network: Network) -> tuple[float, int]:
        """Return the memory of a member in MiB, and its accum."""
        footprint, machine = network.footprint(frozen=config.frozen), self.facts.machine
        if machine.calibration is None:
            raw = footprint.raw_mib(config.batch_size, config.batch_size)
            return PROCESS_MIB + FULL_PRECISION * raw, 1
        budget = MemoryBudget(machine.gpu_mib)
        plan = plan_accum(
            footprint, machine.calibration, budget, config.batch_size, max_accum=self.most_accum
        )
        return plan.forecast_mib, plan.accum

    def _seconds(self, config: MemberConfig, network: Network) -> float:
        facts = self.facts
        cost = cost_by_operations(config, network.operations, facts.machine.timed)
        download = network.weight_bytes / DOWNLOAD if config.arch in facts.to_download else 0.0
        return download + member_seconds(config, cost, facts.load, start=RECORDING)
