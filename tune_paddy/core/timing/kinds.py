"""Kinds of members: those of one kind take the same time for a step."""

from tune_paddy.core.config import MemberConfig

_KIND = ("arch", "size", "resize", "resize_size", "batch_size", "accum", "precision", "optimizer")
"""Parameters that determine the time of a step; the number of epochs and images multiply it."""


def kind_of(config: MemberConfig) -> MemberConfig:
    """Return a member with the parameters of `config` that determine the time of its steps."""
    return MemberConfig(**{name: getattr(config, name) for name in (*_KIND, "freeze_epochs", "tta")})
