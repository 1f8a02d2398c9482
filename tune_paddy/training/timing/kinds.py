"""Time the kinds of members of a search within a time budget, and scale the others by their operations."""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from tune_paddy.core.config import MemberConfig
from tune_paddy.core.errors import TunePaddyError
from tune_paddy.core.timing.cost import StepCost
from tune_paddy.core.timing.kinds import kind_of
from tune_paddy.core.timing.speed import TimedNetwork, cost_by_operations
from tune_paddy.data.system.progress.stages import SILENT, Progress
from tune_paddy.training.oom import is_out_of_memory, release_memory
from tune_paddy.training.timing.operations import forward_operations
from tune_paddy.training.timing.steps import time_member


@dataclass(frozen=True)
class TimedKinds:
    """Costs of the kinds of members.

    Attributes:
        costs: Kind → cost of its steps.
        timed: Kinds that were timed; the costs of all others are scaled.
        decode: Mean time to read one image from its file on one thread, in s.
        skipped: Kinds without a cost, each with the reason.
    """

    costs: dict[MemberConfig, StepCost]
    timed: tuple[MemberConfig, ...]
    decode: float
    skipped: dict[MemberConfig, str] = field(default_factory=dict)


def member_operations(config: MemberConfig, n_classes: int) -> int:
    """Return the operations of a forward pass of one image through a member's network.

    Raises:
        InputError: Unknown arch, or a size that it does not accept.
        TunePaddyError: They cannot be counted.
    """
    return forward_operations(config.arch, config.size, n_classes, head=config.head, frozen=config.frozen)


def time_kinds(
    configs: Sequence[MemberConfig],
    paths: Sequence[str],
    *,
    n_classes: int,
    cpus: int = 1,
    allow_gpu: bool = True,
    accum_of: Callable[[MemberConfig], int] = lambda config: 1,
    limit: float = 45.0,
    progress: Progress = SILENT,
    clock: Callable[[], float] = time.perf_counter,
    operations_of: Callable[[MemberConfig], int] | None = None,
) -> TimedKinds:
    """Time the kinds of some members, the cheapest first, until a time limit is reached.

    At least one kind is timed, of frozen members and of others. A kind that the limit leaves out gets the
    cost of the timed one of the same sort that is closest in operations, times the ratio of their operations.

    Args:
        configs: Members of the search.
        paths: Image files of the dataset, at least one.
        n_classes: Number of classes.
        cpus: Number of threads of a trial.
        allow_gpu: Whether trials may use a GPU.
        accum_of: Function that returns a member's planned number of micro-batches per step.
        limit: Time after which no further kind is timed, in s; a kind of large networks is timed with fewer
            images than a batch has, to take half of it at most.
        progress: Receiver of the stages.
        clock: Source of time in seconds.
        operations_of: Function that returns the operations of a member's network; None: they are counted.
    """
    kinds, skipped, decodes = list(dict.fromkeys(map(kind_of, configs))), {}, []
    operations: dict[MemberConfig, int] = {}
    for kind in kinds:
        try:
            count = operations_of or partial(member_operations, n_classes=n_classes)
            operations[kind] = count(kind)
        except TunePaddyError as error:
            skipped[kind] = str(error)
    costs: dict[MemberConfig, StepCost] = {}
    started = clock()
    progress.stage("timing the steps of each kind of member", len(operations))
    for kind in sorted(operations, key=lambda known: operations[known] * known.batch_size):
        if _alike(kind, costs) and clock() - started >= limit:
            continue
        try:
            costs[kind], decode = time_member(
                kind,
                paths,
                n_classes=n_classes,
                cpus=cpus,
                allow_gpu=allow_gpu,
                accum=accum_of(kind),
                limit=limit / 2,
            )
            decodes.append(decode)
            progress.advance()
        except Exception as error:
            if not is_out_of_memory(error) and not isinstance(error, TunePaddyError):
                raise
            skipped[kind] = str(error).splitlines()[0]
            release_memory()
    timed = tuple(costs)
    networks = [TimedNetwork(operations[kind], kind.frozen, costs[kind]) for kind in timed]
    for kind in operations.keys() - costs.keys() - skipped.keys() if timed else ():
        costs[kind] = cost_by_operations(kind, operations[kind], networks)
    return TimedKinds(costs, timed, float(np.mean(decodes)) if decodes else 0.0, skipped)


def _alike(kind: MemberConfig, others: Iterable[MemberConfig]) -> list[MemberConfig]:
    """Return the kinds that train as this one: a step of a frozen member costs something else."""
    return [other for other in others if other.frozen == kind.frozen]
