from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from tune_paddy.data.system.text import listed, shown


@given(st.text())
def test_any_name_is_shown_on_one_printable_line_of_bounded_length(name):
    text = shown(name)
    assert text.isprintable()
    assert len(text) <= 301


def test_names_in_other_scripts_are_unchanged():
    assert shown(Path("data") / "稻 ü.jpg") == "data/稻 ü.jpg"


def test_control_characters_and_undecodable_bytes_are_escaped():
    assert shown("a\nb\x1b[31m\udc80") == r"a\nb\x1b[31m\udc80"


def test_a_long_list_is_truncated_with_the_number_of_further_items():
    assert listed(map(str, range(10**9)), 10**9, limit=2) == "\n  0\n  1\n  and 999999998 more"


def test_a_list_within_the_limit_is_complete():
    assert listed(["a", "b"], 2, limit=2) == "\n  a\n  b"
