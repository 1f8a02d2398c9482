"""Kaggle's official client: authentication, and translation of its errors into actionable messages."""

import io
import os
import re
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any, Protocol

from tune_paddy.core.errors import InputError, TunePaddyError
from tune_paddy.data.system.text import redact

COMPETITION = "paddy-disease-classification"

_HOW_TO_SIGN_IN = (
    "create a token on your Kaggle account page, then put it into ~/.kaggle/kaggle.json, or set "
    "KAGGLE_USERNAME and KAGGLE_KEY (or KAGGLE_API_TOKEN)"
)
_LONGEST_REASON = 200


class KaggleClient(Protocol):
    """Used part of `kaggle.api.kaggle_api_extended.KaggleApi`."""

    def competition_download_files(
        self, competition: str, path: str | None = None, force: bool = False, quiet: bool = True
    ) -> None:
        """Download all files as PATH/COMPETITION.zip, and resume an interrupted download."""

    def competition_submit(self, file_name: str, message: str, competition: str, quiet: bool = False) -> Any:
        """Upload a file; the response has a `message` and, if it was accepted, a `ref`."""

    def competition_submissions(self, competition: str) -> Sequence[Any] | None:
        """List the newest submissions: `ref`, `file_name`, `description`, `total_bytes`, `date`, scores."""


def find_client() -> KaggleClient:
    """Return Kaggle's official client, authenticated.

    Raises:
        InputError: The credentials or the package are missing; the message says how to get them.
        TunePaddyError: Kaggle could not verify the credentials.
    """
    if not has_credentials():
        raise InputError(f"no Kaggle credentials: {_HOW_TO_SIGN_IN}")
    try:
        # The package authenticates on import, and prints pages of help if that fails.
        with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            from kaggle.api.kaggle_api_extended import KaggleApi  # noqa: PLC0415 an optional extra

            api = KaggleApi()
            api.authenticate()
    except ImportError as error:
        raise InputError(
            "the Kaggle client is not installed: run `uv sync --extra kaggle`, or `pip install kaggle`"
        ) from error
    except SystemExit:  # the client exits on invalid credentials
        raise InputError(f"Kaggle refused the credentials: {_HOW_TO_SIGN_IN}") from None
    except Exception as error:
        raise explain(error, "sign in") from None
    client: KaggleClient = api
    return client


def has_credentials() -> bool:
    """Return whether a token exists where Kaggle's client looks for one."""
    home = Path("~/.kaggle").expanduser()
    config = Path(os.environ.get("XDG_CONFIG_HOME") or Path("~/.config").expanduser()) / "kaggle"
    own = os.environ.get("KAGGLE_CONFIG_DIR")
    files = [Path(own) / "kaggle.json"] if own else [home / "kaggle.json", config / "kaggle.json"]
    files += [home / name for name in ("access_token", "access_token.txt", "credentials.json")]
    token = bool(os.environ.get("KAGGLE_API_TOKEN") or os.environ.get("KAGGLE_API_V1_TOKEN"))
    pair = bool(os.environ.get("KAGGLE_USERNAME") and os.environ.get("KAGGLE_KEY"))
    return token or pair or any(file.is_file() for file in files)


def explain(error: Exception, doing: str, competition: str = COMPETITION) -> TunePaddyError:
    """Convert an error of the client into one that says what to do.

    Raise the result `from None`: the client's own errors contain signed URLs, which a traceback would show.

    Args:
        error: Error from the client; those of requests have a `response`.
        doing: Attempted action, such as `download paddy-disease-classification`.
        competition: Competition whose rules may have to be accepted.
    """
    status = getattr(getattr(error, "response", None), "status_code", None)
    what = f"Kaggle request failed: {doing}: {reason(error)}"
    page = f"https://www.kaggle.com/competitions/{competition}"
    if status == 401:  # noqa: PLR2004 HTTP's own numbers
        return InputError(f"{what}; the token is invalid or expired: {_HOW_TO_SIGN_IN}")
    if status == 403:  # noqa: PLR2004
        return TunePaddyError(
            f"{what}; accept the rules on {page}/rules, signed in as the owner of the "
            "token, then run the same command again"
        )
    if status == 404:  # noqa: PLR2004
        return InputError(f"{what}; check the competition's name against the address {page}")
    if status is None and isinstance(error, OSError):
        return TunePaddyError(f"{what}; check the network and the disk, then run the same command again")
    return TunePaddyError(f"{what}; see {page}")


def reason(error: BaseException) -> str:
    """Return the first line of an error, without secrets from URLs or the environment."""
    line = (str(error).strip() or type(error).__name__).splitlines()[0]
    cause = re.search(r"Max retries exceeded .*Caused by (\w+)", line)
    line = f"no connection ({cause[1]})" if cause else line
    line = re.sub(r"\?[^\s'\")]+", "?…", line)
    line = redact(re.sub(r"(?i)(bearer|basic) \S+", r"\1 …", line))
    return line if len(line) <= _LONGEST_REASON else line[: _LONGEST_REASON - 1] + "…"
