"""Suggest the name that a mistyped one may mean."""

from collections.abc import Iterable
from difflib import get_close_matches

_LONGEST = 100
"""Number of letters of a name that are compared; comparing long texts is slow."""


def did_you_mean(name: object, known: Iterable[str]) -> str:
    """Return the end of a message that suggests the most similar known name; empty without one.

    >>> did_you_mean("eror_rate", ["log_loss", "error_rate"])
    "; did you mean 'error_rate'?"
    >>> did_you_mean("accuracy", ["log_loss", "error_rate"])
    ''
    """
    near = get_close_matches(str(name)[:_LONGEST], list(known), n=1)
    return f"; did you mean {near[0]!r}?" if near else ""
