"""Tell failures of a storage that pass by themselves from those that a repeated call meets again.

pyarrow repeats requests to S3 itself, for about six seconds: too short for a server that is restarted.
"""

import errno
import re

from tune_paddy.data.system.repetition import ERROR_SECONDS, UNREACHABLE_SECONDS

_AWAY = re.compile(
    r"AWS Error (?:NETWORK_CONNECTION|SLOW_DOWN|SERVICE_UNAVAILABLE|THROTTLING|REQUEST_TIMEOUT)\b"
    r"|HTTP status (?:408|429|502|503|504)\b"
)
_FAILED = re.compile(r"AWS Error INTERNAL_FAILURE\b|HTTP status 500\b")
_AWAY_FOLDER = frozenset(
    (
        errno.ESTALE,
        errno.ETIMEDOUT,
        errno.ENOTCONN,
        errno.ECONNRESET,
        errno.EHOSTDOWN,
        errno.EHOSTUNREACH,
        errno.ENETUNREACH,
    )
)
"""Errors of a shared folder whose server is gone."""


def seconds_to_repeat(error: BaseException) -> float:
    """Return for how long a failed call to a storage is worth repeating, in seconds; 0: it would fail again.

    >>> seconds_to_repeat(OSError("When listing …: AWS Error NETWORK_CONNECTION during ListObjectsV2 …"))
    1200.0
    >>> seconds_to_repeat(OSError("When uploading …: AWS Error INTERNAL_FAILURE during PutObject operation"))
    180.0
    >>> seconds_to_repeat(OSError("When uploading …: AWS Error NO_SUCH_BUCKET during PutObject operation"))
    0.0
    >>> seconds_to_repeat(OSError(errno.ESTALE, "Stale file handle"))
    1200.0
    """
    text, number = str(error), getattr(error, "errno", None)
    if number in _AWAY_FOLDER or _AWAY.search(text):
        return UNREACHABLE_SECONDS
    return ERROR_SECONDS if number == errno.EIO or _FAILED.search(text) else 0.0
