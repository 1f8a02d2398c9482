"""Facts for tests: machines whose speed is that of two timed networks."""

from collections.abc import Mapping
from typing import Any

from tune_paddy.core.calibration import Calibration
from tune_paddy.core.timing.cost import StepCost, Workload
from tune_paddy.core.timing.speed import TimedNetwork
from tune_paddy.spaces.building.build import source_spaces
from tune_paddy.spaces.building.facts import Facts, Images, Machine

GENERIC = Calibration(name="generic", context_mib=700.0, slack=1.065, margin=0.05)

PRETRAINED = tuple(arch for name in ("strong", "light") for arch in source_spaces()[name].architectures())


def timed(seconds_per_giga: float) -> tuple[TimedNetwork, ...]:
    """Return the timed networks of a device that takes this long for 1e9 operations of a forward pass."""
    once = seconds_per_giga
    trained = StepCost(3 * once, once, once, once, build=0.5)
    fitted = StepCost(once, 0.0, once, once, build=0.5, fit=0.02 * once)
    return TimedNetwork(1e9, False, trained), TimedNetwork(1e9, True, fitted)


def cpus(at_once: int = 2, memory_mib: float = 6000.0) -> Machine:
    """Return a machine without a GPU."""
    return Machine(1, at_once, memory_mib, timed(0.03))


def gpu(mib: float) -> Machine:
    """Return a machine with one GPU."""
    return Machine(8, 1, 30_000.0, timed(0.0002), 1, 1, mib, GENERIC)


def facts(
    machine: Machine,
    *,
    images: int = 10_407,
    size: tuple[int, int] = (640, 480),
    gray: bool = False,
    classes: int = 10,
    minutes: float = 480.0,
    refused: Mapping[str, str] | None = None,
    settings: Mapping[str, Any] | None = None,
) -> Facts:
    """Return facts of which most are Paddy Doctor's."""
    select, test = round(0.2 * images), images // 4
    return Facts(
        images=Images(images, test, classes, size, gray),
        load=Workload(images - select, select, test),
        machine=machine,
        minutes=minutes,
        seconds=60 * minutes * 0.9 - 40,
        refused=refused or {},
        settings=settings or {},
    )
