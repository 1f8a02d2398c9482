"""The network of a member, from its configuration."""

from pathlib import Path

from torch import nn

from tune_paddy.core.config import MemberConfig
from tune_paddy.training.networks.model import build_model
from tune_paddy.training.networks.plan import BodyPlan, plan_body


def member_plan(config: MemberConfig) -> BodyPlan:
    """Return how the body of a member accepts its images, see `plan_body`.

    Raises:
        InputError: Unknown arch, or a size that it does not accept.
    """
    return plan_body(config.arch, config.size, config.drop_path, config.large_view)


def member_network(
    config: MemberConfig, n_classes: int, *, pretrained: bool | str = False, weights_dir: Path | None = None
) -> nn.Sequential:
    """Build the network of a member, see `build_model`.

    Args:
        config: Configuration of the member; its `pretrained` is ignored.
        n_classes: Width of the last layer.
        pretrained: Initial parameters of the body; False: random ones.
        weights_dir: Folder of pretrained weights, or None.

    Raises:
        InputError: Unknown arch, a size that it does not accept, or missing pretrained weights.
    """
    return build_model(
        config.arch,
        n_classes,
        size=config.size,
        pretrained=pretrained,
        drop_path=config.drop_path,
        dropout=config.dropout,
        head=config.head,
        frozen=config.frozen,
        large_view=config.large_view,
        weights_dir=weights_dir,
    )
