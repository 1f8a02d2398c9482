"""What a search says about its teachers, and the settings that contradict each other."""

from collections.abc import Mapping
from typing import Any

from tune_paddy.core.config import SearchSettings
from tune_paddy.core.errors import InputError

MIX = 0.3
"""Default share of the teacher in the targets of labelled images."""

TAUGHT = ("soften", "mix", "pseudo")
"""Settings of a search that name its teachers; they decide the targets of every member."""

RULES = "some competitions forbid to train on images of the test set; read the rules"
"""What a person must check before pseudo-labels."""


def share_of_teacher(settings: Mapping[str, Any]) -> float:
    """Return the share of the teacher's probabilities in the targets, from 0 to 1."""
    mix = settings.get("mix")
    return MIX if mix is None else float(mix)


def check_teachers(settings: SearchSettings) -> None:
    """Refuse settings of soft labels that contradict each other.

    Args:
        settings: Settings of a new search, with the folds that its dataset decides.

    Raises:
        InputError: `mix` stands without `soften`, or `soften` without folds.
    """
    if settings.mix is not None and settings.soften is None:
        raise InputError(
            f"`mix={settings.mix:g}` is the share of a teacher, but `soften` names none: name a search, or "
            "leave `mix` out",
            options=("mix", "soften"),
        )
    if settings.soften is not None and not settings.folds:
        raise InputError(
            f"`soften={settings.soften}` needs folds, whose models predict all labelled images: set `folds` "
            "in both searches alike, or leave `soften` out",
            options=("soften", "folds"),
        )


def teachers_in_words(settings: Mapping[str, Any], n_test: int | None = None) -> tuple[str, ...]:
    """Return who taught the members of a search, one phrase per teacher; none without a teacher.

    Args:
        settings: Settings of the search.
        n_test: Number of images to predict; None: unknown.

    >>> teachers_in_words({"soften": "first", "mix": 0.5, "pseudo": "first"}, 20)
    ('taught by search first (mix 0.5)', 'trained with 20 pseudo-labelled images of search first')
    """
    phrases = []
    if settings.get("soften"):
        phrases.append(f"taught by search {settings['soften']} (mix {share_of_teacher(settings):g})")
    if settings.get("pseudo"):
        images = "pseudo-labelled images" if n_test is None else f"{n_test:,} pseudo-labelled images"
        phrases.append(f"trained with {images} of search {settings['pseudo']}")
    return tuple(phrases)
