"""Send a submission to Kaggle, and learn its score."""

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tune_paddy.core.errors import InputError, TunePaddyError
from tune_paddy.data.kaggle.client import COMPETITION, KaggleClient, explain
from tune_paddy.data.submission import Submission, read_submission

UPLOAD_FAILED = "Could not submit to competition"
"""What the client answers, without an error, when the file did not arrive."""

POLL_SECONDS = 5.0


@dataclass(frozen=True)
class Sent:
    """A submission as Kaggle took it.

    Attributes:
        competition: Kaggle's name of it.
        ref: Kaggle's number of the submission; 0 where it told none.
        file_name: Without its folder.
        message: What stands beside it on Kaggle's page.
        sent_at: ISO 8601, UTC.
        answer: Kaggle's words.
    """

    competition: str
    ref: int
    file_name: str
    message: str
    sent_at: str
    answer: str = ""


@dataclass(frozen=True)
class Score:
    """What Kaggle says of a submission.

    Attributes:
        status: `pending`, `complete` or `error`.
        public: On the public part of the test set, as Kaggle writes it; empty: not told.
        private: On the rest, told once the competition is over.
        problem: Why it could not be scored; empty otherwise.
    """

    status: str
    public: str = ""
    private: str = ""
    problem: str = ""

    @property
    def pending(self) -> bool:
        """Whether Kaggle is still at it."""
        return self.status == "pending"


def read_to_send(path: Path) -> Submission:
    """Read a submission that is about to be sent.

    Raises:
        InputError: There is no such file, or it is no submission.
    """
    if not path.is_file():
        raise InputError(f"there is no file {path}; `tune-paddy select SEARCH` writes one")
    return read_submission(path)


def label_counts(submission: Submission) -> list[tuple[str, int]]:
    """How many images were given each label, the most frequent first."""
    return Counter(submission.labels).most_common()


def send(client: KaggleClient, path: Path, message: str, competition: str = COMPETITION) -> Sent:
    """Send a submission.

    Raises:
        TunePaddyError: Kaggle did not take it.
    """
    doing = f"submit to {competition}"
    try:
        answer = client.competition_submit(str(path), message, competition, quiet=True)
    except Exception as error:
        raise explain(error, doing, competition) from None
    words = str(getattr(answer, "message", answer) or "")
    if words == UPLOAD_FAILED:
        raise TunePaddyError(f"{path} did not arrive at Kaggle; check the network, then send it again")
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return Sent(competition, int(getattr(answer, "ref", 0) or 0), path.name, message, now, words)


def find_score(client: KaggleClient, sent: Sent) -> Score:
    """Ask Kaggle once for the score of a submission.

    Raises:
        TunePaddyError: Kaggle could not be asked, or does not know the submission.
    """
    try:
        listed = client.competition_submissions(sent.competition) or []
    except Exception as error:
        raise explain(error, f"list the submissions of {sent.competition}", sent.competition) from None
    for entry in listed:  # the newest first
        if entry is not None and _is_it(entry, sent):
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
    """Ask Kaggle for the score of a submission until it has one, for some minutes at most.

    Raises:
        TunePaddyError: Kaggle could not be asked, or does not know the submission.
    """
    give_up = clock() + 60 * minutes
    while True:
        score = find_score(client, sent)
        if not score.pending or clock() >= give_up:
            return score
        sleep(POLL_SECONDS)


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
