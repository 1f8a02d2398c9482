"""YAML parser that keeps the line of every value and rejects features that a settings file never needs.

It uses PyYAML's events rather than `yaml.safe_load`, so that parsing stops at malicious input: no aliases
(a few hundred bytes of them expand to gigabytes), no tags, and limits on nodes and depth.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import yaml

MAX_BYTES = 2**20
"""Maximum file size, in bytes."""

MAX_NODES = 10_000
"""Maximum number of keys and values in a file."""

MAX_DEPTH = 16
"""Maximum nesting depth of lists and mappings."""

_INT_BITS = 64  # longer ones, which Python may refuse to print, stay text

Report = Callable[[int, str], None]
"""Function that receives a line, counted from 1, and a problem."""


@dataclass(frozen=True)
class YamlScalar:
    """Plain or quoted value.

    Attributes:
        value: Value as in PyYAML's safe loader, except that dates and integers beyond 64 bits stay text,
            and `1e-3` is a number.
        text: Source text without quotes.
        line: Line number, counted from 1.
    """

    value: str | bool | int | float | None
    text: str
    line: int


@dataclass(frozen=True)
class YamlList:
    """List; `line` is that of its first character."""

    items: tuple["YamlNode", ...]
    line: int


@dataclass(frozen=True)
class YamlEntry:
    """Key of a mapping, with its line and its value."""

    key: str
    line: int
    node: "YamlNode"


@dataclass(frozen=True)
class YamlMap:
    """Mapping; `line` is that of its first character."""

    entries: tuple[YamlEntry, ...]
    line: int


YamlNode = YamlScalar | YamlList | YamlMap


def read_yaml(text: str, report: Report) -> YamlNode | None:
    """Parse one YAML document.

    Args:
        text: Content of the file.
        report: Function called with every problem. For a repeated key, the first value is kept.

    Returns:
        The root, or None if parsing stopped at a problem.
    """
    try:
        return _Builder(_Loader(text), report).document()
    except _UnreadableError as error:
        report(error.line, str(error))
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        report(line, f"not YAML: the character {chr(int(error.character))!r} is not allowed; remove it")
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        report(1 if mark is None else mark.line + 1, _syntax_message(error))
    except (ValueError, OverflowError) as error:  # raised by PyYAML's scanner for escapes beyond Unicode
        report(1, f"not YAML: {error}")
    return None


def _syntax_message(error: yaml.MarkedYAMLError) -> str:
    words = [part for part in (error.context, error.problem) if part]
    hint = "; indent with spaces, not tabs" if "'\\t'" in str(error.problem) else ""
    return f"not YAML: {', '.join(words)}{hint}"


class _UnreadableError(Exception):
    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader with YAML 1.2 numbers such as `1e-3` and `2E5`."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)[eE][-+]?\d+$"),
    list("-+.0123456789"),
)

_CONSTRUCT: dict[str, Callable[[_Loader, yaml.ScalarNode], Any]] = {
    "tag:yaml.org,2002:null": _Loader.construct_yaml_null,
    "tag:yaml.org,2002:bool": _Loader.construct_yaml_bool,
    "tag:yaml.org,2002:int": _Loader.construct_yaml_int,
    "tag:yaml.org,2002:float": _Loader.construct_yaml_float,
}


class _Builder:
    """Builder of nodes from the loader's events; MAX_DEPTH bounds the recursion."""

    def __init__(self, loader: _Loader, report: Report) -> None:
        self._loader: Any = loader  # its methods are untyped
        self._report = report
        self._nodes = 0

    def document(self) -> YamlNode:
        self._loader.get_event()  # the stream's start
        if self._loader.check_event(yaml.StreamEndEvent):
            raise _UnreadableError(1, "the file is empty")
        self._loader.get_event()  # the document's start
        root = self._node(depth=1)
        self._loader.get_event()  # the document's end
        if not self._loader.check_event(yaml.StreamEndEvent):
            raise _UnreadableError(self._line(self._loader.peek_event()), "a second document; keep one")
        return root

    def _node(self, depth: int) -> YamlNode:
        event = self._loader.get_event()
        line = self._line(event)
        self._check(event, line, depth)
        if isinstance(event, yaml.ScalarEvent):
            return YamlScalar(self._value(event), event.value, line)
        if isinstance(event, yaml.SequenceStartEvent):
            return YamlList(tuple(self._items(depth)), line)
        return YamlMap(tuple(self._entries(depth)), line)

    def _check(self, event: Any, line: int, depth: int) -> None:
        self._nodes += 1
        if self._nodes > MAX_NODES:
            raise _UnreadableError(line, f"more than {MAX_NODES} keys and values; split the file")
        if depth > MAX_DEPTH:
            raise _UnreadableError(line, f"nested deeper than {MAX_DEPTH} levels")
        if event.anchor is not None:  # for an alias, the anchor that it refers to
            raise _UnreadableError(line, "anchors (&) and aliases (*) are not allowed; write the value out")
        if event.tag is not None:
            raise _UnreadableError(line, f"the tag {event.tag!r} is not allowed; write the value alone")

    def _items(self, depth: int) -> Iterator[YamlNode]:
        while not self._loader.check_event(yaml.SequenceEndEvent):
            yield self._node(depth + 1)
        self._loader.get_event()

    def _entries(self, depth: int) -> Iterator[YamlEntry]:
        first: dict[str, int] = {}
        while not self._loader.check_event(yaml.MappingEndEvent):
            key = self._node(depth + 1)
            node = self._node(depth + 1)
            if not isinstance(key, YamlScalar):
                self._report(key.line, "a key must be a word, not a list or a mapping")
            elif key.text in first:
                self._report(
                    key.line, f"duplicate key {key.text!r}, first in line {first[key.text]}; keep one"
                )
            else:
                first[key.text] = key.line
                yield YamlEntry(key.text, key.line, node)
        self._loader.get_event()

    def _value(self, event: Any) -> Any:
        tag = self._loader.resolve(yaml.ScalarNode, event.value, event.implicit)
        construct = _CONSTRUCT.get(tag)
        if construct is None:
            return event.value
        try:
            value = construct(self._loader, yaml.ScalarNode(tag, event.value))
        except (ValueError, OverflowError):  # `0x_`, or more digits than Python converts
            return event.value
        return event.value if isinstance(value, int) and value.bit_length() > _INT_BITS else value

    @staticmethod
    def _line(event: Any) -> int:
        return int(event.start_mark.line) + 1
