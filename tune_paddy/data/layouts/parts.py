"""Parts of a dataset that are folders: of images to train on, to validate with and to predict.

Parts that a column of the table names are those of `data/sides/parts.py`.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from tune_paddy.data.layouts.names import Role, is_container, role_of, roles_of
from tune_paddy.data.layouts.tree import Tree
from tune_paddy.data.system.text import shown


@dataclass(frozen=True)
class Parts:
    """Folders with images directly in a folder, by the meaning of their names.

    Attributes:
        roles: Path of a folder → its role.
        others: Folders whose names tell no role.
    """

    roles: dict[str, Role]
    others: tuple[str, ...]

    def of(self, *wanted: Role) -> list[str]:
        """Return the folders of these roles, in the order of their paths."""
        return [folder for folder, role in self.roles.items() if role in wanted]


def find_parts(tree: Tree, folder: str) -> Parts:
    """Sort the folders with images in a folder by the meaning of their names."""
    inside = [child for child in tree.children(folder) if tree.holds_images(child)]
    roles = roles_of(last(child) for child in inside)
    told = {child: roles[last(child)] for child in inside if last(child) in roles}
    return Parts(told, tuple(child for child in inside if child not in told))


def all_parts(tree: Tree, base: str) -> dict[str, Role]:
    """Return the folders with a role in the dataset's folder, or in a container in it, as `images/train`."""
    found = find_parts(tree, base)
    inner = [find_parts(tree, other).roles for other in found.others if is_container(last(other))]
    return found.roles | {folder: role for roles in inner for folder, role in roles.items()}


def as_labelled(names: Iterable[str]) -> str:
    """Return the note that validation parts of these names are labelled images like those to train on."""
    return (
        f"{', '.join(map(shown, names))}: read as labelled images; the program chooses its own images to "
        "validate with"
    )


def last(folder: str) -> str:
    """Return the name of a folder without its parents."""
    return folder.rpartition("/")[2]


def find_base(tree: Tree) -> str:
    """Return the folder that holds the dataset: the root, or the only folder in it, at any depth.

    Archives are often unpacked into a folder of their name, and hold one more.
    """
    base = ""
    while (inner := only_folder(tree, base)) and role_of(last(inner)) is None:
        holds_more = bool(tree.tables) or has_class_folders(tree, inner)
        if not holds_more or _has_table_beside(tree, inner):
            break
        base = inner
    return base


def unwrap(tree: Tree, folder: str) -> str:
    """Return the folder in which a part's images or class folders lie.

    It is the part itself, or the only folder in it if that has the part's name or role, as in `train/train`,
    or a name that tells nothing, as in `train/images`.
    """
    while inner := only_folder(tree, folder):
        same = last(inner).casefold() == last(folder).casefold() or is_container(last(inner))
        if not same and (role_of(last(inner)) is None or role_of(last(inner)) != role_of(last(folder))):
            break
        folder = inner
    return folder


def only_folder(tree: Tree, folder: str) -> str:
    """Return the only folder with images in a folder without images of its own; "" if there is none."""
    inside = [child for child in tree.children(folder) if tree.holds_images(child)]
    return inside[0] if len(inside) == 1 and not tree.files(folder) else ""


def has_class_folders(tree: Tree, folder: str) -> bool:
    """Return whether a folder holds folders with images."""
    return any(map(tree.holds_images, tree.children(folder)))


def _has_table_beside(tree: Tree, inner: str) -> bool:
    """Return whether a table lies outside a folder of the tree, as in `annotations` beside `images`."""
    return any(not name.startswith(f"{inner}/") for name in tree.tables)
