"""MkDocs hook: fill the reference pages with tables of the fields and options that the program has now.

A page asks for a table with a line such as `{{ table: MemberConfig }}`.
"""

import re
from typing import Any

from tune_paddy.cli.reference import commands, settings_table
from tune_paddy.core.config import MemberConfig, SearchSettings
from tune_paddy.data.options import ReadOptions
from tune_paddy.ensemble.options import SelectionOptions

_PLACE = re.compile(r"^\{\{ table: (\w+) \}\}$", re.MULTILINE)
_SETTINGS = {
    settings.__name__: settings for settings in (MemberConfig, SearchSettings, ReadOptions, SelectionOptions)
}


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Replace every request for a table; MkDocs calls this for each page."""
    return _PLACE.sub(lambda place: reference(place[1]), markdown)


def reference(name: str) -> str:
    """Return the Markdown of one reference table.

    Args:
        name: Name of a class of settings, or `commands` for the whole command line.
    """
    return "\n\n".join(commands()) if name == "commands" else settings_table(_SETTINGS[name])
