"""Formats of numbers in reports."""

import math

from tune_paddy.data.system.text import duration, four_digits, percent

__all__ = ["NEW_IMAGES", "OPTIMISTIC", "duration", "formatted", "score", "score_difference", "signed"]

NEW_IMAGES = "on new images"
"""Label of an honest estimate: a score of cross-fitted predictions, see `core/estimate.py`."""
OPTIMISTIC = "on the select split: optimistic"
"""Label of the score of a selection on the images that it was fitted to."""


def score(metric: str, value: float) -> str:
    """Format a score with its unit: an error rate in percent, any other loss as a number.

    >>> score("error_rate", 0.0472), score("log_loss", 0.14016)
    ('4.72 %', '0.1402')
    """
    return percent(value) if metric == "error_rate" else four_digits(value)


def score_difference(metric: str, value: float) -> str:
    """Format the size of a difference of two scores with its unit.

    >>> score_difference("error_rate", 0.0111), score_difference("log_loss", 0.1031)
    ('1.11 percentage points', '0.1031')
    """
    if metric == "error_rate":
        return f"{100 * value:.2f} percentage points"
    return four_digits(value)


def formatted(value: float | None, form: str) -> str:
    """Format a number; None and NaN become an empty text.

    >>> formatted(0.0312, ".2%"), formatted(None, ".2%"), formatted(math.nan, ".2%")
    ('3.12%', '', '')
    """
    return "" if value is None or math.isnan(value) else format(value, form)


def signed(value: float | None) -> str:
    """Format a difference of losses with its sign; None and NaN become an empty text.

    A 0 after rounding has no minus.

    >>> [signed(value) for value in (0.01, -0.01, -0.00001, -0.0, None)]
    ['+0.0100', '-0.0100', '+0.0000', '+0.0000', '']
    """
    return "" if value is None or math.isnan(value) else f"{round(value, 4) + 0:+.4f}"
