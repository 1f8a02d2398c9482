"""Pretrained weights that the members of an ensemble started from, for the report."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tune_paddy.ensemble.ensemble import Ensemble, member_weights
from tune_paddy.tracking.runs import RecordedRun
from tune_paddy.tracking.schema import NOT_RECORDED, MemberRecord


@dataclass(frozen=True)
class UsedWeights:
    """Pretrained weights of one or more members.

    Attributes:
        arch: Architecture, timm's name.
        licence: Licence of the weights, as timm stated it when the member was trained.
        data: Datasets of the pretraining.
        members: Names of the members.
    """

    arch: str
    licence: str
    data: str
    members: tuple[str, ...]


def used_weights(ensemble: Ensemble, members: Sequence[RecordedRun]) -> Iterator[UsedWeights]:
    """Yield the pretrained weights of the members with a positive ensemble weight, by architecture.

    Args:
        ensemble: Selected ensemble.
        members: Runs of the members; others of the ensemble are left out.
    """
    weights = member_weights(ensemble)
    names = {view.run_id: view.member for view in ensemble.pool.views}
    found: dict[tuple[str, str, str], list[str]] = {}
    for run in members:
        if weights.get(run.run_id, 0) > 0:
            record = MemberRecord.from_run(run)
            key = (run.arch, record.licence or NOT_RECORDED, record.pretraining or NOT_RECORDED)
            found.setdefault(key, []).append(names[run.run_id])
    for (arch, licence, data), used in sorted(found.items()):
        yield UsedWeights(arch, licence, data, tuple(used))
