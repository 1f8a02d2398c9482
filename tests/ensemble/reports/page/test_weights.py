"""Pretrained weights of an ensemble's members in the report."""

from tests.ensemble.conftest import ensemble_of, make_pool, recorded
from tune_paddy.core.selection.plain import fixed_select
from tune_paddy.ensemble.reports.page.weights import UsedWeights, used_weights
from tune_paddy.tracking.schema import MemberRecord


def member(number: int, arch: str, **origin: str):
    record = MemberRecord(arch=arch, **origin)
    return recorded(f"000{number}-net", run_id=f"run {number}", tags=record.to_tags())


def test_the_weights_of_the_chosen_members_are_listed_by_architecture() -> None:
    """Members without weight in the ensemble, and older records, do not pretend to have a licence."""
    pool = make_pool(members=4)
    ensemble = ensemble_of(pool, fixed_select(pool.select, pool.labels, [1, 1, 0, 0, 0, 6, 1, 0]))
    members = [
        member(0, "swin", licence="mit", pretraining="ImageNet-22k"),
        member(1, "convnextv2", licence="cc-by-nc-4.0", pretraining="ImageNet-1k"),
        member(2, "resnet"),
        member(3, "swin", licence="mit", pretraining="ImageNet-22k"),
    ]
    assert list(used_weights(ensemble, members)) == [
        UsedWeights("resnet", "not recorded", "not recorded", ("0002-net",)),
        UsedWeights("swin", "mit", "ImageNet-22k", ("0000-net", "0003-net")),
    ]
