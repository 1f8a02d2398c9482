"""Submission to Kaggle, and retrieval of its score."""

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tune_paddy.core.errors import InputError, TunePaddyError
from tune_paddy.data.kaggle.client import COMPETITION, KaggleClient, explain
from tune_paddy.data.submission.files import Submission, read_submission

UPLOAD_FAILED = "Could not submit to competition"
"""Response of the client, without an error, when the upload failed."""

POLL_SECONDS = 5.0


@dataclass(frozen=True)
class Sent:
    """Submission that Kaggle accepted.

    Attributes:
        competition: Kaggle's name of the competition.
        ref: Kaggle's number of the submission; 0: unknown.
        file_name: File name without its folder.
        message: Description on Kaggle's page.
        sent_at: Time of submission, ISO 8601, UTC.
        answer: Kaggle's response message.
    """

    competition: str
    ref: int
    file_name: str
    message: str
    sent_at: str
    answer: str = ""


@dataclass(frozen=True)
class Score:
    """Score of a submission on Kaggle.

    Attributes:
        status: `pending`, `complete` or `error`.
        public: Score on the public part of the test set, as Kaggle formats it; empty: unknown.
        private: Score on the rest, available after the competition; empty: unknown.
        problem: Reason why scoring failed; empty otherwise.
    """

    status: str
    public: str = ""
    private: str = ""
    problem: str = ""

    @property
    def pending(self) -> bool:
        """Whether Kaggle is still scoring."""
        return self.status == "pending"


def read_to_send(path: Path) -> Submission:
    """Read a submission before it is sent.

    Raises:
        InputError: The file is missing, or is not a submission.
    """
    if not path.is_file():
        raise InputError(f"there is no file {path}; `tune-paddy select SEARCH` writes one")
    return read_submission(path)


def label_counts(submission: Submission) -> list[tuple[str, int]]:
    """Return the number of images per label, the most frequent label first; [] for probabilities."""
    return [] if submission.numbers is not None else Counter(submission.labels).most_common()


def mean_probabilities(submission: Submission) -> list[tuple[str, float]]:
    """Return the mean of each column of probabilities, the largest first; [] for labels."""
    if submission.numbers is None:
        return []
    means = zip(submission.columns[1:], submission.numbers.mean(axis=0).tolist(), strict=True)
    return sorted(means, key=lambda pair: -pair[1])


def send(client: KaggleClient, path: Path, message: str, competition: str = COMPETITION) -> Sent:
    """Send a submission.

    Raises:
        TunePaddyError: Kaggle did not accept it.
    """
    doing = f"submit to {competition}"
    try:
        answer = client.competition_submit(str(path), message, competition, quiet=True)
    except Exception as error:
        raise explain(error, doing, competition) from None
    words = str(getattr(answer, "message", answer) or "")
    if words == UPLOAD_FAILED:
        raise TunePaddyError(f"{path}: the upload to Kaggle failed; check the network, then send it again")
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return Sent(competition, int(getattr(answer, "ref", 0) or 0), path.name, message, now, words)


def sent_before(
    client: KaggleClient, path: Path, message: str, competition: str = COMPETITION
) -> Sent | None:
    """Return the newest submission of the same file name, size and message on Kaggle; None: there is none.

    Kaggle keeps no digest of the content. A submission whose size it does not state counts as equal.

    Raises:
        TunePaddyError: The request failed.
    """
    wanted = (path.name, message)
    for entry in _newest(client, competition):
        if (entry.file_name, entry.description) == wanted and entry.total_bytes in (0, path.stat().st_size):
            when = "" if entry.date is None else entry.date.isoformat(timespec="seconds")
            return Sent(competition, int(entry.ref), path.name, message, when)
    return None


def find_score(client: KaggleClient, sent: Sent) -> Score:
    """Request the score of a submission once.

    Raises:
        TunePaddyError: The request failed, or Kaggle does not know the submission.
    """
    for entry in _newest(client, sent.competition):
        if _is_it(entry, sent):
            return _score(entry)
    raise TunePaddyError(
        f"{sent.file_name}, sent {sent.sent_at}, is not among the newest submissions to {sent.competition}"
    )


def wait_for_score(
    client: KaggleClient,
    sent: Sent,
    *,
    minutes: float,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Score:
    """Poll Kaggle for the score of a submission, for at most `minutes`.

    Raises:
        TunePaddyError: A request failed, or Kaggle does not know the submission.
    """
    give_up = clock() + 60 * minutes
    while True:
        score = find_score(client, sent)
        if not score.pending or clock() >= give_up:
            return score
        sleep(POLL_SECONDS)


def _newest(client: KaggleClient, competition: str) -> list[Any]:
    """Return the newest submissions that Kaggle lists, the last one first."""
    try:
        listed = client.competition_submissions(competition) or []
    except Exception as error:
        raise explain(error, f"list the submissions of {competition}", competition) from None
    return [entry for entry in listed if entry is not None]


def _is_it(entry: Any, sent: Sent) -> bool:
    if sent.ref:
        return int(entry.ref) == sent.ref
    return (entry.file_name, entry.description) == (sent.file_name, sent.message)


def _score(entry: Any) -> Score:
    status = str(getattr(entry.status, "name", entry.status)).lower()
    return Score(
        status=status,
        public=str(entry.public_score or ""),
        private=str(entry.private_score or ""),
        problem=str(entry.error_description or "") if status == "error" else "",
    )
