"""The facts that a search space is built from."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tune_paddy.core.calibration import Calibration
from tune_paddy.core.timing.cost import Workload
from tune_paddy.core.timing.speed import TimedNetwork


@dataclass(frozen=True)
class Images:
    """The images of a dataset.

    Attributes:
        labelled: Number of labelled images.
        test: Number of images to predict.
        classes: Number of classes.
        size: Typical (height, width) in px.
        gray: Whether they have no colour.
    """

    labelled: int
    test: int
    classes: int
    size: tuple[int, int]
    gray: bool = False

    @property
    def side(self) -> int:
        """The shorter side, in px."""
        return min(self.size)

    @property
    def is_square(self) -> bool:
        """Whether squishing changes no proportion by more than a tenth."""
        return max(self.size) <= 1.1 * self.side


@dataclass(frozen=True)
class Machine:
    """The machine that trains.

    Attributes:
        cpus: Number of CPUs of a trial.
        at_once: Number of concurrent trials.
        memory_mib: Free memory of the machine, in MiB.
        gpu: Share of a GPU of a trial, or `auto`; 0: there is none, or it is not to be used.
        gpus: Number of GPUs.
        gpu_mib: Memory of a trial's share of a GPU, in MiB; 0: it trains on CPUs.
        calibration: Calibration of the GPU; None: it trains on CPUs.
        timed: Timed networks, at least one.
    """

    cpus: int
    at_once: int
    memory_mib: float
    timed: tuple[TimedNetwork, ...]
    gpu: float | str = 0
    gpus: int = 0
    gpu_mib: float = 0.0
    calibration: Calibration | None = None

    @property
    def on_gpu(self) -> bool:
        """Whether trials use a GPU."""
        return self.gpu_mib > 0


@dataclass(frozen=True)
class Facts:
    """Everything that a space is built from.

    Attributes:
        images: The images.
        load: Images that one model reads.
        machine: The machine.
        minutes: Time budget of the whole search, in minutes.
        seconds: Time of it for the members, in s: without start, image cache, selection and submission.
        refused: Architecture → why it cannot be used: licence, or no pretrained weights at hand.
        to_download: Architectures whose pretrained weights must be downloaded.
        settings: Settings that the user chose: setting → value.
    """

    images: Images
    load: Workload
    machine: Machine
    minutes: float
    seconds: float
    refused: Mapping[str, str] = field(default_factory=dict)
    to_download: frozenset[str] = frozenset()
    settings: Mapping[str, Any] = field(default_factory=dict)
