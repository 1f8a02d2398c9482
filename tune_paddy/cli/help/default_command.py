"""A group of commands of which one runs without being named."""

from typing import Any, ClassVar

from typer.core import TyperGroup


class DefaultCommandGroup(TyperGroup):
    """A group that runs its default command unless the first argument names another one.

    Attributes:
        default: Name of the default command.
    """

    default: ClassVar[str] = "forecast"

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Insert the name of the default command if the arguments name no command."""
        if not args or args[0] not in {*self.commands, *ctx.help_option_names}:
            args = [self.default, *args]
        return super().parse_args(ctx, args)
