import pytest

from tune_paddy.data.labels.doubtful_names import note_names


@pytest.mark.parametrize(
    ("classes", "notes"),
    [
        (("blast", "healthy"), ()),
        (("1", "2", "10"), ()),
        (("-1", "1"), ()),
        (("a+", "a-"), ()),
        (
            ("Blast", "blast", "brown spot", "brown_spot", "healthy"),
            ("classes that differ in spelling only: Blast and blast; brown spot and brown_spot; ",),
        ),
        (("1", "1.0", "2"), ("classes that differ in spelling only: 1 and 1.0; if they are one",)),
        (("A", "A-", "A+", "1_0", "10"), ()),
        (("a", "NaN"), ("class NaN: if it means that the label is missing",)),
        (("none", "some"), ()),
    ],
)
def test_other_spellings_and_missing_values_are_pointed_out(classes, notes):
    found = note_names(classes)
    assert len(found) == len(notes)
    assert all(note.startswith(start) for note, start in zip(found, notes, strict=True))
