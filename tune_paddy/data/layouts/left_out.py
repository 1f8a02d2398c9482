"""Files of a dataset that were not read, by kind: none is passed over in silence."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path, PurePath

from tune_paddy.data.layouts.by_table.tables import Kind, Verdict
from tune_paddy.data.layouts.description import LeftOut
from tune_paddy.data.layouts.index import lies_in
from tune_paddy.data.layouts.labelled import Labelled
from tune_paddy.data.layouts.test_set import TestSet
from tune_paddy.data.layouts.tree import Tree
from tune_paddy.data.system.text import shown


def find_left_out(
    tree: Tree,
    labelled: Labelled,
    tests: TestSet,
    verdicts: Sequence[Verdict],
    also_read: Sequence[Path] = (),
) -> tuple[LeftOut, ...]:
    """Return what a layout does not read of a dataset's files.

    Args:
        tree: All files.
        labelled: Labelled images; they may lie elsewhere.
        tests: Images to predict.
        verdicts: What the tables near the dataset's folder are.
        also_read: Tables that were read for other columns than labels.
    """
    used = set(tests.files).union(labelled.files if labelled.tree.root == tree.root else ())
    rest = [name for name in tree.images if name not in used]
    in_tests = lies_in(labelled.test_folders or ["/"])
    not_listed = f"image that {shown(PurePath(tests.table).name)} does not name" if tests.table else ""
    read = {tests.table}
    of_labels = () if labelled.table is None else labelled.table.by_file
    tables = [*also_read, *(table.path for table in of_labels)]
    read |= {path.relative_to(tree.root).as_posix() for path in tables if path.is_relative_to(tree.root)}
    return (
        *_grouped(
            rest, lambda name: not_listed if not_listed and in_tests(name) else f"image {labelled.unnamed}"
        ),
        *_tables([name for name in tree.tables if name not in read], verdicts),
        *(
            _kind(what, left)
            for what, names in sorted(tree.left_out.items())
            if (left := [name for name in names if name not in read])
        ),
    )


def _tables(names: Sequence[str], verdicts: Sequence[Verdict]) -> Iterable[LeftOut]:
    reasons = {
        verdict.name: verdict.kind if verdict.kind is Kind.PROBLEM else verdict.reason or verdict.kind
        for verdict in verdicts
    }
    return _grouped(names, lambda name: f"table ({reasons.get(name, 'not asked for')})")


def _grouped(names: Iterable[str], kind: Callable[[str], str]) -> list[LeftOut]:
    found: dict[str, list[str]] = {}
    for name in names:
        found.setdefault(kind(name), []).append(name)
    return [_kind(what, found[what]) for what in found]


def _kind(what: str, names: Sequence[str]) -> LeftOut:
    return LeftOut(what, len(names), tuple(names[:3]))
