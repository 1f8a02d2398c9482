"""Text for messages and records: escaped names, counts, truncated lists, redacted credentials."""

import os
import re
import sys
from collections.abc import Iterable, Mapping
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from tune_paddy.core.errors import InputError

if TYPE_CHECKING:
    from pydantic import ValidationError

SHOWN = 20
"""Number of findings that a message lists; it counts the rest."""

_LONGEST_NAME = 300


def shown(name: str | Path) -> str:
    """Return an external name on one line: escape control characters, and shorten it in the middle."""
    text = _escaped(str(name))
    half = _LONGEST_NAME // 2
    return text if len(text) <= _LONGEST_NAME else f"{text[:half]}…{text[-half:]}"


def printable(text: str) -> str:
    """Escape control characters, which could manipulate a terminal; keep line feeds."""
    return "\n".join(map(_escaped, text.split("\n")))


def shown_value(value: object) -> object:
    """Return a value for a page: a text without control characters, anything else as it is.

    Text that is marked as HTML is a subclass of str, and stays too.
    """
    return printable(value) if type(value) is str else value


def check_decoded(path: str | Path) -> None:
    """Refuse a name that cannot be written into a record: its bytes are not those of a text.

    Raises:
        InputError: The name has bytes that this Python could not decode.
    """
    try:
        str(path).encode()
    except UnicodeEncodeError as error:
        encoding = sys.getfilesystemencoding()
        remedy = (
            "rename it"
            if encoding == "utf-8"
            else f"this Python reads names as {encoding}: set PYTHONUTF8=1, or a locale with UTF-8"
        )
        raise InputError(f"{shown(path)}: its name is not UTF-8: {remedy}") from error


def first_problem(error: "ValidationError") -> str:
    """Return the first invalid key of a file and the reason, on one line."""
    first = error.errors()[0]
    key = ".".join(map(str, first["loc"])) or "the file"
    return f"{shown(key)}: {shown(first['msg'].removeprefix('Value error, '))}"


def _escaped(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)


def listed(findings: Iterable[str], count: int, *, limit: int = SHOWN) -> str:
    """Format the first findings on indented lines, and the number of further ones.

    Args:
        findings: Findings; only the first `limit` are consumed.
        count: Total number of findings.
        limit: Number of findings to list.
    """
    lines = [f"\n  {finding}" for finding in islice(findings, limit)]
    return "".join(lines) + (f"\n  and {count - limit} more" if count > limit else "")


def counted(count: float, noun: str, plural: str | None = None) -> str:
    """Format a count with its noun, in the singular for 1.

    Args:
        count: Number of things.
        noun: Noun in the singular.
        plural: Noun in the plural; None: the singular with an s.

    >>> counted(1, "image"), counted(1797, "image"), counted(2, "class", "classes"), counted(0.5, "GPU")
    ('1 image', '1,797 images', '2 classes', '0.5 GPUs')
    """
    return f"{count:,.10g} {noun if count == 1 else plural or f'{noun}s'}"


def four_digits(value: float) -> str:
    """Format a number with at most four decimals and four significant digits.

    >>> [four_digits(value) for value in (0.14016, 0.99996, 1.23456, 9.99996, 23.456, 0.00001)]
    ['0.1402', '1.000', '1.235', '10.00', '23.46', '0.0000']
    """
    rounded = float(f"{value:.4g}")
    whole = len(str(int(abs(rounded)))) if abs(rounded) >= 1 else 0
    return f"{rounded:.{max(4 - whole, 0)}f}"


def percent(share: float) -> str:
    """Format a share from 0 to 1 as a percentage with two decimals: one image in ten thousand shows.

    >>> percent(0.0472), percent(1)
    ('4.72 %', '100.00 %')
    """
    return f"{100 * share:.2f} %"


def duration(seconds: float) -> str:
    """Format a duration, given in seconds.

    >>> [duration(seconds) for seconds in (7.4, 150, 9000, 200000)]
    ['7 s', '2.5 min', '2.5 h', '2.3 d']
    """
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds / length:.1f} {unit}"
    return f"{max(seconds, 0):.0f} s"


_COMMAND = re.compile(r"(?<!uv run )\b(?=(tune-paddy|mlflow models) [a-z])")
_UV_DEPTH = "UV_RUN_RECURSION_DEPTH"
"""Variable that `uv run` sets for the program that it runs."""


def as_started(text: str, environment: Mapping[str, str] | None = None) -> str:
    """Return a text with its commands written as the user started the program: with `uv run`, or without.

    Args:
        text: Text such as a message.
        environment: Variables; None: those of this process.

    >>> as_started("write it: tune-paddy select night", {"UV_RUN_RECURSION_DEPTH": "1"})
    'write it: uv run tune-paddy select night'
    >>> as_started("write it: tune-paddy select night", {})
    'write it: tune-paddy select night'
    """
    variables = os.environ if environment is None else environment
    return _COMMAND.sub("uv run ", text) if _UV_DEPTH in variables else text


_IN_ADDRESS = re.compile(r"(?<=://)[^/\s]+(?=@)|(?<=[?&]password=)[^&\s]+")
_SECRET_NAME = re.compile(r"(KEY|TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIALS)$", re.IGNORECASE)
_SHORTEST = 8
"""Minimum length of a redacted value: shorter ones are not secrets, and occur in ordinary text."""

HIDDEN = "***"

_TO_STRIP = re.compile(r"(?<=://)[^/\s]+@|(?<=[?&])password=[^&\s]*&?")


def redact(text: str, environment: Mapping[str, str] | None = None) -> str:
    """Redact user and password in URLs, and the values of variables named like a secret.

    Args:
        text: Text such as a message or a command line.
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
    """Remove user and password from a URL.

    >>> strip_credentials("https://me:secret@mlflow.example.org/api")
    'https://mlflow.example.org/api'
    """
    return _TO_STRIP.sub("", address)
