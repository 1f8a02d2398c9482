"""Members that a sub-space tries first: complete, within its domains, and part of its meaning."""

from pathlib import Path

import pytest

from tune_paddy.spaces.problems import SpaceError
from tune_paddy.spaces.space import SearchSpace

HEAD = """
defaults: {pretrained: false, epochs: 4}
spaces:
- arch: [test_vit, test_resnet]
  size: [64, 96]
  lr: {low: 0.001, high: 0.1, log: true}
  first:
"""


def parse(text: str) -> SearchSpace:
    return SearchSpace.parse(text, name="x")


def problem(first: str) -> str:
    with pytest.raises(SpaceError) as caught:
        parse(HEAD + first)
    return str(caught.value)


def test_a_first_member_has_its_values_those_of_the_defaults_and_middling_ones() -> None:
    (space,) = parse(HEAD + "  - {arch: test_resnet, lr: 0.05}\n  - {size: [96, 96]}").spaces
    common = {"pretrained": False, "epochs": 4}
    assert space.first == (
        {**common, "arch": "test_resnet", "size": 64, "lr": 0.05},
        {**common, "arch": "test_vit", "size": 96, "lr": 0.01},
    )


@pytest.mark.parametrize(
    ("first", "expected"),
    [
        ("  - {lr: 0.5}", "x:8: spaces[0].first[0].lr: 0.5 lies outside of the sub-space"),
        ("  - {arch: resnet18}", "x:8: spaces[0].first[0].arch: 'resnet18' lies outside of the sub-space"),
        (
            "  - {lr: 0.05}\n  - {epochs: 5}",
            "x:9: spaces[0].first[1].epochs: 5 lies outside of the sub-space",
        ),
        (
            "  - {mixup: 0.2}",
            "x:8: spaces[0].first[0]: the sub-space does not set mixup; set it there, or leave it out here",
        ),
        ("  - {rate: 0.2}", "x:8: spaces[0].first[0]: no parameter is called 'rate'"),
        ("  - {lr: fast}", "x:8: spaces[0].first[0].lr: 'fast' should be a valid number"),
        ("  - {lr: [0.01, 0.1]}", "x:8: spaces[0].first[0].lr: a list of choices belongs under spaces"),
        ("  - test_vit", "x:8: spaces[0].first[0]: should be a mapping from parameters to values"),
        ("    {lr: 0.05}", "x:8: spaces[0].first: should be a list of members; start each with a dash"),
    ],
)
def test_what_is_no_member_of_the_sub_space_is_refused_with_its_line(first: str, expected: str) -> None:
    assert problem(first).startswith(expected)


def test_a_parameter_that_is_refused_in_the_sub_space_is_refused_once() -> None:
    text = HEAD.replace("low: 0.001", "low: 1") + "  - {lr: 0.05}"
    with pytest.raises(SpaceError) as caught:
        parse(text)
    assert len(str(caught.value).splitlines()) == 1


def test_a_recipe_has_no_first_members() -> None:
    with pytest.raises(SpaceError, match="no parameter is called 'first'"):
        parse("recipes:\n- {arch: a, first: []}")


def test_first_members_are_part_of_what_a_space_means() -> None:
    without, one, other = (
        parse(HEAD.replace("  first:\n", first)).fingerprint
        for first in ("", "  first: [{lr: 0.05}]", "  first: [{lr: 0.02}]")
    )
    assert len({without, one, other}) == 3


def test_a_space_without_some_architectures_has_no_first_members_of_them() -> None:
    space = parse(HEAD.replace("pretrained: false, ", "") + "  - {arch: test_resnet}\n  - {arch: test_vit}")
    allowed = space.with_weights(lambda arch, _: "no licence" if arch == "test_vit" else None)
    assert [values["arch"] for values in allowed.spaces[0].first] == ["test_resnet"]


def test_first_members_of_a_rehearsal_lie_in_its_small_sub_space() -> None:
    space = parse(HEAD.replace("[64, 96]", "[224, 448]") + "  - {arch: test_resnet, size: 448}")
    (small,) = space.with_stand_ins(lambda arch: f"tiny_{arch}").spaces
    assert (small.first[0]["arch"], small.first[0]["size"]) == ("tiny_test_resnet", 128)


def test_a_relative_file_of_weights_starts_at_the_folder_of_the_space_as_in_the_sub_space(
    tmp_path: Path,
) -> None:
    text = "spaces:\n- {arch: a, pretrained: [a.pth, b.pth], first: [{pretrained: b.pth}]}"
    (space,) = SearchSpace.parse(text, name="x", base=tmp_path).spaces
    assert space.first == ({"arch": "a", "pretrained": str(tmp_path / "b.pth")},)
