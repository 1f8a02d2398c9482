"""Formats of numbers in reports."""

import math


def formatted(value: float | None, form: str) -> str:
    """Format a number; None and NaN become an empty text.

    >>> formatted(0.0312, ".2%"), formatted(None, ".2%")
    ('3.12%', '')
    """
    return "" if value is None or math.isnan(value) else format(value, form)


def signed(value: float | None) -> str:
    """Format a difference of losses with its sign; 0 after rounding has no minus, None becomes an empty text.

    >>> [signed(value) for value in (0.01, -0.01, -0.00001, -0.0, None)]
    ['+0.0100', '-0.0100', '+0.0000', '+0.0000', '']
    """
    return "" if value is None else f"{round(value, 4) + 0:+.4f}"


def duration(seconds: float) -> str:
    """Format a duration, given in seconds.

    >>> [duration(seconds) for seconds in (7.4, 150, 9000, 200000)]
    ['7 s', '2.5 min', '2.5 h', '2.3 d']
    """
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds / length:.1f} {unit}"
    return f"{max(seconds, 0):.0f} s"
