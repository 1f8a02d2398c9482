"""Licence and pretraining data of pretrained weights, as timm states them."""

from dataclasses import dataclass

import timm

from tune_paddy.training.networks.architectures import resolve_arch

NOT_STATED = "not stated"
OWN_FILE = "your own file"
NO_WEIGHTS = "none"

COMMERCIAL = frozenset(("apache-2.0", "bsd-2-clause", "bsd-3-clause", "cc-by-4.0", "cc0-1.0", "mit"))
"""Licences that allow commercial use and ask at most for attribution; timm's spelling.

A licence of one publisher, such as `dinov3-license`, is none of them, even where it allows commercial use: it
limits the fields of use, and models that are made from the weights may be passed on only under its terms.
"""

_DATA = {
    "cc12m": "CC12M",
    "datacomp1b": "DataComp-1B",
    "datacompxl": "DataComp-XL",
    "dfn2b": "DFN-2B",
    "dfn5b": "DFN-5B",
    "dfndr2b": "DFNDR-2B",
    "ig1b": "IG-1B",
    "in12k": "ImageNet-12k",
    "in1k": "ImageNet-1k",
    "in21k": "ImageNet-21k",
    "in22k": "ImageNet-22k",
    "jft": "JFT-300M",
    "laion2b": "LAION-2B",
    "laion400m": "LAION-400M",
    "laiona": "LAION-Aesthetic",
    "lvd142m": "LVD-142M",
    "lvd1689m": "LVD-1689M",
    "m38m": "Merged-38M",
    "merged2b": "Merged-2B",
    "metaclip": "MetaCLIP",
    "metaclip2": "MetaCLIP 2",
    "openai": "OpenAI's image-text pairs",
    "sa1b": "SA-1B",
    "sat493m": "SAT-493M",
    "webli": "WebLI",
    "yfcc100m": "YFCC100M",
    "yfcc15m": "YFCC15M",
}
"""Part of timm's tag → the dataset that it stands for; other parts name methods, authors and sizes."""


@dataclass(frozen=True)
class WeightsOrigin:
    """Origin of pretrained weights.

    Attributes:
        licence: Licence in timm's spelling, `NOT_STATED`, `OWN_FILE` or `NO_WEIGHTS`.
        data: Datasets of the pretraining in their order, as timm's tag names them, or one of these words.
        url: Address that timm names as the origin; empty if it names none.
    """

    licence: str
    data: str
    url: str = ""


def weights_origin(arch: str, pretrained: bool | str) -> WeightsOrigin:
    """Return the licence and the pretraining data of a member's pretrained weights; nothing is downloaded.

    Args:
        arch: timm model name.
        pretrained: True: timm's weights; False: none; str: path of a file or folder.

    Raises:
        InputError: timm does not know the name.
    """
    if pretrained is False:
        return WeightsOrigin(NO_WEIGHTS, NO_WEIGHTS)
    if pretrained is not True:
        return WeightsOrigin(OWN_FILE, OWN_FILE)
    config = timm.get_pretrained_cfg(resolve_arch(arch))
    if config is None:
        return WeightsOrigin(NOT_STATED, NOT_STATED)
    licence = config.license if config.license not in (None, "", "unknown") else NOT_STATED
    return WeightsOrigin(licence, _data(config.tag or ""), config.origin_url or "")


def _data(tag: str) -> str:
    """Return the datasets that a tag names.

    >>> _data("fcmae_ft_in22k_in1k"), _data("fb")
    ('ImageNet-22k, ImageNet-1k', 'not stated')
    """
    names = dict.fromkeys(_DATA[part] for part in tag.split("_") if part in _DATA)
    return ", ".join(names) or NOT_STATED


def commercial_refusal(arch: str, pretrained: bool | str) -> str | None:
    """Return why weights may not serve commercial use, as the end of a sentence; None if they may.

    Members without pretrained weights, and files of the user's own, are not refused.

    Raises:
        InputError: timm does not know the name.
    """
    licence = weights_origin(arch, pretrained).licence
    if licence in COMMERCIAL or licence in (OWN_FILE, NO_WEIGHTS):
        return None
    if licence == NOT_STATED:
        return "no licence is stated"
    if "-nc" in licence or "noncommercial" in licence:
        return f"{licence} forbids commercial use"
    return f"{licence} has conditions of its own"
