import pytest

from tune_paddy.core.domains import (
    Choice,
    Fixed,
    Range,
    SubSpace,
    candidates,
    change_values,
    largest,
    locate,
    one_of,
    side_or_pair,
)

WIDE = SubSpace(
    "wide",
    {
        "arch": Choice(("resnet18", "resnet34")),
        "size": Choice((224, (320, 224))),
        "lr": Range(0.001, 0.1, log=True),
        "epochs": Range(4, 12, step=4, integer=True),
        "flip": Fixed("none"),
    },
)


def test_one_of_merges() -> None:
    """Repeated values are one choice; the order stays."""
    assert one_of([3, 1, 3]) == Choice((3, 1))


def test_one_of_one() -> None:
    """A single distinct value is fixed."""
    assert one_of(["a", "a"]) == Fixed("a")


def test_one_of_none() -> None:
    """A domain needs a value."""
    with pytest.raises(ValueError, match="at least one"):
        one_of([])


def test_change_values() -> None:
    """Values that become equal are merged; ranges stay."""
    assert change_values(Choice((1, 2, 3)), lambda value: value // 2) == Choice((0, 1))
    assert change_values(Choice((2, 3)), lambda value: value // 2) == Fixed(1)
    assert change_values(Fixed(4), lambda value: value // 2) == Fixed(2)
    assert change_values(Range(1, 2), lambda value: value // 2) == Range(1, 2)


def test_side_or_pair() -> None:
    """Only squares are written as their side."""
    assert [side_or_pair(size) for size in ((64, 64), (64, 32), 64, None)] == [64, (64, 32), 64, None]


def test_largest() -> None:
    """Each kind of domain knows its largest value."""
    domains = [Fixed(3), Choice((2, 5, 4)), Range(1, 6, integer=True), Range(0.5, 0.75)]
    assert [largest(domain) for domain in domains] == [3, 5, 6, 0.75]


def test_candidates() -> None:
    """Each kind of domain can be gone through; a range by its upper end."""
    domains = [Fixed("crop"), Choice((64, (64, 32))), Range(1, 6, integer=True), Range(0.5, 0.75)]
    assert [candidates(domain) for domain in domains] == [("crop",), (64, (64, 32)), (6,), (0.75,)]


def test_locate() -> None:
    """A recipe is located by its values of the searched parameters."""
    recipe = {"arch": "resnet34", "size": [320, 224], "lr": 0.01, "epochs": 8, "flip": "none"}
    assert locate(recipe, [WIDE]) == (
        0,
        {"arch": "resnet34", "size": (320, 224), "lr": 0.01, "epochs": 8},
    )


def test_locate_defaults() -> None:
    """Size 224 and lr 0.01 are the defaults, and so are epochs 12."""
    found = locate({"arch": "resnet18", "flip": "none"}, [WIDE])
    assert found == (0, {"arch": "resnet18", "size": 224, "lr": 0.01, "epochs": 12})


@pytest.mark.parametrize(
    "change",
    [
        {"arch": "resnet50"},
        {"size": 256},
        {"lr": 0.5},
        {"epochs": 13},
        {"epochs": 6},
        {"flip": "dihedral"},
        {"mixup": 0.4},
    ],
    ids=str,
)
def test_locate_nowhere(change: dict[str, object]) -> None:
    """A value outside its domain, off its grid or different from an unsearched default is not located."""
    assert locate({"arch": "resnet18", "flip": "none", **change}, [WIDE]) is None


def test_locate_ignores_noise() -> None:
    """Seed and accum do not affect the location."""
    recipe = {"arch": "resnet18", "flip": "none", "seed": 7, "accum": 4}
    assert locate(recipe, [WIDE]) == locate({"arch": "resnet18", "flip": "none"}, [WIDE])


def test_locate_first() -> None:
    """The first matching sub-space wins."""
    narrow = SubSpace("narrow", {"arch": Fixed("resnet18"), "lr": Range(0.001, 0.1)})
    other = SubSpace("other", {"arch": Fixed("vit")})
    assert locate({"arch": "resnet18"}, [other, narrow, narrow]) == (1, {"lr": 0.01})


def test_locate_squares() -> None:
    """A range of sizes holds squares only."""
    space = SubSpace("s", {"arch": Fixed("a"), "size": Range(192, 256, step=32, integer=True)})
    assert locate({"arch": "a", "size": [224, 224]}, [space]) == (0, {"size": 224})
    assert locate({"arch": "a", "size": [224, 192]}, [space]) is None
