from dataclasses import replace

from tune_paddy.ensemble.reports.searches import Overview, _leaderboard, _notes
from tune_paddy.tracking.runs import RecordedRun
from tune_paddy.tracking.schema import MemberRecord

RUN = RecordedRun("s", "search", "s", "0", "0", "FINISHED", "finished", "", 0.0, 1.0, {}, {}, {}, "")


def test_a_note_is_shown_once_with_the_members_that_it_is_about() -> None:
    tags = {name: str(text) for name, text in MemberRecord(notes="its epoch was chosen").to_tags().items()}
    members = [replace(RUN, name=f"m{number}", kind="member", tags=tags) for number in range(5)]
    members += [replace(RUN, name="silent", kind="member")]
    (block,) = _notes(Overview(RUN, members, [], {}, 0.0))
    assert block.plain == "m0, m1, m2, 2 more: its epoch was chosen"


def test_without_notes_nothing_is_shown() -> None:
    assert not list(_notes(Overview(RUN, [replace(RUN, kind="member")], [], {}, 0.0)))


def test_the_leaderboard_says_what_proposed_a_member_and_what_it_cost() -> None:
    tags = MemberRecord(proposed_by="sampler").to_tags()
    members = [replace(RUN, name="net", kind="member", tags=tags, metrics={"cpu_seconds": 150.0})]
    table = _leaderboard(Overview(RUN, members, [], {}, 0.0))
    cells = {str(column.header): [*column.cells] for column in table.columns}
    assert (cells["from"], cells["cost"]) == (["sampler"], ["2.5 min CPU"])
    older = _leaderboard(Overview(RUN, [replace(member, tags={}) for member in members], [], {}, 0.0))
    assert "from" not in [column.header for column in older.columns]
