"""Facts about an ensemble's origin: date, searches, dataset, and the place of its record."""

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from tune_paddy.core.predictions import Pool
from tune_paddy.core.teaching.words import teachers_in_words
from tune_paddy.data.system.text import counted, redact, strip_credentials
from tune_paddy.ensemble.reports.wording import duration
from tune_paddy.tracking.runs import RecordedRun
from tune_paddy.tracking.schema import SearchRecord


@dataclass(frozen=True)
class Fact:
    """One line about the origin of an ensemble.

    Attributes:
        what: Name of the fact.
        text: The fact, as text.
        command: Command line to copy; empty: none.
        link: Address of a page; empty: none.
    """

    what: str
    text: str
    command: str = ""
    link: str = ""


def facts(
    pool: Pool,
    searches: Sequence[RecordedRun],
    members: Sequence[RecordedRun],
    *,
    images: tuple[Mapping[str, Path], Mapping[str, Path]],
    tracking_uri: str,
    written: datetime,
) -> Iterator[Fact]:
    """Yield the facts of a report, in reading order.

    Args:
        pool: Pool that the ensemble was selected from.
        searches: Searches of the pool.
        members: Members of these searches, of any outcome.
        images: Id → file of the labelled images and of the test set; both empty if they are not found.
        tracking_uri: Address of the record; empty: unknown.
        written: Time of the report.
    """
    yield Fact("Written", _date(written))
    for search in searches:
        yield Fact("Search", _about_search(search, members))
    for search in searches:
        yield from _teachers(search, len(pool.test_ids))
    record = SearchRecord.from_run(searches[0])
    if record.images:
        yield Fact("Dataset", f"{record.images.name} ({record.images})")
    labelled, test = map(len, images)
    every = [counted(labelled, "labelled image")] if labelled else []
    every += [f"{counted(test or len(pool.test_ids), 'image')} to predict"] * bool(len(pool.test_ids))
    every.append(counted(len(pool.classes), "class", "classes"))
    yield Fact("Images", ", ".join(every))
    judged = f"{counted(len(pool.labels), 'image')} judge the members; split {pool.split}"
    folds = int((record.settings or {}).get("folds") or 0)
    yield Fact("Folds", f"{folds}; {judged}") if folds else Fact("Select split", judged)
    if tracking_uri:
        yield _record(searches[0], tracking_uri)


def _about_search(search: RecordedRun, members: Sequence[RecordedRun]) -> str:
    own = [member for member in members if member.search == search.name]
    finished = sum(member.outcome == "finished" for member in own)
    record = SearchRecord.from_run(search)
    parts = [f"{search.name}: {finished} of {counted(len(own), 'member')} finished"] if own else [search.name]
    if record.space:
        parts.append(f"space {record.space}")
    parts.append(f"started {_date(datetime.fromtimestamp(search.started, UTC))}")
    if record.seconds is not None:
        parts.append(f"ran for {duration(record.seconds)}")
    return ", ".join(parts)


def _teachers(search: RecordedRun, n_test: int) -> Iterator[Fact]:
    """Yield who taught the members of a search, if anyone did."""
    taught = teachers_in_words(SearchRecord.from_run(search).settings or {}, n_test)
    if taught:
        yield Fact("Teacher", f"{search.name} was {', and '.join(taught)}")


def _record(search: RecordedRun, tracking_uri: str) -> Fact:
    """Return the link to the search's page on a server, or the command that shows a local record."""
    if tracking_uri.startswith(("http://", "https://")):
        server = strip_credentials(tracking_uri).rstrip("/")
        page = f"{server}/#/experiments/{search.experiment_id}/runs/{search.run_id}"
        return Fact("MLflow", f"{search.name} on {server}", link=page)
    words = ["tune-paddy", "ui", search.name, "--tracking-uri", redact(tracking_uri)]
    return Fact("MLflow", "all members, curves and files:", command=shlex.join(words))


def _date(moment: datetime) -> str:
    """Format a time without the names of a locale.

    >>> _date(datetime(2026, 11, 29, 5, 3, tzinfo=UTC))
    '2026-11-29 05:03 UTC'
    """
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")
