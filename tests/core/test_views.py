import pytest

from tune_paddy.core.config import MemberConfig
from tune_paddy.core.views import KINDS, all_passes, in_order, view_work

ALL = {"tta": 4, "flip": "dihedral", "flip_view": True, "large_view": 1.25, "zoom_view": 0.8, "ema": 0.99}


def test_all_views_together_share_the_plain_pass() -> None:
    """One plain pass, four augmented ones, seven symmetries, a larger one, the centre, and the average."""
    assert all_passes(ALL) == pytest.approx(1 + 4 + 7 + 1.25**2 + 1 + 1)
    assert all_passes({}) == 1


def test_every_kind_of_view_has_work_and_the_order_of_tables() -> None:
    assert tuple(view_work(ALL)) == KINDS
    assert in_order(["zoom", "other", "plain", "tta"]) == ["plain", "tta", "zoom", "other"]


def test_a_members_configuration_explains_its_views() -> None:
    config = MemberConfig(arch="any", tta=0, flip="none")
    assert list(view_work(vars(config))) == ["plain"]
    assert view_work(vars(MemberConfig(arch="any", **ALL))) == view_work(ALL)


def test_a_value_that_is_no_number_adds_no_view() -> None:
    assert list(view_work({"tta": "four", "large_view": None})) == ["plain"]
