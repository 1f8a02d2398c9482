"""Search spaces, loaded from YAML: the recipes and sub-spaces that a search trains."""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from tune_paddy.core.arguments.checked import checked
from tune_paddy.core.config import SearchSettings
from tune_paddy.core.domains import Recipe, SubSpace
from tune_paddy.spaces.allowed import LeftOut, WeightsCheck, allowed_recipes, allowed_sub_spaces, weights_of
from tune_paddy.spaces.drafts import Draft
from tune_paddy.spaces.problems import SpaceError, unknown
from tune_paddy.spaces.reader import check_archs, read_sections
from tune_paddy.spaces.rules import ArchCheck, LayersCheck
from tune_paddy.spaces.stand_ins import recipe_of_stand_ins, settings_of_stand_ins, sub_space_of_stand_ins
from tune_paddy.spaces.yaml_tree import MAX_BYTES

__all__ = ["ArchCheck", "LayersCheck", "SearchSpace", "SpaceError", "find_space", "shipped_spaces"]

_FOLDERS = (
    Path(__file__).resolve().parents[1] / "search_spaces",  # in an installed wheel
    Path(__file__).resolve().parents[2] / "search_spaces",  # in a checkout
)


@dataclass(frozen=True)
class SearchSpace:
    """Recipes, and the ranges to search.

    A size is one side, or (height, width) where these differ.

    Attributes:
        name: File name without its suffix.
        description: Description for people.
        settings: Settings of the search, which flags override.
        recipes: Fixed members, trained first, frozen ones before others; every
            `MemberConfig(**recipe.values)` is valid.
        spaces: Sub-spaces; every sample of one, completed from the defaults, is a valid `MemberConfig`.
        text: Text of the file.
        base: Base folder of relative paths.
        stands_in: Whether this is a rehearsal version of the space in `text`.
        left_out: What `with_weights` left out of the space in `text`; None: nothing.
        drafts: Recipes and sub-spaces with their places in the file, for `check_archs`.
    """

    name: str
    description: str
    settings: SearchSettings
    recipes: tuple[Recipe, ...]
    spaces: tuple[SubSpace, ...]
    text: str
    base: Path | None = None
    stands_in: bool = False
    left_out: LeftOut | None = field(default=None, compare=False, repr=False)
    drafts: tuple[Draft, ...] = field(default=(), compare=False, repr=False)

    def __repr__(self) -> str:
        """Return one line; the text of the file is an attribute."""
        return f"<SearchSpace {self.name}: {len(self.recipes)} recipes, {len(self.spaces)} sub-spaces>"

    @classmethod
    @checked
    def load(cls, path: str | Path) -> "SearchSpace":
        """Load a search space from a file; `check_archs` checks its architectures.

        Args:
            path: YAML file, or the name of a shipped space; relative `pretrained` paths start from its
                folder.

        Raises:
            SpaceError: The space is invalid; one line per problem: file, line, key and remedy.
        """
        path = _shipped(Path(path)) or Path(path)
        return cls._read(_read_text(path), path.stem, str(path), path.absolute().parent)

    @classmethod
    @checked
    def parse(
        cls, text: str, *, name: str, base: Path | None = None, recorded: bool = False
    ) -> "SearchSpace":
        """Parse a search space from text, such as that of an earlier search.

        Args:
            text: YAML text.
            name: Name of the space, also in messages.
            base: Base folder of relative `pretrained` paths; None: the working folder.
            recorded: Whether an earlier version may have recorded the space, see `core.config.RECORDED`.

        Raises:
            SpaceError: The space is invalid, see `load`.
        """
        # Absolute, since each trial has its own working folder.
        return cls._read(text, name, name, base or Path.cwd(), recorded=recorded)

    @classmethod
    def _read(cls, text: str, name: str, file: str, base: Path, *, recorded: bool = False) -> "SearchSpace":
        sections = read_sections(text, file=file, base=base, recorded=recorded)
        return cls(
            name=name,
            description=sections.description,
            settings=sections.settings,
            recipes=sections.recipes,
            spaces=sections.spaces,
            text=text,
            base=base,
            drafts=sections.drafts,
        )

    @checked
    def check_archs(self, check_arch: ArchCheck, check_layers: LayersCheck = lambda *_: None) -> None:
        """Check the architectures and sizes, apart from parsing: it takes timm, which imports slowly.

        Args:
            check_arch: Check that is called once for each architecture and size.
            check_layers: Check of the architectures that train with `layer_decay`; default: none.

        Raises:
            SpaceError: An architecture is unknown or does not support a size or `layer_decay`; one line per
                problem.
        """
        check_archs(self.drafts, check_arch, check_layers)

    @property
    def fingerprint(self) -> str:
        """Hash of recipes, sub-spaces and objective, 16 hex digits; independent of comments and budgets."""
        meaning = {
            "recipes": [asdict(recipe) for recipe in self.recipes],
            "spaces": [_described(space) for space in self.spaces],
            "objective": self.settings.objective,
        }
        return hashlib.sha256(json.dumps(meaning, sort_keys=True).encode()).hexdigest()[:16]

    @checked
    def architectures(self) -> tuple[str, ...]:
        """Return all timm names, each once, in order of appearance."""
        return tuple(dict.fromkeys(arch for arch, _ in self.weights()))

    @checked
    def weights(self) -> tuple[tuple[str, bool | str], ...]:
        """Return all pairs of an architecture and a value of `pretrained`, each once."""
        users: list[Recipe | SubSpace] = [*self.recipes, *self.spaces]
        return tuple(dict.fromkeys(pair for user in users for pair in weights_of(user)))

    @checked
    def with_weights(self, check: WeightsCheck) -> "SearchSpace":
        """Return this space without the architectures whose pretrained weights a check refuses.

        A recipe with such an architecture is left out. A sub-space keeps its other architectures, and is left
        out if it has none. The result may be empty; `left_out` says what is missing.

        Args:
            check: Function of an architecture and `pretrained` that returns why they are refused, or None.
        """
        answers = [(arch, check(arch, pretrained)) for arch, pretrained in self.weights()]
        refused = {arch: why for arch, why in answers if why is not None}
        if not refused:
            return self
        recipes, spaces = allowed_recipes(self.recipes, check), allowed_sub_spaces(self.spaces, check)
        left_out = LeftOut(refused, _missing(self.recipes, recipes), _missing(self.spaces, spaces))
        return replace(self, recipes=recipes, spaces=spaces, left_out=left_out)

    @checked
    def with_stand_ins(self, stand_in: Callable[[str], str], size: int = 64) -> "SearchSpace":
        """Return a miniature of this space for a rehearsal on any machine.

        Tiny models of the same families, without pretrained weights, train on small images, and no trial
        requests a GPU. Choices that become equal are merged.

        Args:
            stand_in: Function that returns the tiny model for an architecture.
            size: Size that replaces 224 px, in px; other sizes scale in proportion, to multiples of 32.
        """
        return replace(
            self,
            settings=settings_of_stand_ins(self.settings),
            recipes=tuple(recipe_of_stand_ins(recipe, stand_in, size) for recipe in self.recipes),
            spaces=tuple(sub_space_of_stand_ins(space, stand_in, size) for space in self.spaces),
            stands_in=True,
        )


def _missing(before: Sequence[Recipe | SubSpace], after: Sequence[Recipe | SubSpace]) -> tuple[str, ...]:
    kept = {one.name for one in after}
    return tuple(one.name for one in before if one.name not in kept)


def _described(space: SubSpace) -> dict[str, Any]:
    domains = {name: [type(domain).__name__, asdict(domain)] for name, domain in space.domains.items()}
    first = {"first": [dict(values) for values in space.first]} if space.first else {}
    return {"name": space.name, "domains": domains, **first}


def _read_text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise SpaceError(f"{path}: cannot be read ({reason}); give a search space's YAML file") from error
    if len(raw) > MAX_BYTES:
        raise SpaceError(f"{path}: larger than {MAX_BYTES} bytes; give a search space's YAML file")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise SpaceError(f"{path}:{line}: not UTF-8 text; save the file as UTF-8") from None


def find_space(name_or_path: str | Path) -> Path:
    """Find a search space: an existing file, or a shipped space, with or without `.yaml`.

    Raises:
        SpaceError: Neither exists; the message lists the shipped spaces.
    """
    path = Path(name_or_path)
    found = path if _is_file(path) else _shipped(path)
    if found is None:
        raise SpaceError(
            f"{unknown('search space', str(path), shipped_spaces())}; or give the path of a YAML file"
        )
    return found


def shipped_spaces() -> dict[str, Path]:
    """Return the file of every shipped space, by name."""
    return {file.stem: file for folder in reversed(_FOLDERS) for file in sorted(folder.glob("*.yaml"))}


def _shipped(path: Path) -> Path | None:
    """Return the shipped space of that bare name, unless a file of that name exists."""
    if path.parent != Path() or _is_file(path):
        return None
    return shipped_spaces().get(path.name.removesuffix(".yaml"))


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # for example a name that is too long for the file system
        return False
