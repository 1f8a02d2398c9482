"""Build a member's network: a timm body and a head."""

from contextlib import nullcontext
from pathlib import Path
from typing import Any, Self

import timm
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from tune_paddy.core.errors import InputError
from tune_paddy.training.networks.architectures import resolve_arch
from tune_paddy.training.networks.heads import LinearHead, concat_pool_head
from tune_paddy.training.networks.hub import failing_fast
from tune_paddy.training.networks.plan import BodyPlan, plan_body
from tune_paddy.training.networks.pretrained import check_loaded, misfit, missing_weights, pretrained_file


class Body(nn.Module):
    """A timm model without its classifier that returns [images, channels, h, w] or [images, channels].

    The model's own `output_fmt` says whether its maps are channels-last. Comparing sizes would be
    ambiguous: a map may be as wide as it has channels.

    Args:
        model: timm model without a classifier.
        plan: Its output format.
        pool: Whether to pool a map as timm does; features that are no map are always pooled.
        fixed_norms: Whether batch norms use their running statistics in training, too.
    """

    def __init__(self, model: Any, plan: BodyPlan, *, pool: bool = False, fixed_norms: bool = False) -> None:
        super().__init__()
        self.model: Any = model
        self.fixed_norms = fixed_norms
        self.has_map = plan.has_map
        self.pools = pool or not plan.has_map
        self.channels_last = plan.channels_last

    @property
    def convolutional(self) -> bool:
        """Whether the model works on maps [images, channels, h, w], as convolutions do."""
        return self.has_map and not self.channels_last

    def train(self, mode: bool = True) -> Self:
        """Change the mode; batch norms with fixed statistics stay in that of evaluation."""
        super().train(mode)
        if self.fixed_norms:
            for module in self.modules():
                if isinstance(module, _BatchNorm):
                    module.eval()
        return self

    def forward(self, images: Tensor) -> Tensor:
        """Map images [n, 3, height, width] to features [n, channels, h, w] or [n, channels]."""
        features: Tensor = self.model.forward_features(images)
        if self.pools:
            pooled: Tensor = self.model.forward_head(features, pre_logits=True)
            return pooled.flatten(1)
        return features.permute(0, 3, 1, 2) if self.channels_last else features


def build_model(
    arch: str,
    n_classes: int,
    *,
    size: tuple[int, int],
    pretrained: bool | str = False,
    drop_path: float = 0.0,
    dropout: float = 0.5,
    head: str = "concat_pool",
    frozen: bool = False,
    large_view: float = 1.0,
    weights_dir: Path | None = None,
) -> nn.Sequential:
    """Build `Sequential(body, head)`, whose two parts train with different learning rates.

    Args:
        arch: timm model name; deprecated names are accepted.
        n_classes: Width of the last layer.
        size: (height, width) in px of the input images.
        pretrained: True: timm's pretrained weights; False: random initialization; str: path of a
            pretrained weights file, or of a folder of them.
        drop_path: Stochastic depth rate of the body; models without stochastic depth ignore it.
        dropout: Dropout rate before the last layer; fastai's layer before it uses half of it.
        head: `concat_pool`: fastai's head; `linear`: timm's own pooling and one linear layer; `fitted`: one
            linear layer after the pooling of `concat_pool`. It is to be fitted to the body's features, so
            batch norms keep their statistics: with those of a batch the features would be others.
        frozen: Whether the head is to be fitted to the features of a frozen body: `concat_pool` then pools
            in the same way, before one linear layer.
        large_view: Multiple of `size` that the network accepts as well, see `plan_body`.
        weights_dir: Folder written by `tune-paddy weights fetch`, searched before timm's own cache.

    Raises:
        InputError: Unknown arch, a size that it does not accept, or missing pretrained weights.
    """
    plan = plan_body(arch, size, drop_path, large_view)
    if head == "linear" and plan.n_pooled == 0:
        raise InputError(f"{arch} cannot pool {size[0]}x{size[1]} px by itself; use head: concat_pool")
    model = _create(resolve_arch(arch), plan, pretrained, weights_dir)
    pool = plan.has_map and head != "linear"
    n_features = plan.n_pooled if head == "linear" else plan.n_features
    make_head = LinearHead if frozen or head != "concat_pool" else concat_pool_head
    return nn.Sequential(
        Body(model, plan, pool=head == "linear", fixed_norms=head == "fitted"),
        make_head(n_features, n_classes, pool=pool, dropout=dropout),
    )


def lay_out(model: nn.Sequential, device: str) -> nn.Sequential:
    """Convert a convolutional body to channels-last layout, in which convolutions run faster.

    Values, names and shapes stay the same. On a CPU, steps took 0.55 to 1.03 of the time over nine
    architectures. Transformers, whose maps are channels-last already, gain nothing.

    Args:
        model: Network from `build_model`, changed in place.
        device: Type of the device that the network will run on; `mps` keeps the layout.
    """
    if model[0].convolutional and device != "mps":
        model.to(memory_format=torch.channels_last)
    return model


def has_batch_norm(model: nn.Module) -> bool:
    """Return whether a network contains batch norms that use the statistics of the batch in training."""
    fixed = any(isinstance(module, Body) and module.fixed_norms for module in model.modules())
    return not fixed and any(isinstance(module, _BatchNorm) for module in model.modules())


def _create(name: str, plan: BodyPlan, pretrained: bool | str, weights_dir: Path | None) -> nn.Module:
    if pretrained is False:
        return timm.create_model(name, num_classes=0, **plan.options)
    path = pretrained_file(name, pretrained, weights_dir)
    # custom_load applies to the architecture's own download; a local file is always safetensors.
    overlay = None if path is None else {"file": str(path), "custom_load": False}
    try:
        with failing_fast() if path is None else nullcontext():
            model: nn.Module = timm.create_model(
                name, pretrained=True, num_classes=0, pretrained_cfg_overlay=overlay, **plan.options
            )
    except Exception as error:  # hub clients raise many types
        raise missing_weights(name, error) if path is None else misfit(name, path, error) from error
    if path is not None:
        check_loaded(model, name, path)
    return model
