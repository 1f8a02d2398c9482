"""Meaning of the names of folders and tables: which part of a dataset they hold."""

import re
from collections.abc import Iterable, Mapping
from enum import StrEnum
from functools import cache


class Role(StrEnum):
    """Part of a dataset that a folder or a table holds."""

    TRAIN = "train"
    VALIDATION = "validation"
    TEST = "test"
    FOLD = "fold"


_ROLES: Mapping[str, Role] = {
    **dict.fromkeys(("train", "training", "trainning", "traning", "trn"), Role.TRAIN),
    **dict.fromkeys(
        ("val", "valid", "validation", "validate", "validating", "vld", "dev", "development", "eval"),
        Role.VALIDATION,
    ),
    **dict.fromkeys(("evaluation", "evaluate"), Role.VALIDATION),
    **dict.fromkeys(("test", "testing", "tst", "holdout", "heldout"), Role.TEST),
    **dict.fromkeys(("pred", "predict", "prediction", "predicting", "inference"), Role.TEST),
    **dict.fromkeys(("unlabelled", "unlabeled"), Role.TEST),
    **dict.fromkeys(("fold", "kfold"), Role.FOLD),
    **dict.fromkeys(
        (
            "entrenamiento", "treino", "treinamento", "entrainement", "entraînement", "apprentissage",
            "addestramento", "обучение", "训练", "训练集", "訓練",
        ),
        Role.TRAIN,
    ),
    **dict.fromkeys(
        (
            "validacion", "validación", "validacao", "validação", "validierung", "validazione", "验证",
            "验证集",
        ),
        Role.VALIDATION,
    ),
    **dict.fromkeys(("prueba", "teste", "тест", "测试", "测试集", "測試"), Role.TEST),
}  # fmt: skip
"""Word → role, also in other languages; plural forms count as the singular."""

_FILLERS = frozenset((
    "a", "additional", "all", "annotation", "aug", "augmented", "colour", "color", "crop", "cropped",
    "csv", "cv",
    "data", "dataset", "dir", "directory", "extra", "file", "filename", "final", "folder", "for", "full",
    "gif", "gray", "grey", "ground", "groundtruth", "high", "id", "image", "img", "info", "input",
    "jpeg", "jpg", "label", "labelled", "labeled", "large", "list", "low", "meta", "metadata", "mini",
    "new", "of", "old", "orig", "original", "part", "photo", "photograph", "pic", "picture", "png",
    "private", "processed", "public", "px", "raw", "res", "resized", "rgb", "sample", "set",
    "small", "sorted", "split", "stage", "stg", "subset", "table", "target", "the", "tif", "tiff",
    "tiny", "to", "truth", "v", "version", "webp", "x",
))  # fmt: skip
"""Words beside a role that do not change it, as in `train_images_224`."""

_HOLDERS = frozenset((
    "annotation", "batch", "data", "dataset", "folder", "image", "img", "mask", "part", "photo",
    "photograph", "pic", "picture", "segmentation", "trimap",
))  # fmt: skip
"""Words in the name of a folder that say what it holds, not which class that has."""

_BESIDE_HOLDERS = frozenset(("class", "gif", "jpeg", "jpg", "object", "png", "tif", "tiff"))
"""Words beside those that tell no class either."""

_MASKS = frozenset(("mask", "annotation", "segmentation", "trimap"))
"""Words in the name of a folder of what belongs to the images of another one."""

_SPLITS = frozenset(("split", "subset", "partition"))
"""Words of which the name of a column that divides the images may consist."""

_SHORTEST_PLURAL = 4


def role_of(name: str) -> Role | None:
    """Return the role that a name alone tells; None: it tells none.

    >>> role_of("Training"), role_of("test1"), role_of("validImages"), role_of("bus train station")
    (<Role.TRAIN: 'train'>, <Role.TEST: 'test'>, <Role.VALIDATION: 'validation'>, None)
    """
    role, others = _reading(name)
    return None if others else role


def names_split(column: str) -> bool:
    """Return whether a name is that of a column that divides the images, not of a part or a class.

    >>> names_split("is_valid"), names_split("isTrain"), names_split("kfold"), names_split("train")
    (True, True, True, False)
    """
    words = words_of(column)
    joined = "".join(words)
    says_is = joined.startswith("is") and role_of(joined.removeprefix("is")) is not None
    return says_is or role_of(column) is Role.FOLD or (bool(words) and _SPLITS.issuperset(words))


def are_parts(values: Iterable[str]) -> bool:
    """Return whether values are names of parts, one of them of the images to train on.

    >>> are_parts(["Train", "val"]), are_parts(["train", "bus"])
    (True, False)
    """
    roles = [role_of(value) for value in values]
    return Role.TRAIN in roles and all(role is not None and role is not Role.FOLD for role in roles)


def roles_of(names: Iterable[str]) -> dict[str, Role]:
    """Return the roles of names that stand beside each other.

    A name with unknown words has a role if another one has the same words and a different role, such as
    `seg_train` beside `seg_test`.

    >>> list(roles_of(["seg_train", "seg_test", "crash test"]))
    ['seg_train', 'seg_test']
    """
    known = {name: _reading(name) for name in names}
    partners: dict[tuple[str, ...], set[Role]] = {}
    for role, others in known.values():
        if role is not None:
            partners.setdefault(others, set()).add(role)
    return {
        name: role
        for name, (role, others) in known.items()
        if role is not None and (not others or len(partners[others]) > 1)
    }


def is_container(name: str) -> bool:
    """Return whether a name says only that it holds images or data, such as `images` or `raw_data`."""
    words = words_of(name)
    return bool(words) and all(word in _FILLERS or word.isdecimal() for word in words)


def only_hold(names: Iterable[str]) -> bool:
    """Return whether names say that folders hold images or what belongs to them, and tell no classes.

    >>> only_hold(["JPEGImages", "SegmentationClass"]), only_hold(["ham_images_part_1", "ham_images_part_2"])
    (True, True)
    >>> only_hold(["mask", "no_mask"]), only_hold(["image_cat", "image_dog"])
    (False, False)
    >>> only_hold(["class_1", "class_2"])
    False
    """
    words = [[_held(word) for word in words_of(name)] for name in names]
    told = _HOLDERS | _BESIDE_HOLDERS
    rest = {tuple(word for word in one if word not in told and not word.isdecimal()) for one in words}
    return len(rest) == 1 and all(not _HOLDERS.isdisjoint(one) for one in words)


def _held(word: str) -> str:
    """Return the second half of a word that is joined from two that tell no class, such as `jpegimage`."""
    ends = (end for end in _HOLDERS if word.endswith(end))
    return next((end for end in ends if word.removesuffix(end) in _BESIDE_HOLDERS), word)


def holds_masks(name: str) -> bool:
    """Return whether a name says only that a folder holds masks, or what else belongs to images.

    >>> holds_masks("masks"), holds_masks("SegmentationClass"), holds_masks("no_mask"), holds_masks("images")
    (True, True, False, False)
    """
    words = set(words_of(name))
    return not _MASKS.isdisjoint(words) and words <= _MASKS | _FILLERS | _BESIDE_HOLDERS


def is_sample(name: str) -> bool:
    """Return whether a table's name is that of a sample submission.

    >>> is_sample("sampleSubmission.csv"), is_sample("submission_format.csv"), is_sample("submission.csv")
    (True, True, False)
    """
    words = set(words_of(name.rpartition(".")[0]))
    return is_submission(name) and bool(
        words & {"sample", "example", "format", "template", "samplesubmission"}
    )


def holds_predictions(stem: str) -> bool:
    """Return whether a table's name, without suffix, says that it holds predictions.

    >>> holds_predictions("val_preds"), holds_predictions("test")
    (True, False)
    """
    return not {"pred", "prediction", "predicted"}.isdisjoint(words_of(stem))


def is_submission(name: str) -> bool:
    """Return whether a table's name is that of a submission."""
    words = set(words_of(name.rpartition(".")[0]))
    return bool(words & {"submission", "subm", "sub", "submit", "samplesubmission"})


@cache
def _reading(name: str) -> tuple[Role | None, tuple[str, ...]]:
    """Return a name's role and its words that tell nothing about roles."""
    roles: list[Role] = []
    others: list[str] = []
    words = words_of(name)
    if len(words) == 2 and words[0] in {"cv", "split", "partition"} and words[1].isdecimal():  # noqa: PLR2004
        return Role.FOLD, ()
    for word in words:
        role = _role_of_word(word)
        if role is not None:
            roles.append(role)
        elif word not in _FILLERS and not word.isdecimal():
            others.append(word)
    if set(roles) == {Role.TRAIN, Role.VALIDATION}:  # such as trainval
        roles = [Role.TRAIN]
    if roles == [Role.FOLD] and len(others) == 1 and len(others[0]) == 1:  # fold A
        others = []
    return (roles[0] if len(set(roles)) == 1 else None), tuple(others)


def _role_of_word(word: str) -> Role | None:
    """Return the role of a word, also of one that is joined to a filler, such as `testset`."""
    if word in _ROLES:
        return _ROLES[word]
    for known, role in _ROLES.items():
        joined = word.removeprefix(known) if word.startswith(known) else word.removesuffix(known)
        if joined != word and _singular(joined) in _FILLERS - {"a", "v", "x"}:
            return role
    return Role.TRAIN if word == "trainval" else None


def words_of(name: str) -> list[str]:
    """Split a name at separators, digits and capitals; in lower case and in the singular."""
    apart = re.sub(r"(?<=[^\W\d_A-Z])(?=[A-Z])", " ", name)
    return [_singular(word.casefold()) for word in re.findall(r"[^\W\d_]+|\d+", apart)]


def _singular(word: str) -> str:
    return word[:-1] if len(word) >= _SHORTEST_PLURAL and word.endswith("s") and word[-2] != "s" else word
