"""Recipes with several architectures, and frozen members in search spaces."""

import pytest

from tune_paddy.core.config import MemberConfig
from tune_paddy.spaces.problems import SpaceError
from tune_paddy.spaces.space import SearchSpace


def parse(text: str) -> SearchSpace:
    return SearchSpace.parse(text, name="x")


def problem(text: str) -> str:
    with pytest.raises(SpaceError) as caught:
        parse(text)
    return str(caught.value)


def test_a_list_of_architectures_is_a_recipe_for_each() -> None:
    space = parse(
        "recipes:\n- {name: dino, arch: [a, b.in1k], size: 64}\n- arch: [c, d]\n- {arch: c, lr: 0.1}\n"
        "- {name: one, arch: [d]}"
    )
    assert [recipe.name for recipe in space.recipes] == ["dino-a", "dino-b.in1k", "c", "d", "c-2", "one-d"]
    assert [recipe.values["arch"] for recipe in space.recipes] == ["a", "b.in1k", "c", "d", "c", "d"]
    assert [recipe.values.get("size") for recipe in space.recipes] == [64, 64, None, None, None, None]
    assert space.architectures() == ("a", "b.in1k", "c", "d")


def test_frozen_recipes_come_first_in_their_own_order() -> None:
    space = parse(
        "recipes:\n- {name: slow, arch: a}\n- {name: quick, arch: [c, b], schedule: frozen}\n"
        "- {name: last, arch: d}"
    )
    assert [recipe.name for recipe in space.recipes] == ["quick-c", "quick-b", "slow", "last"]


def test_frozen_members_ignore_defaults_that_are_meant_for_others() -> None:
    space = parse(
        "defaults: {lr: 0.1, epochs: 5}\nrecipes: [{arch: a, schedule: frozen}]\n"
        "spaces: [{arch: [a, b], schedule: frozen, size: [32, 64]}]"
    )
    (recipe,) = space.recipes
    assert MemberConfig(**recipe.values) == MemberConfig(arch="a", schedule="frozen")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "recipes:\n- arch: a\n  schedule: frozen\n  lr: 0.1",
            "x:4: recipes[0].lr: has no effect with schedule: frozen; leave it out",
        ),
        (
            "defaults: {schedule: frozen}\nspaces:\n- arch: a\n  mixup: {low: 0, high: 1}",
            "x:4: spaces[0].mixup: has no effect with schedule: frozen; leave it out",
        ),
        (
            "spaces:\n- arch: a\n  schedule: [frozen, fine_tune]\n  epochs: [3, 5]",
            "x:4: spaces[0].epochs: has no effect on frozen members; give schedule: frozen its own sub-space",
        ),
        (
            "recipes:\n- arch: a\n  schedule: frozen\n  head: fitted",
            (
                "x:4: recipes[0].head: fitted has no effect on frozen members, whose heads always are; "
                "leave it out"
            ),
        ),
        (
            "recipes:\n- {name: n, arch: [a, b]}\n- {name: n-b, arch: c}",
            "x:3: recipes[1]: recipes[0] is called 'n-b' too; rename one",
        ),
        ("recipes:\n- arch: [a, a]", "x:2: recipes[0].arch[1]: 'a' is among the choices already; remove it"),
        ("recipes:\n- arch: []", "x:2: recipes[0].arch: an empty list of choices; give at least one"),
        (
            "defaults: {arch: [a, b]}\nrecipes: [{size: 64}]",
            "x:1: defaults.arch: a list of choices belongs under spaces; give one value",
        ),
        (
            "search: {trials: 2}\nrecipes:\n- arch: [a, b, c]",
            "x:3: recipes[0]: search.trials is 2, so this recipe would never run; raise it to 3",
        ),
    ],
)
def test_mistakes_are_refused_with_their_place(text: str, expected: str) -> None:
    assert problem(text) == expected


def test_a_member_written_with_all_its_parameters_is_accepted() -> None:
    """As in the space that the record holds for each member."""
    values = MemberConfig(arch="a", schedule="frozen").model_dump(mode="json", exclude_none=True)
    words = ", ".join(f"{name}: {str(value).lower()}" for name, value in values.items())
    (recipe,) = parse(f"recipes: [{{{words}}}]").recipes
    assert MemberConfig(**recipe.values) == MemberConfig(arch="a", schedule="frozen")


def test_an_unknown_architecture_of_a_list_is_reported_at_its_line() -> None:
    space = parse("recipes:\n- arch:\n  - a\n  - b")
    with pytest.raises(SpaceError, match=r"^x:4: recipes\[0\].arch: no b$"):
        space.check_archs(lambda arch, size, large: None if arch == "a" else f"no {arch}")
