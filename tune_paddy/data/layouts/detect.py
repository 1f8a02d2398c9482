"""Detection of the layout of a dataset: where its labels come from, and which images are to be predicted.

- A folder per class: in the dataset's folder or in its parts, such as `train` and `valid`.
- A table of labels: its images lie flat or in folders, and it names them with or without suffix.
- Labels in file names: flat images, each named after its class and a number.

A sample submission, a list, or a folder for them determines the images to predict. What is not clear is
refused with a message that names the option to say it.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import compress
from pathlib import Path

from tune_paddy.core.errors import InputError
from tune_paddy.core.tasks.names import ORDERED, SEPARATOR
from tune_paddy.core.tasks.task import Task
from tune_paddy.data.labels.doubtful_names import note_names
from tune_paddy.data.labels.grades import note_gaps
from tune_paddy.data.labels.relabel import Wording, correct_labels
from tune_paddy.data.layouts.by_table.images import Surroundings
from tune_paddy.data.layouts.by_table.joined import join_parts, parts_to_train_on
from tune_paddy.data.layouts.by_table.local_paths import read_local
from tune_paddy.data.layouts.by_table.other_files import judge_others
from tune_paddy.data.layouts.by_table.side_columns import (
    class_folders,
    companion_name,
    is_companion,
    read_sides,
    wants_sides,
)
from tune_paddy.data.layouts.by_table.tables import (
    LabelTable,
    Verdict,
    is_list,
    judge,
    read_label_table,
    tables_near,
)
from tune_paddy.data.layouts.decide import decide
from tune_paddy.data.layouts.file_names import NamedFiles, find_named_files
from tune_paddy.data.layouts.folders import ClassFolders
from tune_paddy.data.layouts.labelled import Labelled, from_file_names, from_folders, from_table
from tune_paddy.data.layouts.left_out import find_left_out
from tune_paddy.data.layouts.listing import Listing, make_test
from tune_paddy.data.layouts.names import is_sample
from tune_paddy.data.layouts.parts import find_base
from tune_paddy.data.layouts.test_set import SampleTable, TestSet, find_sample, find_test_set
from tune_paddy.data.layouts.tree import TABLE_SUFFIXES, Tree, parent_of, walk
from tune_paddy.data.options import DETECTED, FOLDERS, ReadOptions
from tune_paddy.data.sides.columns import SideColumns
from tune_paddy.data.sides.parts import describe_unused
from tune_paddy.data.submission.choose import Labels, choose_form
from tune_paddy.data.system.text import check_decoded, counted, shown
from tune_paddy.data.tables.csv_table import CsvTable, join_tables
from tune_paddy.data.tables.json_rows import JSON_SUFFIXES


def list_dataset(path: Path, options: ReadOptions = DETECTED) -> Listing:
    """Detect the layout of a dataset and list its images without opening them.

    Args:
        path: Folder, or table of labels.
        options: Options of the user on the layout.

    Raises:
        InputError: The folder is missing, no layout matches, or its files are contradictory; the message
            names the file and what to do.
    """
    try:
        root, named = _root_and_table(path.expanduser().resolve(), options)
        check_decoded(root)
        return _list(root, named, options)
    except (OSError, RuntimeError) as error:  # RuntimeError: a link loop, or no home folder
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{shown(path)}: cannot be read: {reason}") from error


def _root_and_table(path: Path, options: ReadOptions) -> tuple[Path, Path | None]:
    """Return the folder of a dataset, and the table of labels that a person named."""
    if path.is_dir():
        if options.labels in (None, FOLDERS):
            return path, None
        return path, file_of(path, str(options.labels), "labels")
    if not path.is_file():
        raise InputError(f"no folder or CSV file {shown(path)}: check the path")
    if path.suffix.lower() not in (*TABLE_SUFFIXES, *JSON_SUFFIXES):
        raise InputError(f"{shown(path)} is neither a folder nor a .csv file; unpack an archive first")
    if options.labels is not None:
        raise InputError("labels: the dataset is a table already: give its folder", options=("labels",))
    return path.parent, path


def file_of(root: Path, name: str, option: str) -> Path:
    """Return the table of a name that a person gave, in the dataset or in the working folder.

    Args:
        root: Folder of the dataset.
        name: Path of the table.
        option: Option that holds the name, for the message.

    Raises:
        InputError: There is no such file.
    """
    found = next((place for place in (root / name, Path(name).expanduser()) if place.is_file()), None)
    if found is None:
        also = f"; a file, or `{FOLDERS}`, is expected" if option == "labels" else ""
        raise InputError(
            f"{option}: no file {shown(name)} in {shown(root)} or in the working folder{also}",
            options=(option,),
        )
    return found.resolve()


def _list(root: Path, named: Path | None, options: ReadOptions) -> Listing:
    tree = walk(root)
    if not tree.images and len(tree.datasets) == 1:  # such as the folder `data` around the demo's digits
        tree = walk(tree.path(tree.datasets[0]))
    around = _surroundings(tree, named, options)
    corrections = _corrections(tree.root, options)
    near = [name for name in tables_near(tree, around.base) if tree.path(name) != corrections]
    sample = find_sample(tree.root, [name for name in near if is_sample(name)])
    if sample is not None:
        around = replace(around, sample=sample.columns)
    companion = _companion(around, named, near)
    if companion is not None and companion.path == named:  # the labels are the names of the folders
        labelled, verdicts = from_folders(class_folders(around), around), _lists(around, near, named)
    else:
        read = () if companion is None else [file.path for file in companion.by_file]
        others = [name for name in near if tree.path(name) not in read]
        labelled, verdicts = _labelled(around, named, others)
    if companion is None:
        _refuse_columns(labelled, options)
    if corrections is not None:
        labelled = _corrected(labelled, corrections)
    return _listing(around, labelled, sample, verdicts, companion)


def _refuse_columns(labelled: Labelled, options: ReadOptions) -> None:
    """Refuse the name of a column where no table is read."""
    named = [option for option in ("label_column", "id_column") if getattr(options, option) is not None]
    if named and labelled.table is None:
        raise InputError(
            f"`{named[0]}` names a column of a table, but the labels are the {labelled.source}: leave it "
            "out, or name the table with `labels=FILE`",
            options=(named[0], "labels"),
        )


def _corrections(root: Path, options: ReadOptions) -> Path | None:
    """Return the table of corrected labels that a person named; None: there is none."""
    return None if options.relabel is None else file_of(root, options.relabel, "relabel")


def _corrected(labelled: Labelled, corrections: Path) -> Labelled:
    """Return labelled images with the corrections of a table; the classes and all that follows are theirs."""
    task = Task.of(labelled.task)
    wording = Wording(task, task.classes_of(labelled.labels), labelled.separator)
    before = dict(zip(labelled.ids, labelled.labels, strict=True))
    now, note = correct_labels(corrections, before, wording)
    return replace(labelled, labels=[now[name] for name in labelled.ids], notes=(*labelled.notes, note))


def _companion(around: Surroundings, named: Path | None, near: Sequence[str]) -> CsvTable | None:
    """Return the table beside class folders that has a wanted column, but no labels; one for all parts."""
    if not wants_sides(around.options):
        return None
    if named is not None:
        table = read_local(named, around)
        return table if is_companion(table, around) else None
    found, tree = {}, around.tree
    for name in near:
        with suppress(InputError):
            if not is_sample(name) and is_companion(table := read_local(tree.path(name), around), around):
                found[name] = table
    parts = parts_to_train_on(list(found), around.base)
    if parts:
        return join_tables([found[name] for name in parts])
    return found.get(companion_name(list(found)))


def _surroundings(tree: Tree, named: Path | None, options: ReadOptions) -> Surroundings:
    """Return the files around the tables of a dataset, and the folder of its images that a person named."""
    base = find_base(tree)
    if named is not None and tree.root in named.parents:  # the dataset begins where its table lies, or above
        base = min(base, parent_of(named.relative_to(tree.root).as_posix()), key=len)
    if options.images is None:
        return Surroundings(tree, base, tree, options)
    folder = _folder_of(tree.root, options.images)
    within = folder.relative_to(tree.root).as_posix() if folder.is_relative_to(tree.root) else None
    if within == ".":
        return Surroundings(tree, base, tree, options, "")
    if within in tree.folders:
        inside = Tree(tree.root, tree.below(within), folders=tree.folders)
        return Surroundings(tree, base, inside, options, within)
    return Surroundings(tree, base, walk(folder), options, "")


def _folder_of(root: Path, name: str) -> Path:
    """Return the folder of a name, in the dataset or in the working folder."""
    found = next((place for place in (root / name, Path(name).expanduser()) if place.is_dir()), None)
    if found is None:
        raise InputError(
            f"images: no folder {shown(name)} in {shown(root)} or in the working folder", options=("images",)
        )
    return found.resolve()


def _labelled(
    around: Surroundings, named: Path | None, near: Sequence[str]
) -> tuple[Labelled, tuple[Verdict, ...]]:
    """Return the labelled images, and what the tables of the dataset are."""
    if named is not None:
        return from_table(read_label_table(read_local(named, around), around), around), _lists(
            around, near, named
        )
    if around.options.labels == FOLDERS:
        return from_folders(class_folders(around), around), _lists(around, near)
    verdicts = join_parts((*(judge(name, around) for name in near), *judge_others(around)), around)
    if around.within is not None and not any(verdict.labels or verdict.named for verdict in verdicts):
        named_files = find_named_files(around.pictures, around.within)
        return _read(named_files or class_folders(around), around), verdicts
    source, verdicts = decide(around, verdicts)
    return _read(source, around), verdicts


def _read(source: LabelTable | ClassFolders | NamedFiles, around: Surroundings) -> Labelled:
    """Return the labelled images of a source."""
    if isinstance(source, LabelTable):
        return from_table(source, around)
    if isinstance(source, NamedFiles):
        return from_file_names(source, around)
    return from_folders(source, around)


def _portable(around: Surroundings) -> ReadOptions:
    """Return the options with paths that do not depend on the working folder: for the record."""
    root, options = around.tree.root, around.options
    labels, images, relabel = options.labels, options.images, _corrections(root, options)
    if labels not in (None, FOLDERS):
        labels = _from_root(root, file_of(root, str(labels), "labels"))
    if images is not None:
        images = _from_root(root, _folder_of(root, images))
    corrected = None if relabel is None else _from_root(root, relabel)
    return replace(options, labels=labels, images=images, relabel=corrected)


def _as_spelt(options: ReadOptions, sides: SideColumns) -> ReadOptions:
    """Return the options with the columns of the split as the table spells them."""
    return replace(options, group=sides.names.get("group"), split_column=sides.names.get("split_column"))


def _from_root(root: Path, path: Path) -> str:
    """Return a path relative to the dataset if it lies in it, otherwise the absolute path."""
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)


def _lists(around: Surroundings, near: Sequence[str], named: Path | None = None) -> tuple[Verdict, ...]:
    """Return the lists of images to predict among tables; the others were not asked for."""
    others = [name for name in near if is_list(name) and around.tree.path(name) != named]
    return tuple(judge(name, around) for name in others)


def _refuse_separators(labelled: Labelled) -> None:
    """Refuse names of folders or files that would be read as several labels."""
    odd = next((label for label in labelled.labels if SEPARATOR in label), None)
    if odd is not None:
        raise InputError(
            f"{shown(odd)}: the name has a '{SEPARATOR}', which separates the labels of an image in the "
            "program's files: rename it"
        )


def _without_listed(labelled: Labelled, tests: TestSet, root: Path) -> Labelled:
    """Return the labelled images without those that a list names to be predicted, unless a table has labels.

    Raises:
        InputError: The list names all of them.
    """
    if tests.table is None or labelled.table is not None or labelled.tree.root != root:
        return labelled
    listed, name = frozenset(tests.files), shown(tests.table)
    kept = [file not in listed for file in labelled.files]
    if all(kept):
        return labelled
    if not any(kept):
        raise InputError(f"{name}: names all labelled images as images to predict: correct or remove it")
    count = counted(kept.count(False), "image")
    return replace(
        labelled,
        ids=[*compress(labelled.ids, kept)],
        files=[*compress(labelled.files, kept)],
        labels=[*compress(labelled.labels, kept)],
        notes=(*labelled.notes, f"{count} that {name} lists: to be predicted, so their labels are not used"),
    )


def _listing(
    around: Surroundings,
    labelled: Labelled,
    sample: SampleTable | None,
    verdicts: Sequence[Verdict],
    companion: CsvTable | None,
) -> Listing:
    """Add the images to predict to the labelled ones, and what was left out."""
    tree, task = around.tree, Task.of(labelled.task)
    if task.independent and labelled.table is None:
        _refuse_separators(labelled)
    files = frozenset(labelled.files) if labelled.tree.root == tree.root else frozenset[str]()
    tests = find_test_set(
        around,
        sample=sample,
        verdicts=verdicts,
        folders=labelled.test_folders,
        labelled=files,
        with_suffix=labelled.with_suffix,
    )
    labelled = _without_listed(labelled, tests, tree.root)
    sides = read_sides(labelled, companion, around)
    corrections = _corrections(tree.root, around.options)
    of_sides = () if companion is None else companion.by_file
    also_read = [*filter(None, [corrections]), *(table.path for table in of_sides)]
    classes = task.classes_of(labelled.labels)
    form, form_notes = choose_form(
        labelled.form,
        None if sample is None else sample.table,
        Labels(classes, task.independent, labelled.separator, labelled.empty),
        around.options,
    )
    used = {around.options.group, sides.names.get("split_column")}
    unused = {name: values for name, values in labelled.further.items() if name not in used}
    divided = describe_unused(unused) if around.options.split_column is None else ()
    grade_notes = note_gaps(classes) if task.name == ORDERED else ()
    return Listing(
        layout=labelled.layout,
        place=labelled.place,
        labels_from=labelled.source,
        root=tree.root,
        labelled=labelled.frame(),
        test=make_test(tests.ids, [str(tree.root / name) for name in tests.files]),
        test_from=tests.source,
        form=form,
        task=task,
        sample=tests.sample,
        sides=sides,
        left_out=find_left_out(tree, labelled, tests, verdicts, also_read),
        notes=labelled.notes + note_names(classes) + divided + form_notes + grade_notes,
        options=_as_spelt(_portable(around), sides),
    )
