"""Hide credentials in text that is shown or recorded: those in addresses, and those in the environment."""

import os
import re
from collections.abc import Mapping

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
