"""Match the columns of a sample submission with the classes, by name."""

import re
from collections.abc import Callable, Sequence

from tune_paddy.core.errors import InputError
from tune_paddy.data.system.text import counted, shown

_NEGATIONS = frozenset(("no", "non", "not", "without"))
_NAMED = 5
"""Number of columns and of classes that a message names."""


def match_columns(
    columns: Sequence[str], classes: Sequence[str], *, where: str, empty: Sequence[str] = ()
) -> tuple[str, ...]:
    """Return the class of each column.

    Names match if they are the same; else without regard to case and surrounding blanks; else without regard
    to blanks, hyphens and underscores; else as numbers.

    Args:
        columns: Names of columns.
        classes: Names of classes.
        where: Name of the file, for the message.
        empty: Names in the table of labels that no labelled image has, for the message.

    Raises:
        InputError: A column is no class, or a class has no column.
    """
    found: dict[str, str] = {}
    for key in (_same, _folded, _loose, _number):
        left = [name for name in columns if name not in found]
        found |= _pairs(left, [name for name in classes if name not in found.values()], key)
    strange = [name for name in columns if name not in found]
    missing = [name for name in classes if name not in found.values()]
    if strange or missing:
        raise _mismatch(strange, missing, where, [name for name in strange if match_class(name, empty)])
    return tuple(found[name] for name in columns)


def match_class(name: str, classes: Sequence[str]) -> str | None:
    """Return the class that a name means, see `match_columns`; None: none."""
    for key in (_same, _folded, _loose, _number):
        pairs = _pairs([name], classes, key)
        if pairs:
            return pairs[name]
    return None


def class_within(name: str, classes: Sequence[str]) -> str | None:
    """Return the class that a name has among its words; None: none, several, or a negated one.

    >>> class_within("is_cat", ["cat", "dog"]), class_within("not_cat", ["cat", "dog"])
    ('cat', None)
    """
    words = set(_words(name))
    found = [one for one in classes if words.issuperset(_words(one)) and _words(one)]
    longest = [one for one in found if len(_words(one)) == max(len(_words(two)) for two in found)]
    if len(longest) != 1 or not _NEGATIONS.isdisjoint(words.difference(_words(longest[0]))):
        return None
    return longest[0]


def _words(name: str) -> list[str]:
    apart = re.sub(r"(?<=[^\W\d_A-Z])(?=[A-Z])", " ", name)
    return re.findall(r"[^\W_]+", apart.casefold())


def _pairs(
    columns: Sequence[str], classes: Sequence[str], key: Callable[[str], str | None]
) -> dict[str, str]:
    """Return the columns and classes whose keys are equal, and no other's."""
    by_column, by_class = _unique(columns, key), _unique(classes, key)
    return {column: by_class[value] for value, column in by_column.items() if value in by_class}


def _unique(names: Sequence[str], key: Callable[[str], str | None]) -> dict[str, str]:
    found: dict[str, list[str]] = {}
    for name in names:
        value = key(name)
        if value:
            found.setdefault(value, []).append(name)
    return {value: same[0] for value, same in found.items() if len(same) == 1}


def _same(name: str) -> str:
    return name


def _folded(name: str) -> str:
    return name.strip().casefold()


def _loose(name: str) -> str:
    return "".join(letter for letter in name.casefold() if not (letter.isspace() or letter in "-_"))


def _number(name: str) -> str | None:
    """Return a number without regard to its spelling, such as `0` for `0.0`; None: the name is no number."""
    try:
        return repr(float(name))
    except ValueError:
        return None


def _mismatch(strange: Sequence[str], missing: Sequence[str], where: str, empty: Sequence[str]) -> InputError:
    texts = []
    if strange:
        noun = counted(len(strange), "column that is no class", "columns that are no classes")
        texts.append(f"{noun} ({_named(strange)})")
    if missing:
        texts.append(f"no column for {counted(len(missing), 'class', 'classes')} ({_named(missing)})")
    if empty:
        texts[0] += f", since no labelled image has {_named(empty)}"
    return InputError(
        f"{where}:1: has {' and '.join(texts)}: correct its header, write labels with "
        "`submission_form=labels`, or remove the file",
        options=("submission_form",),
    )


def _named(names: Sequence[str]) -> str:
    return ", ".join(map(shown, names[:_NAMED])) + (", …" if len(names) > _NAMED else "")
