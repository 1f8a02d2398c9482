import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tune_paddy.core.errors import InputError
from tune_paddy.data.tables.csv_table import MAX_COLUMNS, format_csv, join_tables, read_csv, read_table

texts = st.text(st.characters(codec="utf-8"))


def table(tmp_path, content):
    path = tmp_path / "t.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_csv(path)


def test_everything_is_text(tmp_path):
    """Pandas would read NA as missing and 007 as 7, but both are valid class names."""
    read = table(tmp_path, "id,label\n007,NA\n1.0,null\n,None\n")
    assert read.rows == (("007", "NA"), ("1.0", "null"), ("", "None"))


@pytest.mark.parametrize("start", [b"", b"\xef\xbb\xbf"], ids=["plain", "byte order mark"])
@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"], ids=["unix", "windows", "mac"])
def test_csv_variants_of_spreadsheets_are_read(tmp_path, start, end):
    read = table(tmp_path, start + b"id,label" + end + b"a,b" + end)
    assert (read.columns, read.rows) == (("id", "label"), (("a", "b"),))


def test_a_row_has_its_line_after_blank_and_quoted_lines(tmp_path):
    read = table(tmp_path, 'id\n\n"two\nlines"\nx\n')
    assert read.rows == (("two\nlines",), ("x",))
    assert [read.place(row).rpartition(":")[2] for row in (0, 1)] == ["4", "5"]


def test_a_column_is_found_by_the_first_matching_name_in_any_case(tmp_path):
    read = table(tmp_path, " Image_ID ,Label,path\na,b,c\n")
    assert read.find_column(("path", "image_id")) == "path"
    assert read.find_column(("image_id", "path")) == "Image_ID"
    assert read.find_column(("target",)) is None
    assert read.column("Image_ID") == ["a"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "t.csv: needs a header line and at least one row"),
        (b"id,label\n", "t.csv: needs a header line and at least one row"),
        (b"id,label\na\n", "t.csv:2: has 1 values, expected 2"),
        (b"id,label\na,b\nc,d,e\n", "t.csv:3: has 3 values, expected 2"),
        (b"id,id\na,b\n", "t.csv:1: duplicate column 'id'"),
        (b'id,label\na,"b\n', "t.csv:2: is not valid CSV: unexpected end of data"),
        (b"id,label\na,b\nc,\xe9t\xe9\n", "t.csv:3: byte 0xe9 is not UTF-8: save the file as UTF-8"),
        ("id,label\na,b\n".encode("utf-16"), "t.csv:1: byte 0xff is not UTF-8"),
        (b"x" * 200_000 + b",y\na,b\n", "t.csv:1: is not valid CSV: field larger than field limit"),
    ],
)
def test_an_invalid_file_is_reported_with_its_line(tmp_path, content, message):
    with pytest.raises(InputError) as caught:
        table(tmp_path, content)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_more_columns_than_a_spreadsheet_has_are_refused_before_the_rows_are_read(tmp_path):
    names = ",".join(map(str, range(MAX_COLUMNS + 1)))
    with pytest.raises(InputError, match=r"t\.csv:1: has 16,385 columns; at most 16,384 are read"):
        table(tmp_path, f"{names}\na,b\n")


def test_a_column_is_found_without_comparing_the_names_of_others(tmp_path):
    class Name(str):
        __slots__ = ()
        __hash__ = str.__hash__

        def __eq__(self, other):
            compared.append(other)
            return str.__eq__(self, other)

    compared = []
    read = table(tmp_path, ",".join(map(str, range(100))) + "\n" + "a," * 99 + "b\n")
    wanted = Name("99")
    assert read.column(wanted) == ["b"]
    assert compared in ([], ["99"])


def test_labels_are_stored_once(tmp_path):
    read = table(tmp_path, "id,label\n" + "".join(f"{row},label {row % 2}\n" for row in range(9)))
    assert len({id(label) for label in read.column("label")}) == 2


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"gone\.csv: cannot be read: No such file"):
        read_csv(tmp_path / "gone.csv")


@given(st.binary(max_size=80) | st.text(alphabet='a,"\n\r;\0 é', max_size=40).map(str.encode))
def test_any_bytes_give_a_table_or_one_line(tmp_path, content):
    try:
        read = table(tmp_path, content)
    except InputError as error:
        message = str(error)
    else:
        message = ""
        assert all(len(row) == len(read.columns) for row in read.rows)
        assert len(read.lines) == len(read.rows) > 0
    assert "\n" not in message


@given(st.lists(st.tuples(texts, texts), min_size=1))
def test_written_rows_are_read_back_here_and_by_pythons_reader(tmp_path, rows):
    content = format_csv([("id", "label"), *rows])
    assert list(table(tmp_path, content).rows) == rows
    assert [tuple(row) for row in csv.reader(io.StringIO(content.decode(), newline=""))][1:] == rows


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252"])
def test_a_table_is_read_in_any_separator_and_encoding(tmp_path, separator, encoding):
    path = tmp_path / "t.csv"
    text = "".join(separator.join(row) + "\n" for row in (("image", "label"), ("a, b.jpg", "é")))
    if separator == ",":
        text = text.replace("a, b.jpg", '"a, b.jpg"')
    path.write_bytes(text.encode(encoding))
    read = read_table(path)
    assert (read.columns, read.rows, read.separator) == (("image", "label"), (("a, b.jpg", "é"),), separator)


def test_blanks_after_a_separator_do_not_count(tmp_path):
    (tmp_path / "t.csv").write_text('"image", "label"\n"a.jpg", "x, y"\nb.jpg,  z\n')
    read = read_table(tmp_path / "t.csv")
    assert (read.columns, read.rows) == (("image", "label"), (("a.jpg", "x, y"), ("b.jpg", "z")))


@pytest.mark.parametrize("first", ["sep=;", '"sep=;"', "SEP=;\r"])
def test_a_first_line_may_declare_the_separator(tmp_path, first):
    (tmp_path / "t.csv").write_text(f"{first}\nimage;label\na,b;c\n", encoding="utf-8-sig")
    read = read_table(tmp_path / "t.csv")
    assert (read.columns, read.rows) == (("image", "label"), (("a,b", "c"),))
    assert read.place(0).endswith("t.csv:3")


def test_a_table_with_a_row_of_another_length_is_refused_with_its_line(tmp_path):
    (tmp_path / "t.csv").write_text("image;label\na;b\nc;d;e\n")
    with pytest.raises(InputError, match=r"t\.csv:3: has 3 values, expected 2"):
        read_table(tmp_path / "t.csv")


def test_a_table_that_mixes_encodings_is_refused(tmp_path):
    (tmp_path / "t.csv").write_bytes("é,ü\n".encode() + b"\xff,b\n")
    with pytest.raises(InputError, match=r"t\.csv:2: byte 0xff is not UTF-8"):
        read_table(tmp_path / "t.csv")


@given(st.binary(max_size=80) | st.text(alphabet='a,"\n\r;\0\t é', max_size=40).map(str.encode))
def test_any_bytes_give_a_table_of_any_form_or_one_line(tmp_path, content):
    (tmp_path / "t.csv").write_bytes(content)
    try:
        read = read_table(tmp_path / "t.csv")
    except InputError as error:
        message = str(error)
    else:
        message = ""
        assert all(len(row) == len(read.columns) for row in read.rows)
    assert "\n" not in message


def test_joined_tables_have_the_columns_in_common_and_the_place_of_each_row(tmp_path):
    for part, content in (("train", "id,label,site\n1,a,x\n\n2,b,x\n"), ("val", "label,id\nc,3\n")):
        (tmp_path / part).mkdir()
        (tmp_path / part / "labels.csv").write_text(content)
    joined = join_tables([read_csv(tmp_path / part / "labels.csv") for part in ("train", "val")])
    assert joined.columns == ("id", "label")
    assert joined.rows == (("1", "a"), ("2", "b"), ("3", "c"))
    assert joined.title == "train/labels.csv and val/labels.csv"
    assert [joined.place(row) for row in (1, 2)] == [
        f"{tmp_path}/train/labels.csv:4",
        f"{tmp_path}/val/labels.csv:2",
    ]
    assert joined.line(2) == "line 2 of val/labels.csv"


def test_a_single_table_is_joined_to_itself(tmp_path):
    read = table(tmp_path, "id\n1\n")
    assert join_tables([read]) is read
    assert (read.title, read.line(0)) == ("t.csv", "line 2")
