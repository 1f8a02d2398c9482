"""Text that is shown or recorded: readable names, lists that end, and no credentials."""

import os
import re
from collections.abc import Iterable, Mapping
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic import ValidationError

SHOWN = 20
"""How many findings a message names before it says how many more there are."""

_LONGEST_NAME = 300


def shown(name: str | Path) -> str:
    """Write a name from outside on one line: control characters escaped, long ones cut in the middle."""
    text = _escaped(str(name))
    half = _LONGEST_NAME // 2
    return text if len(text) <= _LONGEST_NAME else f"{text[:half]}…{text[-half:]}"


def printable(text: str) -> str:
    """Escape control characters, which could rewrite what a terminal shows; lines stay lines."""
    return "\n".join(map(_escaped, text.split("\n")))


def first_problem(error: "ValidationError") -> str:
    """Say on one line which key of a file is wrong, and why."""
    first = error.errors()[0]
    key = ".".join(map(str, first["loc"])) or "the file"
    return f"{shown(key)}: {shown(first['msg'].removeprefix('Value error, '))}"


def _escaped(text: str) -> str:
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)


def listed(findings: Iterable[str], count: int, *, limit: int = SHOWN) -> str:
    """Write the first findings on indented lines of their own, and how many more there are.

    Args:
        findings: What was found; only the first `limit` are asked for.
        count: How many there are.
        limit: How many are written.
    """
    lines = [f"\n  {finding}" for finding in islice(findings, limit)]
    return "".join(lines) + (f"\n  and {count - limit} more" if count > limit else "")


def four_digits(value: float) -> str:
    """A number with four decimals, or fewer where it would have more than four significant digits.

    >>> [four_digits(value) for value in (0.14016, 0.99996, 1.23456, 9.99996, 23.456, 0.00001)]
    ['0.1402', '1.000', '1.235', '10.00', '23.46', '0.0000']
    """
    rounded = float(f"{value:.4g}")
    whole = len(str(int(abs(rounded)))) if abs(rounded) >= 1 else 0
    return f"{rounded:.{max(4 - whole, 0)}f}"


_IN_ADDRESS = re.compile(r"(?<=://)[^/\s]+(?=@)|(?<=[?&]password=)[^&\s]+")
_SECRET_NAME = re.compile(r"(KEY|TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIALS)$", re.IGNORECASE)
_SHORTEST = 8
"""Characters of a value that is hidden; shorter ones would hide half of every message, and are no secret."""

HIDDEN = "***"

_TO_STRIP = re.compile(r"(?<=://)[^/\s]+@|(?<=[?&])password=[^&\s]*&?")


def redact(text: str, environment: Mapping[str, str] | None = None) -> str:
    """Hide the user and password of every address, and the value of every variable named like a secret.

    Args:
        text: Such as a message, or a command as it was typed.
        environment: Variables such as KAGGLE_KEY; None: those of this process.

    >>> redact("https://me:secret@mlflow.example.org/api")
    'https://***@mlflow.example.org/api'
    >>> redact("403 for key 0123456789abcdef", {"KAGGLE_KEY": "0123456789abcdef"})
    '403 for key ***'
    """
    variables = os.environ if environment is None else environment
    secrets = {value for name, value in variables.items() if _SECRET_NAME.search(name)}
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) >= _SHORTEST:
            text = text.replace(secret, HIDDEN)
    return _IN_ADDRESS.sub(HIDDEN, text)


def strip_credentials(address: str) -> str:
    """Take the user and password out of an address.

    >>> strip_credentials("https://me:secret@mlflow.example.org/api")
    'https://mlflow.example.org/api'
    """
    return _TO_STRIP.sub("", address)
