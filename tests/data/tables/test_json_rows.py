import json
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tune_paddy.core.errors import InputError
from tune_paddy.data.tables.csv_table import read_table


def read(tmp_path, content, name="t.json"):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_table(path)


@pytest.mark.parametrize(
    ("name", "content", "lines"),
    [
        ("t.json", '[{"image": "é.jpg", "label": 7},\n\n {"label": "b", "image": "2.jpg"}]\n', [1, 3]),
        ("t.jsonl", '\n{"image": "é.jpg", "label": 7}\r\n{"image": "2.jpg", "label": "b"}', [2, 3]),
        ("T.NDJSON", '{"image":"\\u00e9.jpg","label":7}\n{"image":"2.jpg","label":"b"}\n', [1, 2]),
        ("t.json", '{"image": "é.jpg", "label": 7}\n{"image": "2.jpg", "label": "b"}', [1, 2]),
        ("t.json", '{\n  "é.jpg": 7,\n  "2.jpg": "b"\n}', [2, 3]),
    ],
    ids=["list", "lines", "escaped", "lines named json", "object"],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_every_form_is_the_same_table_and_knows_its_lines(tmp_path, name, content, lines, encoding):
    table = read(tmp_path, content.encode(encoding), name)
    assert (table.columns, table.rows) == (("image", "label"), (("é.jpg", "7"), ("2.jpg", "b")))
    assert list(table.lines) == lines


def test_values_are_text_as_they_are_written(tmp_path):
    table = read(tmp_path, '[{"a": 1.0, "b": 1e400, "c": true, "d": null, "e": ["x", 2], "f": [], "g": NaN}]')
    assert table.rows == (("1.0", "1e400", "true", "", "x|2", "", "NaN"),)


def test_a_single_record_in_json_lines_is_no_object_of_images(tmp_path):
    assert read(tmp_path, '{"image": "1.jpg", "label": "b"}', "t.jsonl").rows == (("1.jpg", "b"),)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "t.json: needs a header line and at least one row"),
        ("[]", "t.json: needs a header line and at least one row"),
        ('[{"a": 1},\n{"a": 2}', "t.json:2: is not valid JSON: , expected"),
        ('[{"a": 1},\n{"a" 2}]', "t.json:2: is not valid JSON: Expecting ':' delimiter"),
        ('[{"a": 1}]\nx', "t.json:2: is not valid JSON: the end of the file expected"),
        ('{"a": 1}\n{"a": 2', "t.json:2: is not valid JSON: Expecting ',' delimiter"),
        (
            '[{"a": 1},\n{"b": 1}]',
            "t.json:2: the key a is in this record or in the first one, but",
        ),
        ('[{"a": 1},\n{"a": 1, "a": 2}]', "t.json:2: a key is there twice"),
        ('[{"a": 1},\n["x"]]', 't.json:2: is no record such as {"image": "1.jpg"'),
        (
            '[{"a": {"b": 1}}]',
            "t.json:1: a holds more than a text, a number or a list of them: save",
        ),
        ('[{"a": [["b"]]}]', "t.json:1: a holds more than a text"),
        ('[{"a": ["b|c"]}]', "t.json:1: a holds more than a text"),
        (r'[{"a": "\ud800"}]', "t.json:1: a holds more than a text"),
        ("[{}]", "t.json:1: is no record"),
        ("[" * 100_000, "t.json: is nested too deeply to be a table"),
    ],
)
def test_what_is_no_flat_table_is_refused_with_its_line(tmp_path, content, message):
    with pytest.raises(InputError) as caught:
        read(tmp_path, content)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


texts = st.sampled_from(("image", "label", "1.jpg", "a|b", "\n", "\ud800", "ö", ""))
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)


@given(values, st.sampled_from(("t.json", "t.jsonl")), st.integers(0, 60), st.sampled_from((None, 1)))
def test_any_json_whole_or_cut_off_gives_a_table_or_one_line(value, name, end, indent):
    text = json.dumps(value, indent=indent)
    for content in (text, text[:end], f"{text}\n{text}", f"{text[:end]}{text}"):
        with TemporaryDirectory() as folder:
            try:
                table = read(Path(folder), content, name)
                assert all(len(column) == len(table.lines) for column in table.values)
            except InputError as refusal:
                message = str(refusal)
            else:
                message = ""
        assert "\n" not in message
