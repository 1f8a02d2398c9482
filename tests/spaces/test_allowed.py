"""Search spaces without the pretrained weights that a check refuses."""

from tune_paddy.core.domains import Choice, Fixed
from tune_paddy.spaces.space import SearchSpace

TEXT = """
recipes:
  - {name: free, arch: a}
  - {name: closed, arch: b}
  - {name: scratch, arch: b, pretrained: false}
spaces:
  - {name: both, arch: [a, b, c], lr: {low: 0.001, high: 0.01}}
  - {name: lost, arch: [b, c]}
  - {name: free, arch: [a, c], pretrained: [true, false]}
"""


def check(arch, pretrained):
    return f"{arch} is closed" if pretrained is True and arch in "bc" else None


def test_refused_architectures_leave_with_their_recipes_and_empty_sub_spaces():
    """A sub-space keeps its other architectures and its ranges."""
    space = SearchSpace.parse(TEXT, name="mixed")
    left = space.with_weights(check)
    assert [recipe.name for recipe in left.recipes] == ["free", "scratch"]
    assert {one.name: one.domains["arch"] for one in left.spaces} == {"both": Fixed("a"), "free": Fixed("a")}
    assert left.spaces[0].domains["lr"] == space.spaces[0].domains["lr"]
    assert str(left.left_out) == (
        "b (b is closed); c (c is closed); with them recipe closed and sub-space lost"
    )


def test_a_space_without_refused_weights_stays_as_it_is():
    space = SearchSpace.parse(TEXT, name="mixed")
    assert space.with_weights(lambda arch, pretrained: None) is space


def test_what_is_left_out_changes_the_fingerprint():
    """A resume with other licences is another search."""
    space = SearchSpace.parse(TEXT, name="mixed")
    assert space.with_weights(check).fingerprint != space.fingerprint


def test_architectures_that_share_a_reason_share_its_words():
    space = SearchSpace.parse("spaces: [{name: x, arch: [a, b, c]}]", name="x")
    left = space.with_weights(lambda arch, pretrained: None if arch == "a" else "no licence is stated")
    assert str(left.left_out) == "b, c (no licence is stated)"
    assert left.spaces[0].domains["arch"] == Fixed("a")
    assert space.spaces[0].domains["arch"] == Choice(("a", "b", "c"))
