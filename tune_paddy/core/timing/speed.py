"""Cost of a member's steps from the number of operations of its network and the speed of a device."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from tune_paddy.core.config import MemberConfig
from tune_paddy.core.timing.cost import StepCost

_BACKWARD = 2.0
"""Operations of a backward pass per operation of the forward pass."""


@dataclass(frozen=True)
class TimedNetwork:
    """Timed steps of one network on one device.

    Attributes:
        operations: Floating-point operations of a forward pass of one image.
        frozen: Whether they are the steps of a frozen member.
        cost: Cost of the steps.
    """

    operations: float
    frozen: bool
    cost: StepCost


def cost_by_operations(config: MemberConfig, operations: float, timed: Sequence[TimedNetwork]) -> StepCost:
    """Return the cost of a member's steps, scaled from the timed network closest in operations.

    Args:
        config: Configuration of the member.
        operations: Operations of a forward pass of one image through its network.
        timed: Timed networks; those of the member's sort, frozen or not, come first, and of others only the
            predictions count. Empty: the cost is relative, one unit for each operation.

    >>> known = [TimedNetwork(2.0, False, StepCost(6.0, 3.0, 2.0, 2.0, build=1.0))]
    >>> cost_by_operations(MemberConfig(arch="any"), 4.0, known).train
    12.0
    """
    alike = [one for one in timed if one.frozen == config.frozen] or timed
    if not alike:
        return _relative(config).scaled(operations)
    near = _nearest(alike, operations)
    cost = near.cost
    if near.frozen != config.frozen:  # only a prediction is the same step for both sorts
        cost = replace(_relative(config).scaled(cost.predict), tta_pass=cost.tta_pass, build=cost.build)
    # The fit of a head costs what the number of its features asks for, whatever the images' size.
    fitted = [one for one in timed if one.cost.fit] or [near]
    return replace(cost.scaled(operations / near.operations), fit=_nearest(fitted, operations).cost.fit)


def _nearest(timed: Sequence[TimedNetwork], operations: float) -> TimedNetwork:
    """Return the timed network closest in operations."""
    return min(timed, key=lambda one: abs(math.log(one.operations / operations)))


def _relative(config: MemberConfig) -> StepCost:
    """Return the operations of each step per operation of a forward pass; a head's fit has hardly any."""
    if config.frozen:
        return StepCost(1.0, 0.0, 1.0, 1.0, build=0.0)
    return StepCost(1 + _BACKWARD, 1.0, 1.0, 1.0, build=0.0)
