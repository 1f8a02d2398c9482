"""Send a submission with Kaggle's official client."""

import os
from pathlib import Path
from typing import Any, Protocol

from tune_paddy.core.errors import InputError, TunePaddyError

COMPETITION = "paddy-disease-classification"


class KaggleClient(Protocol):
    """The part of `kaggle.api` that is used here."""

    def competition_submit(self, file_name: str, message: str, competition: str) -> Any:
        """Send a file."""


def find_client() -> KaggleClient:
    """Return Kaggle's official client, signed in.

    Raises:
        InputError: The package or the credentials are missing; the message says how to get them.
    """
    if not has_credentials():
        raise InputError(
            "no Kaggle credentials: create a token on your Kaggle account page, then put it into "
            "~/.kaggle/kaggle.json, or set KAGGLE_USERNAME and KAGGLE_KEY (or KAGGLE_API_TOKEN)"
        )
    try:
        from kaggle.api.kaggle_api_extended import KaggleApi  # noqa: PLC0415 an optional extra
    except ImportError as error:
        raise InputError(
            "the Kaggle client is not installed: run `uv sync --extra kaggle`, or `pip install kaggle`"
        ) from error
    api = KaggleApi()
    try:
        api.authenticate()
    except (Exception, SystemExit) as error:  # the client exits the process when a token is refused
        raise InputError(f"Kaggle refused the credentials: {_reason(error)}") from error
    client: KaggleClient = api
    return client


def has_credentials() -> bool:
    """Whether a token is where Kaggle's client looks for it."""
    folder = Path(os.environ.get("KAGGLE_CONFIG_DIR", "~/.kaggle")).expanduser()
    token = bool(os.environ.get("KAGGLE_API_TOKEN")) or (folder / "access_token").is_file()
    pair = bool(os.environ.get("KAGGLE_USERNAME") and os.environ.get("KAGGLE_KEY"))
    return token or pair or (folder / "kaggle.json").is_file()


def submit(client: KaggleClient, submission: Path, message: str, competition: str = COMPETITION) -> str:
    """Send a submission file and return what Kaggle answered.

    Raises:
        InputError: There is no such file.
        TunePaddyError: Kaggle did not take it.
    """
    if not submission.is_file():
        raise InputError(f"there is no submission {submission}; run `tune-paddy select SEARCH` first")
    try:
        answer = client.competition_submit(str(submission), message, competition)
    except Exception as error:
        raise TunePaddyError(
            f"Kaggle did not take the submission: {_reason(error)}; "
            f"have you accepted the rules of {competition} on its page?"
        ) from error
    return str(getattr(answer, "message", answer))


def _reason(error: BaseException) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
