"""Read everything that the record holds of one search, before it is resumed."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from tune_paddy.tracking.files import IMAGES_FILE, SPACE_FILE, read_text_of_search
from tune_paddy.tracking.runs import RecordedRun, get_search, list_members, parse_params, read_curve
from tune_paddy.tracking.schema import MemberRecord, SearchRecord
from tune_paddy.tracking.store import Store


@dataclass(frozen=True)
class RecordedMember:
    """A member as the record holds it.

    Attributes:
        run: Run of the member.
        record: Tags of the run.
        curve: Epoch → value of the requested metric, for the finished epochs; empty if not requested.
    """

    run: RecordedRun
    record: MemberRecord
    curve: Mapping[int, float]


@dataclass(frozen=True)
class RecordedSearch:
    """A search as the record holds it.

    Attributes:
        name: Name of the search.
        record: Tags of its run.
        settings: Settings of the search, parsed.
        images: Table of its images, as `describe_images` writes it; empty if it cannot be read.
        space: Text of its search space; empty if it cannot be read.
        members: Members of any outcome, by name.
    """

    name: str
    record: SearchRecord
    settings: Mapping[str, Any]
    images: str
    space: str
    members: tuple[RecordedMember, ...]


def read_recorded_search(
    store: Store, name: str, *, metric: str = "objective", curves_of: Collection[str] = ()
) -> RecordedSearch:
    """Read a search, its files and its members.

    Args:
        store: The record.
        name: Name of the search.
        metric: Metric of the curves.
        curves_of: Outcomes of the members whose curve is read; each curve takes one request.

    Raises:
        InputError: The search is unknown.
        TunePaddyError: MLflow failed.
    """
    run = get_search(store, name)
    return RecordedSearch(
        name,
        SearchRecord.from_run(run),
        parse_params(run.params),
        images=read_text_of_search(store, run, IMAGES_FILE),
        space=read_text_of_search(store, run, SPACE_FILE),
        members=tuple(
            RecordedMember(
                member,
                MemberRecord.from_run(member),
                read_curve(store, member.run_id, metric) if member.outcome in curves_of else {},
            )
            for member in list_members(store, name)
        ),
    )
