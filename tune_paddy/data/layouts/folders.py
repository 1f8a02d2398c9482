"""Layout: a folder of images per class, in the dataset's folder or in its parts."""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

from tune_paddy.core.errors import InputError
from tune_paddy.data.layouts.masks import mask_folders
from tune_paddy.data.layouts.names import Role, is_container, only_hold, roles_of, words_of
from tune_paddy.data.layouts.parts import (
    Parts,
    as_labelled,
    find_parts,
    has_class_folders,
    last,
    only_folder,
    unwrap,
)
from tune_paddy.data.layouts.tree import OURS, Tree, parent_of
from tune_paddy.data.system.text import counted, shown

_LABELLED = (Role.TRAIN, Role.VALIDATION, Role.FOLD)
_NAMED = 3
"""Number of folders that a message names."""


@dataclass(frozen=True, eq=False)
class ClassFolders:
    """Class folders of a dataset; paths are relative to its tree.

    Attributes:
        bases: Folders that hold the class folders, one, or one per part.
        rows: (label, image) of every image in a class folder.
        tests: Folders of images to predict.
        notes: Messages about what was decided.
    """

    bases: tuple[str, ...]
    rows: tuple[tuple[str, str], ...]
    tests: tuple[str, ...]
    notes: tuple[str, ...] = ()


def find_class_folders(tree: Tree, base: str) -> ClassFolders:
    """Find the class folders; names of parts of a dataset are never classes.

    Args:
        tree: Files of the dataset.
        base: Folder that holds the dataset, relative to the tree.

    Raises:
        InputError: There are none, or it is not clear which folders are classes.
    """
    base, parts, tests = _descend(tree, base)
    inner_of = {folder: unwrap(tree, folder) for folder in parts.of(*_LABELLED)}
    bases = [inner for inner in inner_of.values() if has_class_folders(tree, inner)]
    flat = [folder for folder, inner in inner_of.items() if inner not in bases]
    if bases and not any(inner_of[part] in bases for part in parts.of(Role.TRAIN, Role.FOLD)):
        if _are_beside(tree, bases, parts):  # what lies beside a validation part is there to train on
            bases = [base, *bases]
        else:
            _refuse_validation_alone(tree, base, parts)
    if not bases:
        _refuse_flat(tree, base, parts, flat)
        bases = [base]
    folders = tuple(f for one in bases for f in (parts.others if one == base else _classes_in(tree, one)))
    if not folders:
        raise _no_classes(tree, base, [*tests, *parts.of(Role.TEST)])
    for one in bases:
        own = [folder for folder in folders if parent_of(folder) == one]
        _refuse_datasets(tree, one, own)
        _refuse_copy(tree, one, own)
        _refuse_same_inside(tree, one, own)
        _refuse_holders(tree, one, own)
        _refuse_holder_of_classes(tree, one, own)
    return ClassFolders(
        bases=tuple(bases),
        rows=_rows(tree, folders),
        tests=tuple(unwrap(tree, folder) for folder in (*tests, *parts.of(Role.TEST))),
        notes=tuple(_notes(tree, bases, folders, parts)),
    )


def _descend(tree: Tree, base: str) -> tuple[str, Parts, list[str]]:
    """Pass through single folders that hold class folders or parts, alone or beside parts to predict.

    Returns:
        The folder that holds the dataset, its parts, and the folders to predict that lie beside it.
    """
    parts, tests = find_parts(tree, base), list[str]()
    while set(parts.roles.values()) <= {Role.TEST} and len(parts.others) == 1:
        inner = parts.others[0]
        if not has_class_folders(tree, inner) or (not parts.roles and tree.files(base)):
            break
        tests += parts.of(Role.TEST)
        base, parts = inner, find_parts(tree, inner)
    return base, parts, tests


def read_as_classes(tree: Tree, folder: str) -> ClassFolders:
    """Read every folder in a folder as a class, whatever its name.

    Raises:
        InputError: No folder in it holds images.
    """
    folders = [child for child in tree.children(folder) if tree.holds_images(child)]
    if not folders:
        raise InputError(f"{_place(tree, folder)}: no folder in it holds images of a class")
    notes = (*_empty(tree, [folder]), *_masks(tree, folders))
    return ClassFolders((folder,), _rows(tree, folders), (), notes)


def _rows(tree: Tree, folders: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """Return (label, image) of every image in class folders, without masks in folders of their own."""
    rows: list[tuple[str, str]] = []
    for folder in folders:
        masks = tuple(f"{one}/" for one in mask_folders(tree, folder))
        rows += [(last(folder), name) for name in tree.below(folder) if not name.startswith(masks)]
    return tuple(rows)


def _classes_in(tree: Tree, base: str) -> list[str]:
    """Return the class folders of a part.

    Raises:
        InputError: One of them has the name of a part.
    """
    folders = [child for child in tree.children(base) if tree.holds_images(child)]
    parts = roles_of(map(last, folders))
    if parts:
        name = next(iter(parts))
        raise InputError(
            f"{_place(tree, base)}: {shown(name)} is the name of a part of a dataset, beside the folders of "
            f"classes; move it, or give `images={base}` to read every folder there as a class",
            options=("images",),
        )
    return folders


def _no_classes(tree: Tree, base: str, tests: Sequence[str]) -> InputError:
    """Return the refusal of a dataset without class folders; its only folders may be named like parts."""
    if not tests:
        return InputError(f"{_place(tree, base)}: no folder in it holds images of a class")
    return InputError(
        f"{_place(tree, base)}: no folder in it holds images of a class: those in {shown(tests[0])} are to "
        f"be predicted; if they are labelled, give `images={tests[0]}` to read each folder there as a class",
        options=("images",),
    )


def _are_beside(tree: Tree, bases: Sequence[str], parts: Parts) -> bool:
    """Return whether several folders beside parts have the names of class folders in them."""
    inside = set[str]().union(*(_names_inside(tree, one) for one in bases))
    return len(inside.intersection(map(last, parts.others))) > 1


def _refuse_validation_alone(tree: Tree, base: str, parts: Parts) -> None:
    """Refuse a validation part beside another folder of class folders, which may be the part to train on."""
    other = next((one for one in parts.others if has_class_folders(tree, one)), None)
    if other is not None:
        validation = parts.of(Role.VALIDATION)[0]
        raise InputError(
            f"{_place(tree, base)}: {shown(last(other))} may be the part to train on beside "
            f"{shown(last(validation))}: name it train, or give `images={other}` to read it alone",
            options=("images",),
        )


def _refuse_flat(tree: Tree, base: str, parts: Parts, flat: Sequence[str]) -> None:
    """Refuse images of a part that lie in no class folder, unless there are class folders beside it."""
    told = [folder for folder in flat if parts.roles[folder] is not Role.VALIDATION] or list(flat)
    if told and not parts.others:
        raise InputError(
            f"{_place(tree, told[0])}: {counted(len(tree.below(told[0])), 'image')} lie in no folder of a "
            "class, and no table gives their labels; sort them into a folder per class, or add a table with "
            "a column of file names and one of labels"
        )
    single = len(parts.others) < 2  # noqa: PLR2004 without the part, one class would be left
    if any(parts.roles[folder] is not Role.VALIDATION or single for folder in flat):
        beside = ", ".join(shown(last(folder)) for folder in parts.others[:_NAMED])
        raise InputError(
            f"{_place(tree, base)}: {shown(last(told[0]))} may be a part of the dataset or a class beside "
            f"{beside}; give `images={base or '.'}` to read every folder as a class, or move it",
            options=("images",),
        )


def _refuse_datasets(tree: Tree, base: str, folders: Sequence[str]) -> None:
    """Refuse a folder that is divided into parts beside others without, and several with classes in parts."""
    parts_of = {folder: _parts_to_train_on(tree, folder) for folder in folders}
    divided = [folder for folder, parts in parts_of.items() if parts]
    if len(divided) == 1 and len(folders) > 1:
        other = next(folder for folder in folders if folder != divided[0])
        raise InputError(
            f"{_place(tree, divided[0])}: is divided into parts of a dataset, but {shown(last(other))} "
            "beside it is not; give the folder of the dataset, or "
            f"`images={base or '.'}` if both are classes",
            options=("images",),
        )
    part = next((p for f in divided for p in parts_of[f] if has_class_folders(tree, p)), None)
    if part is not None and len(folders) > 1:
        raise InputError(
            f"{_place(tree, base)}: several folders are divided into parts of a dataset, such as "
            f"{shown(part)}: give the folder of one dataset, or `images={base or '.'}` if they are classes",
            options=("images",),
        )


def _parts_to_train_on(tree: Tree, folder: str) -> list[str]:
    """Return the parts to train on in a folder, or in the only folder in it, at any depth."""
    while not (parts := find_parts(tree, folder).of(Role.TRAIN)) and (inner := only_folder(tree, folder)):
        folder = inner
    return parts


def _innermost(tree: Tree, folder: str) -> str:
    """Pass through folders that hold a single folder."""
    while inner := only_folder(tree, folder):
        folder = inner
    return folder


def _refuse_copy(tree: Tree, base: str, folders: Sequence[str]) -> None:
    """Refuse a folder that holds folders of the same names as those beside it: a copy of the dataset."""
    names = set(map(last, folders))
    for folder in folders:
        place = _innermost(tree, folder)
        same = sorted(_names_inside(tree, place) & (names - {last(folder)}))
        if len(same) > 1:
            raise InputError(
                f"{_place(tree, folder)}: may be a copy of the dataset or a class, since it holds folders of "
                f"the same names as those beside it ({', '.join(map(shown, same[:_NAMED]))}); move it, give "
                f"`images={place}` to read the folders there as the classes, or give `images={base or '.'}` "
                "if it is one of the classes",
                options=("images",),
            )


def _refuse_holders(tree: Tree, base: str, folders: Sequence[str]) -> None:
    """Refuse folders whose names say that they hold images, not which class these have."""
    names = list(map(last, folders))
    if len(names) > 1 and only_hold(names):
        few = _listed_names(names)
        first = next(filter(tree.files, folders), folders[0])
        raise InputError(
            f"{_place(tree, base)}: the names of the folders ({few}) say that they hold images, not which "
            f"class these have; give `images={first}` to read that one alone, give "
            f"`images={base or '.'}` if they are the classes, or add a table of images and labels",
            options=("images",),
        )


def _refuse_holder_of_classes(tree: Tree, base: str, folders: Sequence[str]) -> None:
    """Refuse a folder that is named after what it holds, such as `data`, and alone holds several folders."""
    deep = [folder for folder in folders if len(_names_inside(tree, folder)) > 1]
    if len(deep) != 1 or len(folders) == 1 or tree.files(deep[0]):
        return
    name, inside = last(deep[0]), _names_inside(tree, deep[0])
    tells_none = only_hold(inside) or roles_of(inside) or _count_something(inside)
    if is_container(name) and only_hold([name]) and not tells_none:
        beside = next(shown(last(folder)) for folder in folders if folder != deep[0])
        raise InputError(
            f"{_place(tree, deep[0])}: the folders in it ({_listed_names(inside)}) may be the classes, or it "
            f"is a class beside {beside}; give `images={deep[0]}` to read those in it as the classes, or "
            f"`images={base or '.'}` if it is a class",
            options=("images",),
        )


def _refuse_same_inside(tree: Tree, base: str, folders: Sequence[str]) -> None:
    """Refuse folders that mostly hold folders of the same names, which may be the classes.

    Such as `site_a/blast` beside `site_b/blast`, or parts under names that are not known. Classes may be
    divided into parts, into folders that are named after what they hold, such as `images` and `masks`, and
    into folders that only count something, such as days and years.
    """
    inside = [_names_inside(tree, folder) for folder in folders]
    counts = Counter(name for names in inside for name in names)
    shared = sorted(name for name, count in counts.items() if count > 1)
    if len(shared) < 2 or 2 * len(shared) < len(counts) or any(map(tree.files, folders)):  # noqa: PLR2004
        return
    if roles_of(shared) or only_hold(shared):
        return
    if _count_something(counts) and not _count_something(map(last, folders)):
        return
    outer = ", ".join(shown(last(folder)) for folder in folders[:_NAMED])
    inner = ", ".join(map(shown, shared[:_NAMED]))
    raise InputError(
        f"{_place(tree, base)}: the classes may be {outer}, or the folders of the same names in them "
        f"({inner}); give `images={base or '.'}` if they are the outer ones, or `images={folders[0]}` to "
        "read one of those alone; to read them together, name them train and test, or fold1, fold2, and so "
        "on, or write a table of images and labels",
        options=("images",),
    )


def _count_something(names: Iterable[str]) -> bool:
    """Return whether names differ in their numbers only, such as `day1` and `day2`, or are years or longer.

    >>> _count_something(["day 1", "day 02"]), _count_something(["2023", "2024-05"])
    (True, True)
    >>> _count_something(["0", "1"])
    False
    """
    words = {"".join(words_of(re.sub(r"\d+", " ", name))) for name in names}
    return len(words) == 1 and (words != {""} or all(re.match(r"\d{4}", name) for name in names))


def _notes(tree: Tree, bases: Sequence[str], folders: Sequence[str], parts: Parts) -> Iterator[str]:
    yield from _empty(tree, bases)
    validation = [folder for folder in parts.of(Role.VALIDATION) if unwrap(tree, folder) in bases]
    if validation and len(bases) > 1:
        yield as_labelled(validation)
    inverted = [folder for folder in folders if find_parts(tree, folder).roles]
    if inverted:
        inner = next(iter(find_parts(tree, inverted[0]).roles))
        label = shown(last(inverted[0]))
        yield f"{shown(inner)}: read as images of class {label}, not as a part of the dataset"
    yield from _folders_inside(tree, folders)
    yield from _masks(tree, folders)


def _masks(tree: Tree, folders: Sequence[str]) -> Iterator[str]:
    """Note folders of masks in class folders."""
    masks = [one for folder in folders for one in mask_folders(tree, folder)]
    if masks:
        count = counted(sum(len(tree.below(one)) for one in masks), "image")
        yield (
            f"{count} in folders of masks, such as {shown(masks[0])}, with names of images beside them: "
            "left out"
        )


def _folders_inside(tree: Tree, folders: Sequence[str]) -> Iterator[str]:
    """Note folders in class folders that hold no images of their own: they may be the classes."""
    inside = {folder: _names_inside(tree, folder) for folder in folders if not tree.files(folder)}
    deep = [folder for folder, names in inside.items() if len(names) > 1]
    if len(deep) == len(folders):
        inner = _listed_names(set[str]().union(*inside.values()))
        yield f"the classes are the outer folders; names of folders in them ({inner}) are not used as labels"
        return
    told = [one for one in deep if not (_count_something(inside[one]) or roles_of(inside[one]))]
    if told:
        inner, name = _listed_names(inside[told[0]]), shown(last(told[0]))
        more = f", and so for {len(told) - 1:,} more" if len(told) > 1 else ""
        yield f"{name} is one class; names of folders in it ({inner}) are not used as labels{more}"


def _listed_names(names: Collection[str]) -> str:
    """Return the first names of several."""
    return ", ".join(map(shown, sorted(names)[:_NAMED])) + (", …" if len(names) > _NAMED else "")


def _names_inside(tree: Tree, folder: str) -> set[str]:
    """Return the names of the folders in a folder that hold images."""
    return {last(child) for child in tree.children(folder) if tree.holds_images(child)}


def _empty(tree: Tree, bases: Sequence[str]) -> Iterator[str]:
    for base in bases:
        for folder in tree.children(base):
            if not tree.holds_images(folder) and not _holds_results(tree, folder):
                yield f"{shown(tree.path(folder))} holds no images and is not used"


def _holds_results(tree: Tree, folder: str) -> bool:
    """Return whether results of this program lie in a folder."""
    return any(name.startswith(f"{folder}/") for name in tree.left_out.get(OURS, ()))


def _place(tree: Tree, folder: str) -> str:
    return shown(tree.path(folder) if folder else tree.root)
