"""Paths of a table that begin elsewhere: on another machine, at an address, or above the dataset's folder."""

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import takewhile
from pathlib import Path

from tune_paddy.data.layouts.by_table.columns import find_id_column
from tune_paddy.data.layouts.by_table.images import Surroundings, recognises
from tune_paddy.data.layouts.index import has_suffix
from tune_paddy.data.layouts.names import Role, role_of
from tune_paddy.data.tables.csv_table import CsvTable, read_table

_SAMPLED = 200
"""Number of rows that tell where paths begin."""
_FOUND = 0.5
"""Share of these rows whose images are there without a beginning that is elsewhere."""
_SLASHES = re.compile(r"[/\\]+")


def read_local(path: Path, around: Surroundings, part: Role = Role.TRAIN) -> CsvTable:
    """Read a table, with paths from the dataset on.

    All paths of a column lose the same beginning, the shortest with which at least half of them name images.
    A table in which a column names images as it is stays, unless that has numbers, and another one paths of
    image files. Names of parts, such as `train`, are never lost: an image of one part does not stand for one
    of another.

    Args:
        path: Absolute path of the table.
        around: Files around it.
        part: Part whose images the table names.

    Raises:
        InputError: The table cannot be read.
    """
    table = read_table(path)
    is_image = recognises(path, around, part)
    step = max(1, len(table.lines) // _SAMPLED)
    at = [number for number, values in enumerate(table.values) if _may_be_paths(values[::step])]
    known = find_id_column(table, is_image) if at else None
    for number in at:
        if known is not None and (_has_files(table.column(known)) or not _has_files(table.values[number])):
            continue
        start = _beginning([_parts(value) for value in table.values[number]], around.tree.root.name, is_image)
        found = _without(table, number, start, is_image) if start else table
        if start and _names_images(found, found.columns[number], around, is_image):
            return found
    return table


def _names_images(
    table: CsvTable, column: str, around: Surroundings, is_image: Callable[[str], bool]
) -> bool:
    """Return whether a column is the one that names the images, not another one, such as of numbers."""
    wanted = around.options.id_column
    return wanted is not None or find_id_column(table, is_image, sample=around.sample) == column


def _has_files(values: Sequence[str]) -> bool:
    """Return whether values are names of image files."""
    return all(map(has_suffix, values))


def _may_be_paths(values: Sequence[str]) -> bool:
    distinct = set(values)
    differ = 10 * len(distinct) > 9 * len(values) or _has_files(values)
    return differ and all(_SLASHES.search(value) and ".." not in _parts(value) for value in distinct)


def _parts(value: str) -> list[str]:
    """Return the folders and the name of a path or an address; an empty first one is the root."""
    return _SLASHES.split(value.strip())


def _beginning(paths: Sequence[list[str]], root: str, is_image: Callable[[str], bool]) -> tuple[str, ...]:
    """Return the folders that paths lose; () if none helps."""
    both = zip(min(paths), max(paths), strict=False)
    common = [folder for folder, _ in takewhile(lambda pair: pair[0] == pair[1], both)]
    sampled = paths[:: max(1, len(paths) // _SAMPLED)]
    for count, folder in enumerate(common[: min(map(len, paths)) - 1], 1):
        if role_of(folder) is not None and folder != root:
            break
        found = sum(is_image("/".join(path[count:])) for path in sampled)
        if found >= _FOUND * len(sampled):
            return tuple(common[:count])
    return ()


def _without(
    table: CsvTable, number: int, start: tuple[str, ...], is_image: Callable[[str], bool]
) -> CsvTable:
    """Return a table whose paths in a column have lost their beginning, also a header that is one of them."""
    name = "/".join(_parts(table.columns[number])[len(start) :])
    columns = [*table.columns]
    if name and is_image(name):
        columns[number] = name
    written = table.values[number]
    values = ["/".join(_parts(value)[len(start) :]) for value in written]
    beginning = re.match(rf"(?:[^/\\]*[/\\]+){{{len(start)}}}", written[0].strip())
    return replace(
        table,
        columns=tuple(columns),
        values=(*table.values[:number], values, *table.values[number + 1 :]),
        lost=beginning[0] if beginning else "",
    )
