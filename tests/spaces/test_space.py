import re
from pathlib import Path

import pytest

from tune_paddy.core.config import MemberConfig, SearchSettings
from tune_paddy.core.domains import Choice, Fixed, Range, candidates
from tune_paddy.spaces.space import SearchSpace, SpaceError, find_space

EXAMPLE = """\
description: |
  Two recipes and two sub-spaces.
search:
  trials: 12
  gpu: 0.5
defaults:
  epochs: 6
  flip: none
  weight_decay: 1
recipes:
  - name: first
    arch: resnet18
    size: [320, 224]
    resize_size: [640, 480]
  - arch: resnet18
    epochs: 3
spaces:
  - name: convolutions
    arch: [resnet18, resnet34]
    size: [224, [320, 224]]
    lr: {low: 1e-3, high: 0.1, log: true}
    drop_path: {low: 0, high: 0.3, step: 0.1}
  - arch: vit_tiny
    size: {low: 192, high: 256, step: 32}
    batch_size: 32
"""


def parse(text: str, base: Path | None = None) -> SearchSpace:
    """The space in `text`, whose architectures need not exist."""
    return SearchSpace.parse(text, name="x", base=base)


def test_recipes() -> None:
    """Recipes are members with the defaults filled in; a list there is a size."""
    members = [MemberConfig(**recipe.values) for recipe in parse(EXAMPLE).recipes]
    common = {"arch": "resnet18", "flip": "none", "weight_decay": 1.0}
    assert members == [
        MemberConfig(**common, size=(320, 224), resize_size=(640, 480), epochs=6),
        MemberConfig(**common, epochs=3),
    ]


def test_sub_spaces() -> None:
    """A sub-space holds a domain for each parameter that it or the defaults set."""
    first, second = parse(EXAMPLE).spaces
    defaults = {"epochs": Fixed(6), "flip": Fixed("none"), "weight_decay": Fixed(1.0)}
    assert first.domains == {
        **defaults,
        "arch": Choice(("resnet18", "resnet34")),
        "size": Choice((224, (320, 224))),
        "lr": Range(0.001, 0.1, log=True),
        "drop_path": Range(0.0, 0.3, step=0.1),
    }
    assert second.domains == {
        **defaults,
        "arch": Fixed("vit_tiny"),
        "size": Range(192, 256, step=32, integer=True),
        "batch_size": Fixed(32),
    }


def test_the_rest_of_the_file() -> None:
    """Settings, description and the text itself are kept."""
    space = parse(EXAMPLE)
    assert space.settings == SearchSettings(trials=12, gpu=0.5)
    assert (space.name, space.description) == ("x", "Two recipes and two sub-spaces.")
    assert space.text == EXAMPLE


def test_names() -> None:
    """Items without a name take that of their only architecture; names are unique."""
    recipes = "recipes: [{arch: a}, {arch: a}, {arch: a, name: a-2}]\n"
    space = parse(recipes + "spaces: [{arch: [a, b]}, {arch: [c, d]}, {arch: a}]")
    assert [recipe.name for recipe in space.recipes] == ["a", "a-3", "a-2"]
    assert [sub.name for sub in space.spaces] == ["space", "space-2", "a"]


def test_single_choices() -> None:
    """One choice is a fixed value, and a square is its side however it is written."""
    domains = parse("spaces: [{arch: a, size: [[320, 224]], resize_size: [[480, 480]]}]").spaces[0].domains
    assert (domains["size"], domains["resize_size"]) == (Fixed((320, 224)), Fixed(480))


def test_none() -> None:
    """`none` means no value for an optional parameter, and itself where it is an option."""
    text = (
        "search: {minutes: none, scheduler: none}\nspaces: [{arch: a, resize_size: [none, 256], flip: none}]"
    )
    space = parse(text)
    assert (space.settings.minutes, space.settings.scheduler) == (None, "none")
    assert space.spaces[0].domains["resize_size"] == Choice((None, 256))
    assert space.spaces[0].domains["flip"] == Fixed("none")


def test_empty_sections() -> None:
    """A section whose content is commented out counts as missing."""
    assert parse("search:\ndefaults:\nrecipes:\nspaces:\n  - arch: a\n").recipes == ()


@pytest.mark.parametrize(
    ("given", "kept"),
    [("weights/a", "/base/weights/a"), ("/abs/a", "/abs/a"), ("~/a", "~/a"), ("true", True)],
)
def test_pretrained_paths(given: str, kept: object) -> None:
    """Relative paths of pretrained weights start from the file's folder."""
    text = f"defaults: {{pretrained: {given}}}\nrecipes: [{{arch: a}}]\nspaces: [{{arch: [a, b]}}]"
    space = parse(text, base=Path("/base"))
    assert space.recipes[0].values["pretrained"] == kept
    assert space.spaces[0].domains["pretrained"] == Fixed(kept)


def test_pretrained_paths_of_a_text_start_from_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Trials run in other folders, and a member's own space is read from anywhere."""
    monkeypatch.chdir(tmp_path)
    space = parse("recipes: [{arch: a, pretrained: weights/a}]")
    assert space.recipes[0].values["pretrained"] == str(tmp_path / "weights/a")


def test_architectures() -> None:
    """Architectures are listed once, in order."""
    assert parse(EXAMPLE).architectures() == ("resnet18", "resnet34", "vit_tiny")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("search:", "# a comment\nsearch:"),
        ("Two recipes", "A pair of recipes"),
        ("trials: 12", "trials: 99"),
        ("low: 1e-3", "low: 0.001"),
        ("weight_decay: 1\n", "weight_decay: 1.0\n"),
        ("size: [224,", "size: [[224, 224],"),
    ],
)
def test_fingerprint_of_the_same_meaning(old: str, new: str) -> None:
    """Comments, budgets and spelling do not change the fingerprint."""
    assert old in EXAMPLE
    assert parse(EXAMPLE.replace(old, new)).fingerprint == parse(EXAMPLE).fingerprint


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("epochs: 3", "epochs: 4"),
        ("high: 0.1,", "high: 0.2,"),
        (", log: true", ""),
        ("[resnet18, resnet34]", "[resnet34, resnet18]"),
        ("trials: 12", "objective: error_rate"),
    ],
)
def test_fingerprint_of_another_meaning(old: str, new: str) -> None:
    """Domains, the order of choices and the objective change the fingerprint."""
    assert old in EXAMPLE
    assert parse(EXAMPLE.replace(old, new)).fingerprint != parse(EXAMPLE).fingerprint


def test_fingerprint_lasts() -> None:
    """Recorded searches keep their fingerprint: it depends on no process and no default."""
    assert parse("recipes: [{arch: a, size: [64, 32]}]").fingerprint == "1a7ba6917ecf250b"


def test_stand_ins_of_a_recipe() -> None:
    """Sizes shrink in proportion, nothing is pretrained, and the rest stays."""
    recipe = parse(EXAMPLE).with_stand_ins(lambda arch: f"tiny_{arch}").recipes[0]
    assert MemberConfig(**recipe.values) == MemberConfig(
        arch="tiny_resnet18",
        pretrained=False,
        size=(96, 64),
        resize_size=(192, 128),
        epochs=6,
        flip="none",
        weight_decay=1.0,
    )


def test_stand_ins_merge() -> None:
    """Choices that become equal are merged, and a range of one value is fixed."""
    first, second = parse(EXAMPLE).with_stand_ins(lambda arch: "tiny").spaces
    assert first.domains["arch"] == Fixed("tiny")
    assert first.domains["size"] == Choice((64, (96, 64)))
    assert second.domains["size"] == Fixed(64)


def test_stand_ins_of_a_range() -> None:
    """A range of sizes stays one, in multiples of 32."""
    space = parse("spaces: [{arch: a, size: {low: 128, high: 448, step: 64}}]").with_stand_ins(str)
    assert space.spaces[0].domains["size"] == Range(32, 128, step=32, integer=True)


def test_stand_ins_of_the_default_size() -> None:
    """The default size shrinks too."""
    space = parse("spaces: [{arch: a}]").with_stand_ins(str, size=96)
    assert space.spaces[0].domains["size"] == Fixed(96)


def test_stand_ins_rehearse_a_fitted_head() -> None:
    (sub,) = parse("spaces: [{arch: a, head: [linear, fitted]}]").with_stand_ins(str).spaces
    fixed = {name: candidates(domain)[0] for name, domain in sub.domains.items()}
    assert MemberConfig(**{**fixed, "head": "fitted"}).pretrained is False


def test_stand_ins_run_anywhere() -> None:
    """A rehearsal requests one CPU and no GPU."""
    space = parse("search: {gpu: 1, cpus: 4, trials: 7}\nspaces: [{arch: a}]")
    assert space.with_stand_ins(str).settings == SearchSettings(gpu=0, cpus=1, trials=7)


def test_messages_name_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Messages name the file as it was given."""
    (tmp_path / "mine.yaml").write_text("spaces: []\nspace: 1\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SpaceError, match=r"^mine\.yaml:2: no section"):
        SearchSpace.load("mine.yaml")


def test_load(tmp_path: Path) -> None:
    """The file determines the name and the base folder; a byte order mark is accepted."""
    path = tmp_path / "mine.yaml"
    path.write_text("\ufeffrecipes: [{arch: a, pretrained: w}]", encoding="utf-8")
    space = SearchSpace.load(path)
    assert space.name == "mine"
    assert space.recipes[0].values["pretrained"] == str(tmp_path / "w")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"a: 1\nb: \xff\n", ":2: not UTF-8"),
        (b"#" * (2**20 + 1), "larger than 1048576 bytes"),
        (b"a: 1\0", "not allowed"),
    ],
    ids=["latin", "large", "binary"],
)
def test_no_text(tmp_path: Path, content: bytes, words: str) -> None:
    """A file that is not text, or too large, is refused."""
    path = tmp_path / "x.yaml"
    path.write_bytes(content)
    with pytest.raises(SpaceError, match=re.escape(words)):
        SearchSpace.load(path)


@pytest.mark.parametrize("name", ["missing.yaml", "", "n" * 1000])
def test_no_file(tmp_path: Path, name: str) -> None:
    """A missing file, a folder and an impossible name are refused alike."""
    with pytest.raises(SpaceError, match=r"cannot be read \("):
        SearchSpace.load(tmp_path / name)


@pytest.mark.parametrize("name", ["digits_demo", "digits_demo.yaml"])
def test_find_a_shipped_space(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A shipped space is found by name from any folder."""
    monkeypatch.chdir(tmp_path)
    assert find_space(name).name == "digits_demo.yaml"
    assert find_space(name).is_file()


def test_find_an_own_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An existing path wins over a shipped space of that name."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "digits_demo.yaml").write_text("")
    assert find_space("digits_demo.yaml") == Path("digits_demo.yaml")


@pytest.mark.parametrize("name", ["digit_demo", "no/digits_demo", "x" * 5000, "", "a\0b"])
def test_find_nothing(name: str) -> None:
    """An unknown space is refused with the names of shipped ones."""
    with pytest.raises(SpaceError, match="digits_demo"):
        find_space(name)


def test_weights_are_listed_with_each_architecture() -> None:
    """Every pair of an architecture and a value of `pretrained` is listed once."""
    space = parse("recipes: [{arch: a}, {arch: b, pretrained: false}]\nspaces: [{arch: [a, c]}]")
    assert space.weights() == (("a", True), ("b", False), ("c", True))
    assert space.architectures() == ("a", "b", "c")


def test_a_shipped_space_is_loaded_by_its_name_unless_a_file_has_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What `find_space` finds, `load` reads."""
    monkeypatch.chdir(tmp_path)
    assert len(SearchSpace.load("road_to_the_top").recipes) == 6
    (tmp_path / "road_to_the_top").write_text("recipes: [{arch: a}]")
    assert len(SearchSpace.load("road_to_the_top").recipes) == 1
