"""The setting `licences`: which architectures of a space are used."""

import pytest

from tune_paddy.core.errors import InputError
from tune_paddy.search.licences import (
    WeightsRow,
    licence_note,
    random_features_note,
    weights_rows,
    with_licences,
)
from tune_paddy.spaces.space import SearchSpace

CLOSED = "convnextv2_atto.fcmae_ft_in1k"
FREE = "test_resnet.r160_in1k"
TEXT = f"""
recipes: [{{name: v2, arch: {CLOSED}}}]
spaces: [{{name: small, arch: [{FREE}, {CLOSED}]}}]
"""


def space_of(text):
    return SearchSpace.parse(text, name="mixed")


def test_any_licence_leaves_the_space_as_it_is():
    space = space_of(TEXT)
    assert with_licences(space, "any") is space
    assert licence_note(space) is None


def test_commercial_leaves_out_what_forbids_it_and_says_so_in_one_line():
    left = with_licences(space_of(TEXT), "commercial")
    assert left.architectures() == (FREE,)
    assert licence_note(left) == (
        f"`licences: commercial` leaves out {CLOSED} (cc-by-nc-4.0 forbids commercial use); "
        "with them recipe v2"
    )


def test_a_space_of_which_nothing_is_left_is_refused():
    with pytest.raises(InputError, match="leaves nothing to train: convnextv2_atto") as caught:
        with_licences(space_of(f"recipes: [{{name: v2, arch: {CLOSED}}}]"), "commercial")
    assert caught.value.options == ("licences",)
    assert "\n" not in str(caught.value)


def test_the_table_has_every_pair_of_an_architecture_and_its_weights():
    rows = list(weights_rows(space_of(TEXT)))
    assert rows == [
        WeightsRow(CLOSED, "cc-by-nc-4.0", "ImageNet-1k", ("v2", "small")),
        WeightsRow(FREE, "apache-2.0", "ImageNet-1k", ("small",)),
    ]
    sub = f"recipes: [{{name: scratch, arch: {CLOSED}, pretrained: false}}, "
    scratch = space_of(TEXT.replace("recipes: [", sub))
    assert list(weights_rows(scratch)) == [WeightsRow(CLOSED, "none", "none", ("scratch",)), *rows]


def test_heads_fitted_to_random_features_are_named_except_in_a_rehearsal():
    text = (
        "defaults: {pretrained: false, schedule: frozen}\nrecipes: [{name: a, arch: test_vit}]\nspaces:\n"
        "- {name: b, arch: test_vit, schedule: [fine_tune, frozen]}\n"
        "- {name: c, arch: test_vit, schedule: fine_tune}\n- {name: d, arch: test_vit, pretrained: true}\n"
        "- {name: e, arch: test_vit, schedule: one_cycle, head: [linear, fitted]}"
    )
    space = space_of(text)
    note = random_features_note(space)
    assert note is not None
    assert note.startswith("a, b, e: the features that a head is fitted to are those of random weights")
    assert random_features_note(space.with_stand_ins(str)) is None
    assert random_features_note(space_of(TEXT)) is None
