import re

import pytest

from tune_paddy.core.errors import InputError
from tune_paddy.core.predictions import View
from tune_paddy.ensemble.fixed_weights import parse_weights, require_possible, weigh

VIEWS = [
    View("0000-vit_large-224", "plain", "a", "vit_large", search="night"),
    View("0000-vit_large-224", "tta", "a", "vit_large", search="night"),
    View("0001-convnext-224", "plain", "b", "convnext"),
    View("0001-convnext-224", "tta", "b", "convnext"),
    View("0002-swin-192", "plain", "c", "swin"),
]


def test_without_patterns_each_member_counts_once_with_its_tta_view_if_it_has_one() -> None:
    assert weigh(VIEWS, []) == [0, 1, 0, 1, 1]


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["vit*=2"], [0, 2, 0, 1, 1]),
        (["*=0", "0001-*=1"], [0, 0, 0, 1, 0]),
        (["vit*=2,swin=0.5"], [0, 2, 0, 1, 0.5]),
        (["*/tta=0", "*/plain=1"], [1, 0, 1, 0, 1]),
        (["0002-*=3"], [0, 1, 0, 1, 3]),
        (["vit_large/plain=2"], [2, 1, 0, 1, 1]),
        (["night:000[01]-*=2"], [0, 2, 0, 1, 1]),
        (["night:0000-vit_large-224/tta=2"], [0, 2, 0, 1, 1]),
    ],
)
def test_patterns_match_architectures_and_members_with_a_slash_and_a_kind_of_view(
    texts: list[str], expected: list[float]
) -> None:
    assert weigh(VIEWS, parse_weights(texts)) == expected


def test_weights_that_are_all_0_are_refused() -> None:
    with pytest.raises(InputError, match="every member has weight 0"):
        weigh(VIEWS, [("*", 0.0)])


@pytest.mark.parametrize("view", VIEWS)
def test_every_name_that_is_shown_is_a_pattern_of_its_own_view(view: View) -> None:
    weights = weigh(VIEWS, [("*/*", 0.0), (view.name, 2.0)])
    assert [own for own, weight in zip(VIEWS, weights, strict=True) if weight] == [view]


@pytest.mark.parametrize(
    ("pattern", "better"),
    [
        ("large", "*large*"),
        ("convnxt", "*convnext*"),
        ("0001-convnxt-224", "*0001-convnext-224*"),
        ("VIT", "*vit*"),
        ("*swinn*/tta", "*swin*/tta"),
        ("swin*/both", "*swin*/tta"),
    ],
)
def test_a_pattern_without_a_match_gets_the_suggestion_of_a_similar_one(pattern: str, better: str) -> None:
    with pytest.raises(InputError, match=f"did you mean {re.escape(repr(better))}"):
        weigh(VIEWS, [(pattern, 1.0)])


def test_a_pattern_that_matches_nothing_names_the_architectures() -> None:
    with pytest.raises(
        InputError, match=r"'beit\*' matches no member; the architectures are vit_large, conv"
    ):
        weigh(VIEWS, [("beit*", 1.0)])


@pytest.mark.parametrize(
    "text", ["vit*", "=2", "vit*=x", "vit*=-1", "vit*=inf", "vit*=nan", "vit*=1e308", ""]
)
def test_a_text_of_another_form_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="write PATTERN=WEIGHT"):
        parse_weights([text])


ARCHITECTURES = ("vit_large.tag", "swin")


@pytest.mark.parametrize(
    "pattern",
    [
        "vit*",
        "swin",
        "vit_large.tag/plain",
        "night:0001-*",
        "swin/tta",
        "*",
        "0003-*",
        "*-224",
        "*vit*",
        "00[01]?-vit_large-3*",
        "*/tta",
        "0001-swin-*/plain",
        "*-2*0",
        "*x320",
    ],
)
def test_before_a_search_a_pattern_that_may_match_a_future_member_is_accepted(pattern: str) -> None:
    require_possible([(pattern, 2.0)], ARCHITECTURES, 40)


@pytest.mark.parametrize(
    "pattern",
    [
        "zzz",
        "zzz*",
        "*zzz*",
        "*swin2*",
        "*zzz-*",
        "vit",
        "003-*",
        "0001-vit-*",
        "0001-vit_large.tag-*",
        "*/both",
        "00001-*",
        "*/tta?",
    ],
)
def test_before_a_search_a_pattern_that_cannot_match_any_member_is_refused(pattern: str) -> None:
    with pytest.raises(InputError, match=r"matches no member; .*he architectures are vit_large\.tag, swin"):
        require_possible([(pattern, 2.0)], ARCHITECTURES, 40)


def test_before_a_search_numbers_of_large_searches_have_more_digits() -> None:
    require_possible([("12345-*", 2.0)], ARCHITECTURES, 20_000)
