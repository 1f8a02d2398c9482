"""The panel of each command and option in help screens; commands stand in the order of their use.

A table serves better than an argument of every option: the commands share most of the options, and the order
of the commands is that of a whole, which no single module knows.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from typer.core import TyperGroup

START, RESULTS, USE = "Before and during a search", "After a search", "Use of the ensemble"
COMMANDS: Mapping[str, tuple[str, ...]] = {
    START: ("demo", "data", "weights", "memory", "search"),
    RESULTS: ("show", "select", "use", "report", "ui"),
    USE: ("predict", "export", "bundle", "submit"),
}
"""Panel → names of its commands, in the order of use."""

WHAT, DATA, HOW_LONG, RESOURCES = "What", "Data", "How long", "Resources"
SELECTION, WHERE = "Selection", "Where"
OPTIONS: Mapping[str, tuple[str, ...]] = {
    WHAT: (
        *("space", "name", "resume", "retry_failed", "refit", "stand_ins", "dry_run", "verbose"),
        *("scheduler", "objective", "licences", "folds", "seed", "soften", "mix", "pseudo"),
        *("arch", "size", "submission", "contact_sheet"),
        *("batch_size", "accum", "precision", "n_classes", "n_images", "as_json", "from_runs", "message"),
        *("yes", "score", "register", "no_open", "browser", "before", "most"),
    ),
    DATA: (
        *("labels", "images", "id_column", "label_column", "task", "ordinal", "submission_form", "positive"),
        *("group", "split_column", "relabel", "copies", "pixel_range"),
        *("skip_corrupt", "skip_conflicts"),
    ),
    HOW_LONG: (
        *("trials", "minutes", "hours", "stop_when_flat", "timing", "stall_minutes", "retries", "wait"),
    ),
    RESOURCES: (
        *("concurrency", "cpus", "gpu", "gpu_memory", "max_accum", "cache_limit", "keep_weights", "share"),
        *("unfused", "calibration", "device"),
    ),
    SELECTION: ("metric", "method", "weights", "ensemble"),
    WHERE: (
        *("weights_dir", "ray_address", "storage", "tracking_uri", "runs", "out", "to", "port"),
        *("competition", "folder"),
    ),
}
"""Panel → names of the options that stand in it, in any command; other options keep the panel they name."""

_PANEL_OF = {name: panel for panel, names in OPTIONS.items() for name in names}


class OrderedGroup(TyperGroup):
    """A group whose commands stand in the order of use, and whose options stand in panels."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names of all commands in the order of use; unlisted ones stand last."""
        known = list(_order())
        names = super().list_commands(ctx)
        return sorted(names, key=lambda name: known.index(name) if name in known else len(known))

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return a command, in its panel."""
        command: Any = super().get_command(ctx, cmd_name)
        if command is not None:
            panel = next((panel for panel, names in COMMANDS.items() if cmd_name in names), None)
            command.rich_help_panel = panel or getattr(command, "rich_help_panel", None)
            in_panels(command)
        return command


def in_panels(command: Any) -> None:
    """Give the options of a command and of its subcommands their panels."""
    for inner in getattr(command, "commands", {}).values():
        in_panels(inner)
    for option in command.params:
        if option.param_type_name == "option" and not option.rich_help_panel:
            option.rich_help_panel = _PANEL_OF.get(option.name)
    command.params.sort(key=panel_rank)  # rich prints panels in the order of their first option


def panel_of(name: str) -> str | None:
    """Return the panel of an option, or None if it stands in the first one."""
    return _PANEL_OF.get(name)


def panel_rank(parameter: Any) -> int:
    """Return the place of an option's panel in the help: arguments first, unlisted panels before the last."""
    if parameter.param_type_name != "option":
        return -1
    *panels, last = OPTIONS
    panel = parameter.rich_help_panel
    return panels.index(panel) if panel in panels else len(panels) + (panel == last)


def _order() -> Iterator[str]:
    for names in COMMANDS.values():
        yield from names
