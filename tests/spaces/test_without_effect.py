"""Parameters that are searched without any effect."""

import pytest

from tune_paddy.spaces.problems import SpaceError
from tune_paddy.spaces.space import SearchSpace


def space(parameters: str) -> SearchSpace:
    return SearchSpace.parse(f"spaces:\n  - {{arch: a, {parameters}}}", name="x")


@pytest.mark.parametrize("searched", ["[1, 2]", "{low: 1, high: 3}"])
@pytest.mark.parametrize("off", ["", ", randaugment: 0", ", trivialaugment: true"])
def test_operations_that_no_member_applies_are_not_searched(searched: str, off: str) -> None:
    with pytest.raises(SpaceError) as refusal:
        space(f"randaugment_ops: {searched}{off}")
    assert str(refusal.value) == (
        "x:2: spaces[0].randaugment_ops: has no effect without randaugment; set randaugment, or leave it out"
    )


@pytest.mark.parametrize("used", ["randaugment: 9", "randaugment: [0, 9]", "randaugment: {low: 0, high: 9}"])
def test_operations_are_searched_where_a_member_may_apply_them(used: str) -> None:
    space(f"randaugment_ops: [1, 2], {used}")


def test_a_fixed_number_of_operations_is_accepted() -> None:
    """The recipe of a recorded member states every parameter."""
    space("randaugment_ops: 3")
    SearchSpace.parse("recipes: [{arch: a, randaugment: 0, randaugment_ops: 1}]", name="x")
