"""Formats of numbers in reports."""

from tune_paddy.data.system.text import duration

__all__ = ["duration", "formatted", "signed"]


def formatted(value: float | None, form: str) -> str:
    """Format a number; None becomes an empty text.

    >>> formatted(0.0312, ".2%"), formatted(None, ".2%")
    ('3.12%', '')
    """
    return "" if value is None else format(value, form)


def signed(value: float | None) -> str:
    """Format a difference of losses with its sign; 0 after rounding has no minus, None becomes an empty text.

    >>> [signed(value) for value in (0.01, -0.01, -0.00001, -0.0, None)]
    ['+0.0100', '-0.0100', '+0.0000', '+0.0000', '']
    """
    return "" if value is None else f"{round(value, 4) + 0:+.4f}"
