"""Spaces that are built from facts."""

import re
from collections.abc import Iterator
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.spaces.building.facts import GENERIC, PRETRAINED, cpus, facts, gpu
from tune_paddy.core.config import MemberConfig
from tune_paddy.core.domains import candidates
from tune_paddy.core.errors import InputError
from tune_paddy.core.memory import MemoryBudget, plan_accum
from tune_paddy.search.sampling.sampler import MemberSampler
from tune_paddy.spaces.building.build import BuiltSpace, build_space, require_buildable, source_spaces
from tune_paddy.spaces.building.builder import FROZEN_EACH, PROBE, WALL
from tune_paddy.spaces.building.estimates import Estimates, largest_side
from tune_paddy.spaces.building.facts import Facts
from tune_paddy.spaces.building.frozen import FROZEN_SHARE, SHARP_FROZEN
from tune_paddy.spaces.building.networks import known_network
from tune_paddy.spaces.space import SearchSpace

ALL_FACTS = st.builds(
    facts,
    st.one_of(
        st.builds(cpus, st.integers(1, 8), st.floats(2500, 64_000)), st.builds(gpu, st.floats(2000, 140_000))
    ),
    images=st.integers(20, 200_000),
    size=st.tuples(st.integers(8, 3000), st.integers(8, 3000)),
    gray=st.booleans(),
    classes=st.integers(2, 1000),
    minutes=st.floats(1.5, 10_000),
    refused=st.sampled_from(
        [{}, dict.fromkeys(PRETRAINED, "have no weights"), dict.fromkeys(PRETRAINED[:9], "x")]
    ),
)


def members(space: SearchSpace) -> Iterator[MemberConfig]:
    """Yield the recipes of a space, and each architecture of its sub-spaces at each size."""
    yield from (MemberConfig(**recipe.values) for recipe in space.recipes)
    for sub in space.spaces:
        fixed = {name: candidates(domain)[0] for name, domain in sub.domains.items()}
        for arch, size in product(candidates(sub.domains["arch"]), candidates(sub.domains["size"])):
            yield MemberConfig(**{**fixed, "arch": arch, "size": size})


def built_or_refused(known: Facts) -> BuiltSpace | None:
    """Build a space; None: it was refused in one line that names an option."""
    refusal: InputError | None = None
    try:
        return build_space(known)
    except InputError as error:
        refusal = error
    assert "\n" not in str(refusal)
    assert refusal.options
    return None


@settings(max_examples=12)
@given(known=ALL_FACTS)
def test_whatever_the_facts_a_built_space_is_valid_and_its_members_fit(known: Facts) -> None:
    """Memory, time, size of the images and usable weights; otherwise one line says what is missing."""
    built = built_or_refused(known)
    if built is None:
        return
    configs, estimates = list(members(built.space)), Estimates(known)
    forecasts = [estimates.of(**dict(config)) for config in configs]
    assert configs
    assert all(one is not None and one.fits for one in forecasts)
    assert all(one is not None and one.seconds <= known.seconds for one in forecasts)
    for config in configs:
        pretrained, frozen = config.pretrained is True, config.frozen
        assert max(config.size) <= largest_side(known.images, pretrained=pretrained, frozen=frozen)
        assert config.arch not in known.refused
    assert built.space.settings.minutes == pytest.approx(known.minutes, rel=1e-4)


@settings(max_examples=5)
@given(known=ALL_FACTS)
def test_frozen_members_come_first_and_leave_time_for_others(known: Facts) -> None:
    built = built_or_refused(known)
    if built is None:
        return
    space = built.space
    frozen = [config for recipe in space.recipes if (config := MemberConfig(**recipe.values)).frozen]
    estimates = [Estimates(known).of(**dict(config)) for config in frozen]
    known_seconds = [one.seconds for one in estimates if one is not None]
    seconds = sum(known_seconds)
    share = FROZEN_SHARE if len(frozen) > 1 and max(known_seconds) <= FROZEN_EACH * known.seconds else WALL
    assert seconds <= share * known.seconds * known.machine.at_once
    assert [MemberConfig(**recipe.values).frozen for recipe in space.recipes[: len(frozen)]] == [True] * len(
        frozen
    )


@pytest.mark.parametrize(
    "known",
    [facts(gpu(16_280)), facts(cpus()), facts(cpus(), refused=dict.fromkeys(PRETRAINED, "have no weights"))],
    ids=["strong", "light", "scratch"],
)
def test_every_choice_has_its_reason_in_a_comment(known: Facts) -> None:
    text = build_space(known).space.text
    ranges = [line for line in text.splitlines() if re.search(r": (\{low|\[)", line)]
    assert ranges
    assert all(" # " in line for line in ranges)


def test_a_built_space_can_be_edited_and_read_again() -> None:
    built = build_space(facts(gpu(16_280))).space
    edited = built.text.replace("minutes: 480", "minutes: 960")
    assert SearchSpace.parse(edited, name="mine").settings.minutes == 960
    assert SearchSpace.parse(edited, name="mine").fingerprint == built.fingerprint


def test_a_gpu_trains_larger_networks_than_two_cpus() -> None:
    of_gpu, of_cpus = (set(build_space(facts(m)).space.architectures()) for m in (gpu(16_280), cpus()))
    assert any("large" in arch for arch in of_gpu)
    assert not any("large_patch" in arch for arch in of_cpus)


def test_without_pretrained_weights_networks_train_from_scratch() -> None:
    space = build_space(facts(cpus(), refused=dict.fromkeys(PRETRAINED, "have no weights"))).space
    assert {config.pretrained for config in members(space)} == {False}
    assert {config.schedule for config in members(space)} == {"one_cycle"}


def families(space: SearchSpace) -> tuple[str, ...]:
    """Return the sub-spaces of the known members of a space, in order."""
    sampler = MemberSampler(space.recipes, space.spaces, seed=0, by_share=True)
    proposals = [sampler.ask() for _ in space.recipes]
    return tuple(filter(None, dict.fromkeys(sampler.family_of(known) for known in proposals if known)))


@pytest.mark.parametrize("known", [facts(cpus(), minutes=60), facts(cpus(), size=(64, 64), minutes=20)])
def test_known_members_are_frozen_ones_where_the_others_get_time_by_their_share(known: Facts) -> None:
    space = build_space(known).space
    assert {sub.name for sub in space.spaces} == {"frozen", "light", "scratch"}
    assert families(space) == ("frozen",)


@pytest.mark.parametrize("gray", [False, True])
@pytest.mark.parametrize("refused", [{}, dict.fromkeys(PRETRAINED, "have no weights")])
def test_networks_without_pretrained_weights_begin_with_those_that_helped_on_other_images(
    *, gray: bool, refused: dict[str, str]
) -> None:
    """At sizes in the same order, and grey ones not mirrored."""
    known = facts(cpus(), images=1000, size=(64, 64), gray=gray, minutes=20, refused=refused)
    (built,) = (sub for sub in build_space(known).space.spaces if sub.name == "scratch")
    shipped = source_spaces()["scratch"].spaces[0]
    archs = candidates(built.domains["arch"])
    expected = [values for values in shipped.first if values["arch"] in archs]
    assert expected
    assert [(one["arch"], one["lr"]) for one in built.first] == [(one["arch"], one["lr"]) for one in expected]
    ours, theirs = (sorted(candidates(sub.domains["size"])) for sub in (built, shipped))
    assert {one["size"] for one in built.first} <= set(ours)
    pairs = list(zip(built.first, expected, strict=True))
    assert all(one["size"] == (ours[0] if other["size"] == theirs[0] else ours[-1]) for one, other in pairs)
    assert {one["flip"] for one in built.first} == {"none" if gray else "horizontal"}


def test_where_time_is_short_the_first_frozen_member_is_sharp() -> None:
    """Several blurred ones, each of which takes a sixth of the time at most, would be worse."""
    for minutes in (3, 4, 6, 10):
        known = facts(cpus(at_once=1), images=1500, size=(32, 32), minutes=minutes)
        recipes = [MemberConfig(**recipe.values) for recipe in build_space(known).space.recipes]
        assert recipes[0].frozen
        assert recipes[0].size[0] >= SHARP_FROZEN


def test_further_frozen_members_have_three_sizes_and_no_known_one_is_among_them() -> None:
    space = build_space(facts(cpus(), size=(64, 64), minutes=60)).space
    (frozen,) = (sub for sub in space.spaces if sub.name == "frozen")
    sides = candidates(frozen.domains["size"])
    assert sides == (128, 96, 64)
    sampler = MemberSampler(space.recipes, space.spaces, seed=0, by_share=True)
    known = [proposal.config for _ in space.recipes if (proposal := sampler.ask())]
    listed = []
    while "frozen" in sampler.families and len(listed) < 100:
        proposal = sampler.ask("frozen")
        assert proposal
        listed.append(proposal.config)
    assert {config.size for config in listed} == {(side, side) for side in sides}
    seedless = [config.model_copy(update={"seed": 0}) for config in (*known, *listed)]
    assert len(set(seedless)) == len(seedless)


def test_networks_without_pretrained_weights_take_a_small_share_beside_others() -> None:
    known = facts(cpus(), size=(64, 64), minutes=20)
    space = build_space(known).space
    scratch = [config for config in members(space) if config.pretrained is not True]
    assert scratch
    estimates = [Estimates(known).of(**dict(config)) for config in scratch]
    most = PROBE * known.seconds * known.machine.at_once
    assert all(one is not None and one.seconds <= most for one in estimates)


@pytest.mark.parametrize(("images", "few"), [(1500, True), (10_407, False)])
def test_of_few_images_trained_members_begin_with_a_fitted_head(*, images: int, few: bool) -> None:
    """Also one that is known before; the reasons stand beside it."""
    known = facts(cpus(), images=images, size=(64, 64), minutes=images / 50)
    built = build_space(known).space
    light = [config for config in members(built) if config.pretrained is True and not config.frozen]
    assert light
    assert {config.head == "fitted" for config in light} == {few}
    assert {config.lr <= 1e-3 for config in light} == {few}
    assert ("few images teach a random one little" in built.text) == few


def test_grey_images_are_not_mirrored_by_members_that_are_known_before() -> None:
    space = build_space(facts(cpus(), size=(28, 28), gray=True)).space
    assert {MemberConfig(**recipe.values).flip for recipe in space.recipes} == {"none"}


def test_settings_that_the_user_chose_are_in_the_space() -> None:
    known = facts(gpu(16_280), settings={"gpu": 0.5, "seed": 7, "licences": "commercial"})
    chosen = build_space(known).space.settings
    assert (chosen.gpu, chosen.seed, chosen.licences) == (0.5, 7, "commercial")


@pytest.mark.parametrize(
    ("known", "message"),
    [
        (
            facts(cpus(), minutes=1),
            r"^`minutes=1`: the fastest member takes about .+; give `minutes=\d+` or more$",
        ),
        (facts(gpu(750)), "^no network fits the 750 MiB that a trial has on the GPU; give `gpu=0`"),
        (facts(cpus(memory_mib=1000)), "^no network fits the 400 MiB that a trial has on this machine"),
    ],
    ids=["too little time", "too small a GPU", "too little memory"],
)
def test_what_cannot_be_built_is_refused_with_the_remedy(known: Facts, message: str) -> None:
    with pytest.raises(InputError, match=message):
        build_space(known)


@pytest.mark.parametrize("most", [1, 4])
def test_all_members_fit_the_memory_with_the_largest_accum_that_the_user_chose(most: int) -> None:
    """Otherwise a network would be listed whose trials run out of memory."""
    built = build_space(facts(gpu(8000), settings={"max_accum": most}))
    archs = set()
    for config in members(built.space):
        network = known_network(config.arch, config.size)
        assert network is not None
        footprint = network.footprint(frozen=config.frozen)
        assert plan_accum(footprint, GENERIC, MemoryBudget(8000), config.batch_size, max_accum=most).fits
        archs.add(config.arch)
    assert archs < set(build_space(facts(gpu(8000))).space.architectures())
    assert f"fit the memory with an accum of {most} or less" in " ".join(built.space.text.split())


def test_the_minutes_that_a_refusal_names_suffice() -> None:
    with pytest.raises(InputError) as refusal:
        build_space(facts(cpus(), minutes=1))
    needed = re.search(r"minutes=(\d+)` or more", str(refusal.value))
    assert needed
    assert build_space(facts(cpus(), minutes=float(needed[1]))).space.architectures()


@pytest.mark.parametrize(
    ("settings_", "address", "option"), [({}, None, "space"), ({"minutes": 3}, "10.0.0.1:6379", "space")]
)
def test_a_space_is_built_for_a_time_and_this_machine(
    settings_: dict[str, float], address: str | None, option: str
) -> None:
    with pytest.raises(InputError) as refusal:
        require_buildable(settings_, address)
    assert option in refusal.value.options
