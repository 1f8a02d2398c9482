from dataclasses import replace

from tune_paddy.ensemble.reports.searches import Overview, _notes
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
