"""Kinds of members."""

from tune_paddy.core.config import MemberConfig
from tune_paddy.core.timing.kinds import kind_of


def test_members_that_differ_in_epochs_and_rates_are_one_kind() -> None:
    members = [MemberConfig(arch="a", epochs=epochs, lr=lr) for epochs, lr in ((3, 0.1), (9, 0.2))]
    assert kind_of(members[0]) == kind_of(members[1])


def test_members_of_other_sizes_are_another_kind() -> None:
    assert kind_of(MemberConfig(arch="a", size=64)) != kind_of(MemberConfig(arch="a", size=96))
