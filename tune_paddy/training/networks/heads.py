"""Heads of members: fastai's concat-pool head, or pooling and a single linear layer."""

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn
from torch.amp.autocast_mode import is_autocast_available


class LinearHead(nn.Module):
    """Pooled features and one linear layer, in float32 whatever the precision of the body.

    A head that is fitted to features has small differences of large values, which half precision would lose.

    Args:
        n_features: Number of channels of the body's features.
        n_classes: Number of logits.
        pool: Whether the features are a map [images, channels, h, w], to be pooled by maximum and mean.
        dropout: Dropout rate before the linear layer.
    """

    def __init__(self, n_features: int, n_classes: int, *, pool: bool, dropout: float) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(2 * n_features if pool else n_features, n_classes)

    def pool(self, features: Tensor) -> Tensor:
        """Pool features [n, channels, h, w] or [n, channels]; return float32 [n, inputs of the layer]."""
        values = features.float()
        if values.ndim == 2:  # noqa: PLR2004 n, channels: pooled by the body
            return values
        return torch.cat([values.amax(dim=(2, 3)), values.mean(dim=(2, 3))], dim=1)

    def forward(self, features: Tensor) -> Tensor:
        """Return logits, float32 [n, classes]."""
        with _full_precision(features.device.type):
            logits: Tensor = self.linear(self.dropout(self.pool(features)))
        return logits


def _full_precision(device: str) -> AbstractContextManager[object]:
    """Return a context without autocast; the meta device has none."""
    return torch.autocast(device, enabled=False) if is_autocast_available(device) else nullcontext()


def concat_pool_head(n_features: int, n_classes: int, *, pool: bool, dropout: float) -> nn.Sequential:
    """Return fastai's head: concat pooling of maps, and two linear layers with batch norm and dropout.

    Args:
        n_features: Number of channels of the body's features.
        n_classes: Number of logits.
        pool: Whether the features are a map.
        dropout: Dropout rate before the last layer; the layer before it uses half of it.
    """
    # These imports take most of a second, which checking a search space does not need.
    from fastai.layers import apply_init  # noqa: PLC0415
    from fastai.vision.learner import create_head  # noqa: PLC0415

    head: nn.Sequential = create_head(n_features, n_classes, ps=dropout, pool=pool)
    apply_init(head, nn.init.kaiming_normal_)
    return head
