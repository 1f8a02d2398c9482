import math

import pytest

from tune_paddy.spaces.yaml_tree import (
    MAX_DEPTH,
    MAX_NODES,
    YamlList,
    YamlMap,
    YamlNode,
    YamlScalar,
    read_yaml,
)

LAUGHS = "a: &a [lol, lol]\n" + "".join(
    f"{new}: &{new} [{', '.join(['*' + old] * 9)}]\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)


def read(text: str) -> tuple[YamlNode | None, list[tuple[int, str]]]:
    """Return the root and the reported problems."""
    problems: list[tuple[int, str]] = []
    root = read_yaml(text, lambda line, message: problems.append((line, message)))
    return root, problems


def refusal(text: str) -> tuple[int, str]:
    """Return the only problem of an unreadable text."""
    root, problems = read(text)
    assert root is None
    assert len(problems) == 1
    return problems[0]


def value_of(text: str) -> object:
    """Return the value of a text that is one scalar."""
    root, problems = read(text)
    assert not problems
    assert isinstance(root, YamlScalar)
    return root.value


def test_lines() -> None:
    """Every key and value knows its line."""
    root, problems = read("# a comment\none:\n  - 1\n  -\n    two: x\nthree: {four: 4,\n  five: 5}\n")
    assert not problems
    assert isinstance(root, YamlMap)
    assert (root.line, [(entry.key, entry.line) for entry in root.entries]) == (2, [("one", 2), ("three", 6)])
    one, three = (entry.node for entry in root.entries)
    assert isinstance(one, YamlList)
    assert [item.line for item in one.items] == [3, 5]
    assert isinstance(three, YamlMap)
    assert [(entry.key, entry.line) for entry in three.entries] == [("four", 6), ("five", 7)]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001),
        ("2E5", 2e5),
        ("-1.5e3", -1500.0),
        (".5e+1", 5.0),
        ("0.01", 0.01),
        ("64", 64),
        ("true", True),
        ("no", False),
        ("~", None),
        ("none", "none"),
        ("'1e-3'", "1e-3"),
        ("2022-07-01", "2022-07-01"),
        ("1e3x", "1e3x"),
        ("0x_", "0x_"),
        ("9" * 5000, "9" * 5000),
        ("0x1" + "0" * 20, "0x1" + "0" * 20),
    ],
)
def test_scalars(text: str, value: object) -> None:
    """Numbers, booleans and nulls are recognised; everything else stays text."""
    read_value = value_of(text)
    assert read_value == value
    assert type(read_value) is type(value)


def test_nan() -> None:
    """NaN is parsed; readers validate it."""
    value = value_of(".nan")
    assert isinstance(value, float)
    assert math.isnan(value)


def test_repeated_keys() -> None:
    """A repeated key is reported with both lines, and its first value kept."""
    root, problems = read("a: 1\nb: 2\na: 3\n")
    assert problems == [(3, "duplicate key 'a', first in line 1; keep one")]
    assert isinstance(root, YamlMap)
    assert [(entry.key, entry.node) for entry in root.entries] == [
        ("a", YamlScalar(1, "1", 1)),
        ("b", YamlScalar(2, "2", 2)),
    ]


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("", 1, "empty"),
        ("# only a comment\n", 1, "empty"),
        ("a: 1\n\tb: 2\n", 2, "not tabs"),
        ("a: 1\n--- \nb: 2\n", 2, "second document"),
        ("a: [1, 2\nb: 3\n", 2, "not YAML"),
        ("a: 'open\n", 2, "not YAML"),
        ("a: 1\nb: \x07\n", 2, "not allowed"),
        ('a: "\\UFFFFFFFF"\n', 1, "not YAML"),
        (LAUGHS, 1, "anchors"),
        ("a: 1\nb: *a\n", 2, "aliases"),
        ("a: !!python/object/apply:os.system [ls]\n", 1, "tag"),
        ("- a\n- " + "[" * 2**20, 2, f"deeper than {MAX_DEPTH}"),
        ("- a\n" * (MAX_NODES + 1), MAX_NODES, f"more than {MAX_NODES}"),
    ],
    ids=lambda value: str(value)[:20] if isinstance(value, str) else None,
)
def test_refusals(text: str, line: int, words: str) -> None:
    """Features that a settings file never needs are refused, with the line."""
    where, message = refusal(text)
    assert where == line
    assert words in message


def test_keys_that_are_lists() -> None:
    """A key that is not a scalar is reported and skipped."""
    root, problems = read("? [a, b]\n: 1\nc: 2\n")
    assert problems == [(1, "a key must be a word, not a list or a mapping")]
    assert isinstance(root, YamlMap)
    assert [entry.key for entry in root.entries] == ["c"]
