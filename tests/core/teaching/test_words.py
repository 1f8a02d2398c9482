"""Sentences about teachers, and settings that contradict each other."""

import pytest

from tune_paddy.core.config import SearchSettings
from tune_paddy.core.errors import InputError
from tune_paddy.core.teaching.words import check_teachers, teachers_in_words


@pytest.mark.parametrize(
    ("values", "reason", "options"),
    [
        (
            {"mix": 0.5, "folds": 3},
            "`mix=0.5` is the share of a teacher, but `soften` names none",
            "mix soften",
        ),
        ({"soften": "first"}, "`soften=first` needs folds", "soften folds"),
    ],
)
def test_a_contradiction_is_refused_with_its_settings(
    values: dict[str, object], reason: str, options: str
) -> None:
    with pytest.raises(InputError, match=reason) as refusal:
        check_teachers(SearchSettings(**values))
    assert refusal.value.options == tuple(options.split())
    assert "\n" not in str(refusal.value)


def test_what_a_search_says_of_its_teachers_has_the_default_share() -> None:
    settings = SearchSettings(soften="first", pseudo="second", folds=2)
    check_teachers(settings)
    assert teachers_in_words(settings.model_dump(), 1200) == (
        "taught by search first (mix 0.3)",
        "trained with 1,200 pseudo-labelled images of search second",
    )
    assert teachers_in_words(SearchSettings().model_dump()) == ()
