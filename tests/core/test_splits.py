import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.model_selection import StratifiedGroupKFold

from tune_paddy.core.errors import InputError
from tune_paddy.core.splits import group_folds, stratified_group_split


def singles(*counts):
    """Labels and groups for the given numbers of images per class, each image its own group."""
    labels = np.repeat(np.arange(len(counts)), counts)
    return labels, np.arange(len(labels))


@st.composite
def grouped_images(draw, least=2):
    """Labels and groups: every group within one class, every class with at least `least` groups."""
    sizes = draw(st.lists(st.lists(st.integers(1, 7), min_size=least, max_size=30), min_size=2, max_size=6))
    labels = np.repeat(np.arange(len(sizes)), [sum(of_class) for of_class in sizes])
    every_size = [size for of_class in sizes for size in of_class]
    groups = np.repeat(np.arange(len(every_size)), every_size)
    order = np.random.default_rng(draw(st.integers(0, 99))).permutation(len(labels))
    return labels[order], groups[order]


def divided(groups, part):
    return [group for group in np.unique(groups) if len(np.unique(part[groups == group])) > 1]


def test_without_copies_every_class_gets_its_share_to_the_image():
    labels, groups = singles(1000, 500, 37, 4)
    chosen = stratified_group_split(labels, groups, share=0.2, seed=0)
    np.testing.assert_array_equal(np.bincount(labels[chosen]), [200, 100, 7, 1])


def test_the_total_is_as_exact_as_the_classes():
    """Ten classes of 14 images: a share of 2.8 each is rounded so that the sum is 28, not 30."""
    labels, groups = singles(*[14] * 10)
    assert stratified_group_split(labels, groups, share=0.2, seed=0).sum() == 28


@settings(max_examples=40)
@given(grouped_images(), st.floats(0.05, 0.95), st.integers(0, 2**31))
def test_groups_stay_whole_and_classes_are_on_both_sides(images, share, seed):
    labels, groups = images
    chosen = stratified_group_split(labels, groups, share=share, seed=seed)
    assert not divided(groups, chosen)
    assert set(labels[chosen]) == set(labels[~chosen]) == set(labels)


@settings(max_examples=40)
@given(grouped_images(), st.floats(0.05, 0.95), st.integers(0, 2**31))
def test_no_other_choice_of_whole_groups_is_nearer_to_a_classes_share(images, share, seed):
    """The reference is every sum that the class's group sizes can reach."""
    labels, groups = images
    chosen = stratified_group_split(labels, groups, share=share, seed=seed)
    for label in np.unique(labels):
        sizes = np.unique(groups[labels == label], return_counts=True)[1]
        sums = {0}
        for size in sizes:
            sums |= {size + other for other in sums}
        possible = np.array(sorted(sums - {0, sizes.sum()}))
        got = chosen[labels == label].sum()
        exact = share * sizes.sum()
        # The target is the exact share rounded up or down, so that all classes' targets sum up right.
        assert abs(got - exact) <= np.abs(possible - exact).min() + 2


@settings(max_examples=40)
@given(grouped_images(), st.integers(0, 2**31))
def test_the_same_seed_gives_the_same_split_in_any_order_of_names(images, seed):
    """Group numbers are labels: other numbers in the same order change nothing."""
    labels, groups = images
    one = stratified_group_split(labels, groups, share=0.3, seed=seed)
    two = stratified_group_split(labels, groups * 10 + 3, share=0.3, seed=seed)
    np.testing.assert_array_equal(one, two)


def test_another_seed_gives_another_split():
    labels, groups = singles(100, 100)
    splits = {stratified_group_split(labels, groups, share=0.2, seed=seed).tobytes() for seed in range(10)}
    assert len(splits) == 10


def test_the_split_of_a_seed_is_the_same_on_every_machine():
    labels, groups = singles(6, 6)
    chosen = stratified_group_split(labels, groups, share=0.34, seed=0)
    assert np.flatnonzero(chosen).tolist() == [2, 3, 10, 11]


def test_copies_are_chosen_as_often_as_other_images():
    """Groups are not ordered by size, so the share of chosen copies is the share of all images."""
    labels = np.zeros(1000, np.int64)
    labels[500:] = 1
    groups = np.arange(1000)
    copies = np.r_[0:200, 500:700]
    groups[copies] = copies // 4
    shares = [
        stratified_group_split(labels, groups, share=0.2, seed=seed)[copies].mean() for seed in range(50)
    ]
    assert np.mean(shares) == pytest.approx(0.2, abs=0.02)


def test_groups_that_span_classes_stay_whole_and_are_chosen_in_their_share():
    labels = np.tile([0, 1], 500)
    groups = np.arange(1000)
    groups[:400] //= 2
    picked = []
    for seed in range(20):
        chosen = stratified_group_split(labels, groups, share=0.2, seed=seed)
        assert not divided(groups, chosen)
        assert np.bincount(labels[chosen]).tolist() == [100, 100]
        picked.append(chosen[:400].mean())
    assert np.mean(picked) == pytest.approx(0.2, abs=0.02)


def test_classes_held_only_by_groups_that_span_them_are_on_both_sides():
    labels, groups = np.array([0, 1, 0, 1]), np.array([0, 0, 1, 1])
    for seed in range(10):
        chosen = stratified_group_split(labels, groups, share=0.1, seed=seed)
        assert chosen.sum() == 2


def test_classes_tied_together_so_that_none_can_be_on_both_sides_are_all_trained_on():
    """Three classes, three groups, each with two of the classes: one class is never held back."""
    labels, groups = np.array([0, 1, 1, 2, 2, 0]), np.array([0, 0, 1, 1, 2, 2])
    chosen = stratified_group_split(labels, groups, share=0.5, seed=0)
    assert set(labels[~chosen]) == {0, 1, 2}
    assert len(set(labels[chosen])) == 2


def test_the_only_group_of_a_class_is_never_chosen():
    labels, groups = np.array([0, 0, 1, 1]), np.array([0, 1, 2, 2])
    for seed in range(10):
        chosen = stratified_group_split(labels, groups, share=0.5, seed=seed)
        assert chosen[:2].sum() == 1
        assert not chosen[2:].any()


def test_classes_without_two_groups_are_refused():
    with pytest.raises(InputError, match="no class has two distinct images"):
        stratified_group_split(*singles(1, 1, 1), share=0.5, seed=0)


@settings(max_examples=100)
@given(
    st.lists(st.tuples(st.integers(0, 4), st.integers(0, 12)), min_size=2, max_size=30),
    st.integers(2, 5),
    st.integers(0, 999),
)
def test_any_images_are_divided_or_refused_with_a_remedy(images, k, seed):
    """Groups may span classes; every class is trained on, and no part is empty."""
    labels, groups = np.array(images).T
    for held in parts_or_none(stratified_group_split, labels, groups, share=0.2, seed=seed):
        assert held.any()
        assert set(labels[~held]) == set(labels)
        assert not divided(groups, held)
    for held in parts_or_none(group_folds, labels, groups, k=k, seed=seed):
        assert held.any()
        assert set(labels[~held]) == set(labels)
        assert not divided(groups, held)


def parts_or_none(divide, labels, groups, **options):
    """The parts that are held back; none if the division is refused with a remedy."""
    try:
        found = divide(labels, groups, **options)
    except InputError as error:
        if not re.search("two distinct|use at most|add images|`copies`", str(error)):
            raise
        return []
    return [found] if found.dtype == bool else [found == fold for fold in range(options["k"])]


@pytest.mark.parametrize("share", [0.0, 1.0, -0.1, float("nan")])
def test_a_share_that_leaves_a_side_empty_is_refused(share):
    with pytest.raises(InputError, match="between 0 and 1"):
        stratified_group_split(*singles(5, 5), share=share, seed=0)


def test_lists_of_different_lengths_are_refused():
    with pytest.raises(InputError, match="equally long"):
        stratified_group_split(np.zeros(3, np.int64), np.zeros(4, np.int64), share=0.5, seed=0)


@settings(max_examples=40)
@given(st.lists(st.integers(5, 60), min_size=2, max_size=5), st.integers(2, 5), st.integers(0, 2**31))
def test_without_copies_folds_differ_by_one_image_of_a_class_and_one_in_all(counts, k, seed):
    labels, groups = singles(*counts)
    folds = group_folds(labels, groups, k=k, seed=seed)
    per_fold = np.stack([np.bincount(labels[folds == fold], minlength=len(counts)) for fold in range(k)])
    assert np.ptp(per_fold, axis=0).max() <= 1
    assert np.ptp(per_fold.sum(axis=1)) <= 1


@settings(max_examples=40)
@given(grouped_images(least=4), st.integers(2, 4), st.integers(0, 2**31))
def test_folds_keep_groups_whole_and_hold_every_class(images, k, seed):
    labels, groups = images
    folds = group_folds(labels, groups, k=k, seed=seed)
    assert not divided(groups, folds)
    assert all(set(labels[folds == fold]) == set(labels) for fold in range(k))
    np.testing.assert_array_equal(folds, group_folds(labels, groups, k=k, seed=seed))


@settings(max_examples=40)
@given(grouped_images(least=4), st.integers(0, 2**31))
def test_a_fold_holds_at_most_one_group_too_many_of_a_class(images, seed):
    """Folds differ by no more than the class's largest group."""
    labels, groups = images
    folds = group_folds(labels, groups, k=3, seed=seed)
    for label in np.unique(labels):
        largest = np.unique(groups[labels == label], return_counts=True)[1].max()
        assert np.ptp(np.bincount(folds[labels == label], minlength=3)) <= largest


def test_other_seeds_give_other_folds():
    labels, groups = singles(20, 20)
    assert len({group_folds(labels, groups, k=4, seed=seed).tobytes() for seed in range(5)}) == 5


def test_a_class_with_fewer_groups_than_folds_is_in_some_of_them_and_a_single_image_in_none():
    labels, groups = singles(9, 2, 1)
    folds = group_folds(labels, groups, k=4, seed=0)
    assert len(set(folds[labels == 1])) == 2
    assert folds[labels == 2].tolist() == [-1]
    assert set(folds[labels == 0]) == {0, 1, 2, 3}


def test_more_folds_than_images_to_hold_out_are_refused_with_the_most_that_work():
    with pytest.raises(InputError, match=r"there are 4: use at most 4 folds") as caught:
        group_folds(*singles(2, 2, 1), k=5, seed=0)
    assert caught.value.options == ("folds",)


def test_folds_that_groups_of_several_classes_leave_without_a_class_are_refused():
    labels, groups = np.array([0, 1, 1, 2, 2, 0]), np.array([0, 0, 1, 1, 2, 2])
    with pytest.raises(InputError, match="would train without a class"):
        group_folds(labels, groups, k=2, seed=0)
    assert sorted(group_folds(labels, groups, k=3, seed=0)[::2]) == [0, 1, 2]


def test_one_fold_is_refused():
    with pytest.raises(InputError, match="at least 2 folds"):
        group_folds(*singles(5, 5), k=1, seed=0)


def patients(seed):
    """Labels and groups of patients with a few images each, most of them of several classes."""
    rng = np.random.default_rng(seed)
    n_classes, sizes = 5, np.maximum(1, rng.lognormal(1.5, 0.8, 80)).astype(int)
    shares = rng.dirichlet(np.full(n_classes, 0.4), len(sizes))
    labels = np.concatenate([rng.choice(n_classes, n, p=p) for n, p in zip(sizes, shares, strict=True)])
    return labels, np.repeat(np.arange(len(sizes)), sizes)


def imbalance(labels, parts, k):
    """Root mean square of the relative deviations of each class in each part."""
    counts = np.stack([np.bincount(labels[parts == part], minlength=labels.max() + 1) for part in range(k)])
    return np.sqrt(np.mean((counts * k / counts.sum(axis=0) - 1) ** 2))


def peers_folds(labels, groups, seed):
    folds = np.empty(len(labels), int)
    peer = StratifiedGroupKFold(5, shuffle=True, random_state=seed)
    for number, (_, held) in enumerate(peer.split(labels, labels, groups)):
        folds[held] = number
    return folds


def test_folds_of_patients_are_whole_and_as_balanced_as_scikit_learns():
    ours, theirs = [], []
    for seed in range(12):
        labels, groups = patients(seed)
        folds = group_folds(labels, groups, k=5, seed=seed)
        assert not divided(groups, folds)
        ours.append(imbalance(labels, folds, 5))
        theirs.append(imbalance(labels, peers_folds(labels, groups, seed), 5))
    assert np.mean(ours) <= np.mean(theirs)


def test_a_split_of_patients_is_whole_and_as_balanced_as_a_fold_of_scikit_learns():
    ours, theirs = [], []
    for seed in range(12):
        labels, groups = patients(seed)
        chosen = stratified_group_split(labels, groups, share=0.2, seed=seed)
        assert not divided(groups, chosen)
        ours.append(np.abs(np.bincount(labels[chosen]) * 5 / np.bincount(labels) - 1).mean())
        held = peers_folds(labels, groups, seed) == 0
        theirs.append(np.abs(np.bincount(labels[held], minlength=5) * 5 / np.bincount(labels) - 1).mean())
    assert np.mean(ours) <= np.mean(theirs)
