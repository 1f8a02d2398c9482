"""Licences and pretraining data of pretrained weights."""

import pytest
import timm

from tune_paddy.core.errors import InputError
from tune_paddy.training.networks.licences import (
    NOT_STATED,
    WeightsOrigin,
    commercial_refusal,
    weights_origin,
)


@pytest.mark.parametrize(
    ("arch", "licence", "data"),
    [
        ("convnextv2_base.fcmae_ft_in22k_in1k", "cc-by-nc-4.0", "ImageNet-22k, ImageNet-1k"),
        ("vit_base_patch16_dinov3.lvd1689m", "dinov3-license", "LVD-1689M"),
        ("convnext_small.dinov3_lvd1689m", "dinov3-license", "LVD-1689M"),
        ("vit_base_patch14_reg4_dinov2.lvd142m", "apache-2.0", "LVD-142M"),
        ("vit_base_patch16_siglip_gap_256.v2_webli", "apache-2.0", "WebLI"),
        ("eva02_base_patch14_224.mim_in22k", "mit", "ImageNet-22k"),
        ("convnext_large_in22k", "apache-2.0", "ImageNet-22k"),
        ("res2net50_26w_4s", NOT_STATED, "ImageNet-1k"),
        ("vit_pe_spatial_tiny_patch16_512.fb", "apache-2.0", NOT_STATED),
        ("tiny_swin", NOT_STATED, NOT_STATED),
    ],
)
def test_timm_states_the_licence_and_its_tag_the_data(arch, licence, data):
    """Deprecated names and names without a tag count as the weights that timm loads for them."""
    origin = weights_origin(arch, True)
    assert (origin.licence, origin.data) == (licence, data)


def test_a_member_without_weights_and_one_with_a_file_have_no_licence_of_timm():
    assert weights_origin("convnextv2_tiny.fcmae", False) == WeightsOrigin("none", "none")
    own = weights_origin("convnextv2_tiny.fcmae", "/some/folder")
    assert own == WeightsOrigin("your own file", "your own file")


@pytest.mark.parametrize(
    ("arch", "reason"),
    [
        ("convnextv2_tiny.fcmae_ft_in1k", "cc-by-nc-4.0 forbids commercial use"),
        ("convnext_base.eupe_lvd1689m", "fair-noncommercial-research-license forbids commercial use"),
        ("vit_small_patch16_dinov3.lvd1689m", "dinov3-license has conditions of its own"),
        ("fastvit_t8.apple_in1k", "fastvit-license has conditions of its own"),
        ("res2net50_26w_4s.in1k", "no licence is stated"),
        ("swinv2_tiny_window8_256.ms_in1k", None),
        ("test_vit.r160_in1k", None),
    ],
)
def test_weights_without_a_licence_for_commercial_use_are_refused_with_the_reason(arch, reason):
    assert commercial_refusal(arch, True) == reason
    assert commercial_refusal(arch, False) is None
    assert commercial_refusal(arch, "own.safetensors") is None


def test_the_licences_of_timm_that_are_not_refused_are_these_four():
    """A licence that another version of timm states needs a decision."""
    left = [arch for arch in timm.list_pretrained() if commercial_refusal(arch, True) is None]
    licences = {weights_origin(arch, True).licence for arch in left}
    assert licences == {"apache-2.0", "bsd-3-clause", "cc-by-4.0", "mit"}


def test_an_unknown_architecture_is_refused():
    with pytest.raises(InputError, match="timm has no model"):
        weights_origin("resnet_of_tomorrow", True)
