"""The shipped search spaces: each loads and is valid for timm."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import timm
import torch

from tune_paddy.core.config import MemberConfig
from tune_paddy.core.domains import candidates, locate
from tune_paddy.spaces.space import SearchSpace, find_space
from tune_paddy.training.forecast.planning import find_gpu, plan_space
from tune_paddy.training.networks.architectures import resolve_arch, stand_in
from tune_paddy.training.networks.licences import commercial_refusal
from tune_paddy.training.networks.model import build_model
from tune_paddy.training.networks.plan import check_arch
from tune_paddy.training.optimizer import optimizer_factory, split_parameters

ROOT = Path(__file__).parents[1]
LARGEST = [
    ("foundation", "eva02_large_patch14_448.mim_m38m_ft_in22k_in1k"),
    ("hierarchical", "convformer_b36.sail_in22k_ft_in1k"),
    ("swinv2", "swinv2_large_window12to16_192to256.ms_in22k_ft_in1k"),
    ("small", "caformer_s18.sail_in22k_ft_in1k"),
]
SHIPPED = sorted(path.stem for path in (ROOT / "search_spaces").glob("*.yaml"))


@cache
def load(name: str) -> SearchSpace:
    """Load a shipped space without checking its architectures."""
    return SearchSpace.load(find_space(name))


def members(name: str) -> list[MemberConfig]:
    """Return the recipes of a shipped space."""
    return [MemberConfig(**recipe.values) for recipe in load(name).recipes]


def test_the_documented_spaces_ship() -> None:
    """The documentation names these four."""
    assert {"digits_demo", "paddy_search", "road_to_the_top", "strong"} <= set(SHIPPED)


@pytest.mark.parametrize("name", SHIPPED)
def test_sizes_and_names(name: str) -> None:
    """Every architecture is known to timm, and accepts every size that the space gives it."""
    SearchSpace.load(find_space(name)).check_archs(check_arch)


@pytest.mark.parametrize("name", SHIPPED)
def test_stand_ins(name: str) -> None:
    """Every space can be rehearsed: the tiny relatives accept its small sizes."""
    rehearsal = load(name).with_stand_ins(stand_in)
    sizes = {(member["arch"], member["size"]) for member in reachable(rehearsal)}
    assert [check_arch(arch, as_pair(size)) for arch, size in sizes] == [None] * len(sizes)


def reachable(space: SearchSpace) -> list[dict[str, Any]]:
    """Return every combination of architecture and size; the shipped spaces list all their sizes."""
    found = [dict(recipe.values) for recipe in space.recipes]
    for sub in space.spaces:
        archs, sizes = (getattr(sub.domains[name], "values", None) for name in ("arch", "size"))
        found += [
            {"arch": arch, "size": size}
            for arch in archs or [sub.domains["arch"].value]  # type: ignore[union-attr]
            for size in sizes or [sub.domains["size"].value]  # type: ignore[union-attr]
        ]
    return found


def as_pair(size: int | tuple[int, int]) -> tuple[int, int]:
    """Return a size of a space as (height, width)."""
    return size if isinstance(size, tuple) else (size, size)


def test_the_notebooks_members() -> None:
    """The six members are the notebook's: architectures, resizing, sizes, order."""
    found = [(m.arch.partition(".")[0], m.resize, m.resize_size, m.size) for m in members("road_to_the_top")]
    squish, crop = ("squish", (480, 480)), ("crop", (640, 480))
    assert found == [
        ("convnext_large", *crop, (320, 224)),
        ("vit_large_patch16_224", *squish, (224, 224)),
        ("vit_large_patch16_224", *crop, (224, 224)),
        ("swinv2_large_window12_192", *squish, (192, 192)),
        ("swinv2_large_window12_192", *crop, (192, 192)),
        ("swin_large_patch4_window7_224", *crop, (224, 224)),
    ]


def test_the_notebooks_names() -> None:
    """The notebook's deprecated names map to those of the space."""
    old = ("convnext_large_in22k", "swinv2_large_window12_192_22k")
    assert {resolve_arch(name) for name in old} <= set(load("road_to_the_top").architectures())


def test_the_notebooks_training() -> None:
    """All six train with fine_tune(12, 0.01), fp16, batches of 64, min_scale 0.75 and four TTA passes."""
    wanted = {"schedule": "fine_tune", "epochs": 12, "freeze_epochs": 1, "lr": 0.01, "precision": "fp16"}
    wanted |= {"batch_size": 64, "min_scale": 0.75, "tta": 4, "flip": "horizontal", "subsample": 1.0}
    for member in members("road_to_the_top"):
        assert {name: getattr(member, name) for name in wanted} == wanted


@pytest.mark.parametrize("name", ["paddy_search", "strong"])
def test_recipes_inform_the_sampler(name: str) -> None:
    """Every trained recipe of the space lies in a sub-space, so that the sampler learns from its score."""
    space = load(name)
    trained = [recipe for recipe in space.recipes if recipe.values.get("schedule") != "frozen"]
    assert all(locate(recipe.values, space.spaces) for recipe in trained)


def test_the_strong_space_has_pretrained_weights_for_every_architecture() -> None:
    """Each name has a tag of the installed timm, so that nothing trains from another initialisation."""
    known = set(timm.list_pretrained())
    assert all(resolve_arch(arch) in known for arch in load("strong").architectures())


@pytest.mark.parametrize(("origin", "arch"), LARGEST)
def test_the_largest_members_of_four_sub_spaces_fit_16_gib(origin: str, arch: str) -> None:
    """Accum is at most 8 at their largest size; `benchmarks/space_architectures.py` checks all members."""
    (sub,) = [one for one in load("strong").spaces if one.name == origin]
    assert arch in getattr(sub.domains["arch"], "values", ())
    size = max(candidates(sub.domains["size"]))
    row = {"arch": arch, "size": size, "resize_size": 480}
    only = SearchSpace.parse(json.dumps({"recipes": [row]}), name="largest")
    (planned,) = plan_space(only, find_gpu(None, 16280.0), 1.0)
    assert planned.plan.fits
    assert planned.plan.accum <= 8


def test_without_research_licences_each_strong_sub_space_keeps_an_architecture() -> None:
    """At least three recipes are left, too."""
    whole = load("strong")
    left = whole.with_weights(commercial_refusal)
    assert [sub.name for sub in left.spaces] == [sub.name for sub in whole.spaces]
    assert len(left.recipes) >= 3
    assert "convnextv2_large.fcmae_ft_in22k_in1k" not in left.architectures()


def test_a_relative_of_every_architecture_of_the_strong_space_trains() -> None:
    """Two steps change the matrices of the tiny models of the same families, and losses are finite.

    One matrix may stay: MobileNet's last convolution follows the features that members use.
    """
    torch.manual_seed(0)
    images, labels = torch.randn(2, 3, 64, 64), torch.tensor([0, 1])
    for arch in sorted({stand_in(arch) for arch in load("strong").architectures()}):
        model = build_model(arch, 2, size=(64, 64), dropout=0.0).train()
        matrices = [parameter for group in split_parameters(model)[::2] for parameter in group]
        before = [matrix.detach().clone() for matrix in matrices]
        optimizer = optimizer_factory(MemberConfig(arch=arch))(split_parameters(model), lr=1e-3)
        for _ in range(2):
            loss = torch.nn.functional.cross_entropy(model(images), labels)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            assert torch.isfinite(loss), arch
        same = [torch.equal(old, new) for old, new in zip(before, matrices, strict=True)]
        assert sum(same) <= 1, arch


def test_the_demo_needs_neither_gpu_nor_network() -> None:
    """The demo downloads no pretrained weights, uses no GPU and mirrors no digit."""
    space = load("digits_demo")
    assert space.settings.gpu == 0
    assert all(member.pretrained is False and member.flip == "none" for member in members("digits_demo"))
    for sub in space.spaces:
        assert sub.domains["pretrained"].value is False  # type: ignore[union-attr]
        assert sub.domains["flip"].value == "none"  # type: ignore[union-attr]
